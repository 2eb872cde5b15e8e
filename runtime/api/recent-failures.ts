/** Why tasks failed within an hour, for an overview: the most frequent reasons of each tenant. */
import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";

/** A row of read-recent-failures.sql. */
export type FailureReason = {
  readonly tenant: string;
  readonly task: string;
  readonly queue: string;
  readonly code: string;
  readonly message: string | null;
  readonly count: number;
  readonly last_at: Date;
  readonly last_id: string;
};

const READ_RECENT_FAILURES = loadSql(import.meta.url, "./read-recent-failures.sql");
/** Failed tasks that are looked at. Where more fail within an hour, these say enough. */
const EXAMINE = 5_000;
const MAX_REASONS = 10;

/** By tenant, the most frequent reason first. Throws what the database throws. */
export async function readRecentFailures(
  database: Queryable,
  tenants: readonly string[],
): Promise<ReadonlyMap<string, readonly FailureReason[]>> {
  const rows = await database.query<FailureReason>(READ_RECENT_FAILURES, [[...tenants], EXAMINE, MAX_REASONS]);
  return Map.groupBy(rows, ({ tenant }) => tenant);
}
