/** Give attempts back unfinished: after a drain's time is over, or after an outage longer than the lease. Costs no counter. */

import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import type { AttemptRef } from "./complete.ts";

const RELEASE = loadSql(import.meta.url, "./release.sql");

/** The state each attempt led to. What is missing was refused: that attempt does not own its task any more. */
export async function release(
  database: Queryable,
  attempts: readonly AttemptRef[],
): Promise<Map<string, "queued" | "cancelled">> {
  const rows = await database.query<{ id: string; state: "queued" | "cancelled" }>(RELEASE, [
    attempts.map((attempt) => attempt.id),
    attempts.map((attempt) => attempt.attempt),
  ]);
  return new Map(rows.map((row) => [row.id, row.state]));
}
