/** Claim on a queue ordered by priority: a doorbell only says that something is runnable, and the best task is taken. */

import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import { type ClaimedRow, type ClaimedTask, type ClaimOptions, taskOf } from "./claim.ts";

const CLAIM_BEST = loadSql(import.meta.url, "./claim-best.sql");

/**
 * The tasks won, best first. Fewer than `limit`: there was no more to take.
 * @param limit 1 to 100
 */
export async function claimBest(database: Queryable, limit: number, options: ClaimOptions): Promise<ClaimedTask[]> {
  const { queue, worker, leaseMs, knownTasks } = options;
  const rows = await database.query<ClaimedRow>(CLAIM_BEST, [queue, limit, worker, leaseMs, knownTasks]);
  return rows.map((row) => taskOf(row, queue));
}
