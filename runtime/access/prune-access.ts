/** Deletes audit rows, and keys that have ended, when they are older than what an auditor may ask for. */
import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";

const PRUNE_AUDIT = loadSql(import.meta.url, "./prune-audit.sql");
const PRUNE_KEYS = loadSql(import.meta.url, "./prune-keys.sql");
const BATCH = 1_000;

/** One batch; true when there may be more. */
export async function pruneAccess(database: Queryable, retentionMs: number): Promise<boolean> {
  await database.query(PRUNE_KEYS, [retentionMs]);
  return (await database.query(PRUNE_AUDIT, [retentionMs, BATCH])).length === BATCH;
}
