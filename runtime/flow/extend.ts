/** Renew the leases of a process's attempts: one statement a beat, whatever their number. */

import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import { type AttemptRef, byAttempt, keyOf } from "./complete.ts";

export type Extension = AttemptRef & {
  /** From 0 to 1, null when it has not changed. */
  readonly progress: number | null;
  readonly progressMessage: string | null;
};

/**
 * `lost`: another attempt owns the task, or it is over. Abort it and write nothing. With `cancelledMs`: it is extended, and somebody asked to cancel
 * it so long ago.
 */
export type ExtendVerdict = "extended" | "lost" | { readonly cancelledMs: number };

const EXTEND = loadSql(import.meta.url, "./extend.sql");
const READ_ATTEMPTS = loadSql(import.meta.url, "./read-attempts.sql");

/**
 * Verdicts in the order of the attempts. An attempt whose row was locked at this moment (its own commit) keeps its lease
 * until the next beat and counts as extended.
 */
export async function extend(
  database: Queryable,
  attempts: readonly Extension[],
  leaseMs: number,
): Promise<ExtendVerdict[]> {
  const rows = await database.query<AttemptRef & { cancelled_ms: number | null }>(EXTEND, [
    attempts.map((attempt) => attempt.id),
    attempts.map((attempt) => attempt.attempt),
    leaseMs,
    attempts.map((attempt) => attempt.progress),
    attempts.map((attempt) => attempt.progressMessage),
  ]);
  const renewed = byAttempt(rows);
  const missing = attempts.filter((attempt) => !renewed.has(keyOf(attempt)));
  const owned = missing.length === 0 ? new Set<string>() : await stillOwned(database, missing);
  return attempts.map((attempt) => {
    const key = keyOf(attempt);
    const cancelledMs = renewed.get(key)?.cancelled_ms ?? null;
    if (cancelledMs !== null) return { cancelledMs };
    return renewed.has(key) || owned.has(key) ? "extended" : "lost";
  });
}

async function stillOwned(database: Queryable, attempts: readonly AttemptRef[]): Promise<Set<string>> {
  const rows = await readAttempts(database, attempts);
  return new Set(rows.filter((row) => row.state === "running").map(keyOf));
}

/** The rows whose attempt is still the one given, with their state; an attempt that is missing is not the newest any more. */
export function readAttempts(
  database: Queryable,
  attempts: readonly AttemptRef[],
): Promise<(AttemptRef & { state: string; worker: string | null })[]> {
  return database.query(READ_ATTEMPTS, [
    attempts.map((attempt) => attempt.id),
    attempts.map((attempt) => attempt.attempt),
  ]);
}
