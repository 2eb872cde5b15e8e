/**
 * What a failed statement means: is the connection still good, and is repeating right?
 * `pg` reports half of its connection failures as plain errors with nothing but a message, so some are known by their text.
 */
import pg from "pg";
import { TaskiqError } from "../errors.ts";

/**
 * Server gone or going, no connection left, a failover's old primary (25006: it became read-only under a stale address).
 * 25P03 (idle in transaction) is left out on purpose: the caller was slow, and repeating would be slow again.
 */
const SQLSTATES = new Set(["57P01", "57P02", "57P03", "57P05", "53300", "25006"]);

const SYSTEM_CODES = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "ETIMEDOUT",
  "EPIPE",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EAI_AGAIN",
]);

/** Beginnings of the messages of `pg` 8 and `pg-pool` 3 that carry no code. */
const MESSAGES = [
  "Query read timeout",
  "Connection terminated",
  "timeout exceeded when trying to connect",
  "timeout expired",
  "Client has encountered a connection error",
  "Client was closed",
];

/**
 * True for errors after which repeating, on another connection, is right: the database was away, went away or did not
 * answer in time. False for `commit_unknown`: what is right there depends on what the database recorded.
 */
export function isConnectionError(error: unknown): boolean {
  if (error instanceof TaskiqError) return error.code === "database_unavailable";
  if (!(error instanceof Error)) return false;
  const code = codeOf(error);
  if (code !== undefined) {
    if (SYSTEM_CODES.has(code) || SQLSTATES.has(code)) return true;
    // 08P01 as a mere ERROR is a wrong number of parameters: a bug, which no repetition cures. A pooler sends it as FATAL.
    if (/^08...$/.test(code))
      return code !== "08P01" || !(error instanceof pg.DatabaseError && error.severity === "ERROR");
  }
  return MESSAGES.some((message) => error.message.startsWith(message));
}

/**
 * True when the server undid the transaction for a reason outside of it (40001, 40P01, a plan outdated by a migration):
 * repeating the whole transaction, never a single statement of it, is right.
 */
export function isSerializationError(error: unknown): boolean {
  const code = error instanceof Error ? codeOf(error) : undefined;
  return code === "40001" || code === "40P01" || isStalePlan(error);
}

/** True when a prepared statement no longer fits the tables. By routine: the message is in the server's language. */
export function isStalePlan(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === "0A000" && error.routine === "RevalidateCachedQuery";
}

/** True when the server does not take the password (28P01), or no password at all for this user (28000). */
export function isPasswordRefused(error: unknown): error is Error {
  return error instanceof pg.DatabaseError && (error.code === "28P01" || error.code === "28000");
}

/** True when the connection cannot be used again: it is broken, or the server closes it after this error (FATAL). */
export function breaksConnection(error: unknown): error is Error {
  // The severity comes in the server's language: another word than ERROR costs a connection, never correctness.
  return isConnectionError(error) || (error instanceof pg.DatabaseError && error.severity !== "ERROR");
}

function codeOf(error: Error): string | undefined {
  return "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/**
 * True when a value in the statement is what broke it: one that cannot be stored, or one that a constraint refuses (SQLSTATE class 23).
 * Written one by one, the other values go through.
 */
export function isValueError(error: unknown): boolean {
  return isUnstorable(error) || (error instanceof pg.DatabaseError && /^23/.test(error.code ?? ""));
}

/** True when Postgres has no way to hold the value (SQLSTATE class 22, and 54: a limit of the program such as nesting). */
export function isUnstorable(error: unknown): boolean {
  return error instanceof pg.DatabaseError && /^(?:22|54)/.test(error.code ?? "");
}

/** True when the server gave up on the statement because it is overloaded or a row is locked, or the pool had no connection. */
export function isBusyError(error: unknown): boolean {
  if (error instanceof Error && error.message.startsWith("timeout exceeded when trying to connect")) return true;
  return isLockTimeout(error) || (error instanceof pg.DatabaseError && error.code === "57014");
}

/** True when one row of the statement was locked for too long: the others go through by themselves. */
export function isLockTimeout(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === "55P03";
}

/** True when a unique index refused the row. */
export function isUniqueViolation(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === "23505";
}
