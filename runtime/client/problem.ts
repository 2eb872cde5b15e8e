/** Reads what the API answers when it refuses: problem details (RFC 9457) with a stable code. */
import { ApiError, type ApiIssue } from "./api-error.ts";

const SHOWN_CHARACTERS = 120;

/** The error of an answer with a status above 299. */
export function problemOf(response: Response, text: string, baseUrl: string): ApiError {
  const { status } = response;
  const location = response.headers.get("location");
  if (status < 400 && location !== null) {
    const detail = `expected the API at ${baseUrl}, it redirects to ${location}. Use that address.`;
    return new ApiError({ code: "unexpected_answer", status, detail });
  }
  const body = jsonObject(text);
  if (typeof body?.code !== "string") return unexpectedAnswer(status, text, baseUrl);
  return new ApiError({
    code: body.code,
    status,
    detail: firstText(body.detail, body.title) ?? `the API answered ${status}`,
    issues: Array.isArray(body.issues) ? body.issues.flatMap(issueOf) : [],
    requestId: typeof body.instance === "string" ? body.instance : null,
  });
}

/** The error of an answer that this API cannot have given. */
export function unexpectedAnswer(status: number | null, text: string, baseUrl: string): ApiError {
  const line = text.replaceAll(/\s+/g, " ").trim();
  const shown = line.length > SHOWN_CHARACTERS ? `${line.slice(0, SHOWN_CHARACTERS)}…` : line;
  const answer = [status === null ? null : `status ${status}`, shown === "" ? "an empty body" : shown];
  return new ApiError({
    code: "unexpected_answer",
    status,
    detail: `expected an answer of the taskiq-aws API, ${baseUrl} answered ${answer.filter(Boolean).join(": ")}. Check the address.`,
  });
}

/** The object that a JSON text is, or undefined. */
export function jsonObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    // An object that is no list: any name may be asked for, and what comes is unknown.
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function issueOf(issue: unknown): ApiIssue[] {
  if (typeof issue !== "object" || issue === null || !("message" in issue)) return [];
  const path = "path" in issue ? issue.path : "";
  return [{ path: Array.isArray(path) ? path.join(".") : String(path), message: String(issue.message) }];
}

function firstText(...values: readonly unknown[]): string | undefined {
  return values.find((value): value is string => typeof value === "string" && value !== "");
}
