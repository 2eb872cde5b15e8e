/** The row of a run is the lock of its graph: first in every transaction that ends, readies, expands or cancels steps. Limit keys and tasks follow. */

import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";

const LOCK_RUNS = loadSql(import.meta.url, "./lock-runs.sql");

/** In a statement of its own: the next ones see the graphs as they are once the locks are held. */
export async function lockRuns(tx: Queryable, runIds: readonly string[]): Promise<void> {
  if (runIds.length > 0) await tx.query(LOCK_RUNS, [runIds]);
}

/** Steps share runs: each is locked once. */
export function runsOf(items: readonly { readonly runId?: string | null }[]): string[] {
  return [...new Set(items.flatMap(({ runId }) => runId ?? []))];
}
