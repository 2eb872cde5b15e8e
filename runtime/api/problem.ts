/**
 * Whatever goes wrong, as problem details (RFC 9457). What is the caller's fault is told in full; what is ours is told by
 * its code, and the cause stands in the log under the id of the request.
 */
import type { FastifyReply, FastifyRequest } from "fastify";
import { ERROR_CODES, type ErrorCode, TaskiqError } from "../errors.ts";
import { boundIssues, boundText, type Issue } from "../issues.ts";
import type { Log } from "../log.ts";
import { isBusyError } from "../postgres/failure.ts";
import { isConnectionError, isSerializationError } from "../postgres/pool.ts";
import type { App } from "./app.ts";
import { requestIds } from "./request-spans.ts";

const RETRY_AFTER_SECONDS = 2;
const MAX_DETAIL_CHARS = 2_000;
const MAX_DROPPED_BYTES = 64 * 1_048_576;

/** Fastify's own errors, in our words. */
const FASTIFY_CODES: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: "body_too_large",
  FST_ERR_CTP_INVALID_MEDIA_TYPE: "unsupported_media_type",
  FST_ERR_CTP_EMPTY_TYPE: "unsupported_media_type",
  FST_ERR_BAD_URL: "route_not_found",
  FST_ERR_MAX_PARAM_LENGTH: "route_not_found",
};

export function answerProblems(app: App, log: Log, maxBodyBytes: number): void {
  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply, log, maxBodyBytes));
  app.setNotFoundHandler((request) => {
    throw routeNotFound(request);
  });
  // Before the body is read: an unknown path is that, whatever comes with it.
  app.addHook("onRequest", (request, _reply, done) => done(request.is404 ? routeNotFound(request) : undefined));
}

export function sendProblem(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  log: Log,
  maxBodyBytes: number,
): FastifyReply {
  // Some routes take more than the others.
  const known = classify(error, request.routeOptions.bodyLimit ?? maxBodyBytes);
  const { status, title } = ERROR_CODES[known.code];
  if (status >= 500 && known.code !== "draining") {
    log[status === 503 ? "warn" : "error"]("request.failed", {
      ...requestIds(request),
      ...(request.caller !== undefined && { caller: request.caller.name }),
      method: request.method,
      route: request.routeOptions.url,
      status,
      code: known.code,
      error,
    });
  }
  if (status === 503) reply.header("retry-after", String(RETRY_AFTER_SECONDS));
  if (known.code === "body_too_large" && isBearable(request)) reply.removeHeader("connection");
  const issues = status < 500 ? issuesIn(known.details) : [];
  return reply
    .code(status)
    .type("application/problem+json")
    .send(
      JSON.stringify({
        type: `urn:taskiq-aws:error:${known.code}`,
        title,
        status,
        detail: detailOf(known, status, request.id),
        code: known.code,
        ...(issues.length > 0 && { issues }),
        instance: request.id,
      }),
    );
}

function classify(error: unknown, maxBodyBytes: number): TaskiqError {
  if (error instanceof TaskiqError) return error;
  const code = FASTIFY_CODES[String(property(error, "code"))];
  if (code !== undefined) return new TaskiqError(code, fastifyDetails(maxBodyBytes)[code] ?? "", { cause: error });
  const status = property(error, "statusCode");
  // Shorter or longer than its Content-Length says, or cut off: ECONNRESET here is the caller's, not the database's.
  if (typeof status === "number" && status >= 400 && status < 500) {
    return new TaskiqError("not_json_body", "expected a whole body, it broke off. Send it again.", { cause: error });
  }
  if (isConnectionError(error) || isBusyError(error) || isSerializationError(error)) {
    return new TaskiqError("database_unavailable", "", { cause: error });
  }
  return new TaskiqError("internal", "", { cause: error });
}

const fastifyDetails = (maxBodyBytes: number): Partial<Record<ErrorCode, string>> => ({
  body_too_large: `expected a body of at most ${maxBodyBytes} bytes. Send fewer tasks at once, or store the input in S3 and submit its key.`,
  unsupported_media_type: "expected the header Content-Type: application/json.",
  route_not_found: "expected a path that /openapi.json names.",
});

/**
 * Fastify closes the connection after this answer, and a caller that still sends would get a reset in place of it. A body
 * that is not much too large is read to its end and dropped.
 */
function isBearable(request: FastifyRequest): boolean {
  return Number(request.headers["content-length"] ?? 0) <= MAX_DROPPED_BYTES;
}

function detailOf(error: TaskiqError, status: number, requestId: string): string {
  const { title } = ERROR_CODES[error.code];
  if (status === 503) {
    return `${title}. Repeat the request in ${RETRY_AFTER_SECONDS} s, with the same Idempotency-Key if it has one.`;
  }
  if (status >= 500) return `${title}. The cause stands in the log of the service under the id ${requestId}.`;
  return error.message.length > MAX_DETAIL_CHARS ? `${error.message.slice(0, MAX_DETAIL_CHARS)}…` : error.message;
}

function issuesIn(details: unknown): Issue[] {
  const issues = property(details, "issues");
  // Made by validation.ts and by the submitter, in this shape.
  return Array.isArray(issues) ? boundIssues(issues as Issue[]) : [];
}

function routeNotFound(request: FastifyRequest): TaskiqError {
  const got = boundText(`${request.method} ${request.url}`);
  return new TaskiqError("route_not_found", `expected a path that /openapi.json names, got ${got}.`);
}

function property(value: unknown, name: string): unknown {
  // Any property may be asked for; the answer stays unknown.
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
