/**
 * What a call to the API fails with. Beside the API's own codes (`ERROR_CODES` in runtime/errors.ts) there are three that
 * the client finds out by itself.
 */

/** One thing that is wrong with a request. */
export type ApiIssue = {
  /** Where: `input.duration_seconds`. Empty: the body as a whole. */
  readonly path: string;
  readonly message: string;
};

/** A server may be newer than its client, so any other text has to be expected too. */
export type ApiErrorCode = ClientErrorCode | (string & {});

/**
 * - `api_unreachable` no answer came, although it was asked for several times
 * - `unexpected_answer` something answered that is not this API: a proxy, another service, a redirect
 * - `wait_timeout` the task was not finished in time; it goes on
 */
export type ClientErrorCode = "api_unreachable" | "unexpected_answer" | "wait_timeout";

export type ApiErrorOptions = {
  readonly code: ApiErrorCode;
  readonly detail: string;
  /** Null: no answer came. */
  readonly status?: number | null;
  readonly issues?: readonly ApiIssue[];
  /** What the server calls the request in its log. */
  readonly requestId?: string | null;
  readonly cause?: unknown;
};

/** `message` is `detail`, and a line for each issue that it does not tell: expected, got, what to do. */
export class ApiError extends Error {
  override readonly name: string = "ApiError";
  readonly code: ApiErrorCode;
  readonly status: number | null;
  readonly detail: string;
  readonly issues: readonly ApiIssue[];
  readonly requestId: string | null;

  constructor({ code, detail, status = null, issues = [], requestId = null, cause }: ApiErrorOptions) {
    const untold = issues.map(describeIssue).filter((issue) => !detail.includes(issue));
    super([detail, ...untold].join("\n"), cause === undefined ? undefined : { cause });
    this.code = code;
    this.detail = detail;
    this.status = status;
    this.issues = issues;
    this.requestId = requestId;
  }
}

/** `input.duration_seconds: expected a number, got "3"`. */
function describeIssue({ path, message }: ApiIssue): string {
  return path === "" ? message : `${path}: ${message}`;
}

/** Statuses after which repeating is right: the API is starting or stopping, or a load balancer does not find it. */
const PASSING_STATUSES = new Set([429, 502, 503, 504]);

/** True when the same request may succeed a little later. */
export function mayPass(error: unknown): error is ApiError {
  if (!(error instanceof ApiError)) return false;
  return error.code === "api_unreachable" || (error.status !== null && PASSING_STATUSES.has(error.status));
}
