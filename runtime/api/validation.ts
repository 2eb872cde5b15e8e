/** Checks the parts of a request against their zod schemas, and says what is wrong by the path of the field. */
import type { FastifySchemaCompiler } from "fastify";
import type { z } from "zod";
import { TaskiqError } from "../errors.ts";

/** `path` as in `tasks.3.input.key`; empty for the whole body. */
export type Issue = { readonly path: string; readonly message: string };

const MAX_ISSUES = 100;
const MAX_TEXT_CHARS = 500;

export const validatorCompiler: FastifySchemaCompiler<z.ZodType> =
  ({ schema }) =>
  (data) => {
    const checked = schema.safeParse(data);
    return checked.success ? { value: checked.data } : { error: requestInvalid(issuesOf(checked.error)) };
  };

/** The refusal, which names the first issues in words and up to 100 as data. */
export function requestInvalid(issues: readonly Issue[]): TaskiqError {
  const bounded = boundIssues(issues);
  const told = bounded.slice(0, 3).map(({ path, message }) => (path === "" ? message : `${path}: ${message}`));
  const rest = bounded.length > told.length ? ["and more"] : [];
  return new TaskiqError("request_invalid", [...told, ...rest].join("; "), { details: { issues: bounded } });
}

/** An answer is not to be as long as the body that it refuses. */
export function boundIssues(issues: readonly Issue[]): Issue[] {
  return issues
    .slice(0, MAX_ISSUES)
    .map(({ path, message }) => ({ path: boundText(path), message: boundText(message) }));
}

export function boundText(text: string): string {
  return text.length <= MAX_TEXT_CHARS ? text : `${text.slice(0, MAX_TEXT_CHARS)}…`;
}

function issuesOf(error: z.ZodError): Issue[] {
  return error.issues.slice(0, MAX_ISSUES).flatMap((issue) => {
    // A field too many is an issue of that field, not of the object it stands in.
    if (issue.code === "unrecognized_keys") {
      return issue.keys
        .slice(0, MAX_ISSUES)
        .map((key) => ({ path: joined([...issue.path, key]), message: "this field is not known here" }));
    }
    return [{ path: joined(issue.path), message: issue.message.replace(/^Invalid input: /, "") }];
  });
}

function joined(path: readonly PropertyKey[]): string {
  return path.map(String).join(".");
}
