/** Record failed attempts: tried again when due, or failed when the budget is spent. */

import type { TaskError } from "../model/task.ts";
import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import { type AttemptRef, byAttempt, keyOf } from "./complete.ts";
import { runsOf } from "./lock-runs.ts";

export type Failure = AttemptRef & {
  /** Of a step: its run. */
  readonly runId?: string | null;
  readonly error: TaskError;
  /** Wait before the next attempt in milliseconds; null ends the task. */
  readonly retryAfterMs: number | null;
  /** The budget is spent: a task that ends here is copied to the dead-letter queue. False for what the handler itself ended. */
  readonly deadLetter: boolean;
};

export type FailedState = "queued" | "failed" | "cancelled";

const FAIL = loadSql(import.meta.url, "./fail.sql");

/** The state that each failure led to, in their order. Null: the attempt does not own its task any more, nothing was changed. */
export async function fail(database: Queryable, failures: readonly Failure[]): Promise<(FailedState | null)[]> {
  const rows = await database.query<AttemptRef & { state: FailedState }>(FAIL, [
    failures.map((failure) => failure.id),
    failures.map((failure) => failure.attempt),
    failures.map((failure) => JSON.stringify(failure.error)),
    failures.map((failure) => failure.retryAfterMs),
    failures.map((failure) => failure.deadLetter),
    runsOf(failures),
  ]);
  const recorded = byAttempt(rows);
  return failures.map((failure) => recorded.get(keyOf(failure))?.state ?? null);
}
