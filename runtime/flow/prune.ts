/** Delete what is older than its retention: terminal tasks with their payloads, idempotency keys, workers long gone. */

import type { PayloadStore } from "../payload/payload.ts";
import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";

export type Pruned = { readonly tasks: number; readonly idempotencyKeys: number; readonly payloads: number };

const PRUNE = loadSql(import.meta.url, "./prune.sql");
const PRUNE_RUNS = loadSql(import.meta.url, "./prune-runs.sql");
const PRUNE_IDEMPOTENCY = loadSql(import.meta.url, "./prune-idempotency.sql");
const PRUNE_TOMBSTONES = loadSql(import.meta.url, "./prune-tombstones.sql");
const PRUNE_WORKERS = loadSql(import.meta.url, "./prune-workers.sql");

/**
 * One batch of each kind. Call it again while a batch came back full.
 * Rows go before their objects: an object without a row is removed by the bucket's lifecycle, a row without its object is an error.
 * @param options.retentionMs how long a finished task is kept  @param options.limit rows of each kind, 1 to 5,000
 */
export async function prune(
  database: Queryable,
  payloads: PayloadStore,
  options: { readonly retentionMs: number; readonly limit: number },
): Promise<Pruned> {
  const tasks = await database.query<{ input_ref: string | null; result_ref: string | null }>(PRUNE, [
    options.retentionMs,
    options.limit,
  ]);
  const refs = tasks.flatMap((task) => [task.input_ref, task.result_ref]).filter((ref) => ref !== null);
  if (refs.length > 0) await payloads.remove(refs);
  const runs = await database.query<{ input_ref: string | null }>(PRUNE_RUNS, [options.retentionMs, options.limit]);
  const inputs = runs.flatMap(({ input_ref: ref }) => ref ?? []);
  if (inputs.length > 0) await payloads.remove(inputs);
  const keys = await database.query(PRUNE_IDEMPOTENCY, [options.limit]);
  await database.query(PRUNE_WORKERS, []);
  await database.query(PRUNE_TOMBSTONES, [options.limit]);
  return { tasks: tasks.length, idempotencyKeys: keys.length, payloads: refs.length + inputs.length };
}
