/** Give attempts back unfinished: after a drain's time is over, or after an outage longer than the lease. Costs no counter. */

import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import { type AttemptRef, byAttempt, keyOf } from "./complete.ts";
import { runsOf } from "./lock-runs.ts";

const RELEASE = loadSql(import.meta.url, "./release.sql");

/** The state each attempt led to, in their order. Null: it does not own its task any more, nothing was changed. */
export async function release(
  database: Queryable,
  attempts: readonly (AttemptRef & { readonly runId?: string | null })[],
): Promise<("queued" | "cancelled" | null)[]> {
  const rows = await database.query<AttemptRef & { state: "queued" | "cancelled" }>(RELEASE, [
    attempts.map((attempt) => attempt.id),
    attempts.map((attempt) => attempt.attempt),
    runsOf(attempts),
  ]);
  const released = byAttempt(rows);
  return attempts.map((attempt) => released.get(keyOf(attempt))?.state ?? null);
}
