/**
 * Cancel tasks. What does not run is cancelled at once; what runs gets a flag, and its owner obeys it within a second (worker/signals.ts).
 * The same statement serves the API, the cancel queue and bulk operations: it may be repeated and never assumes who owns a task.
 */

import type { TaskState } from "../model/task.ts";
import type { Queryable, Transactional } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";

export type CancelOutcome = {
  readonly id: string;
  /** The state it was found in. A terminal one: nothing was changed. */
  readonly was: TaskState;
  /** `cancelled`, or `running` until the owner has stopped it, or the terminal state it had. */
  readonly state: TaskState;
};

export type CancelOptions = {
  /** Only tasks of this tenant; null: of any. */
  readonly tenant: string | null;
  /** Why, for whoever looks at the task later; at most 500 characters. */
  readonly reason: string | null;
};

export const MAX_CANCEL_REASON_CHARS = 500;

/** Enough for a burst, and few enough to count. */
const MAX_TOMBSTONES = 10_000;
const MAX_LATE = 100;

const CANCEL = loadSql(import.meta.url, "./cancel.sql");
const BURY = loadSql(import.meta.url, "./bury.sql");
const DIG_UP = loadSql(import.meta.url, "./dig-up.sql");

/**
 * One outcome per task that exists, in no order.
 * @param ids 1 to 1,000 different ids
 */
export async function cancel(
  database: Queryable,
  ids: readonly string[],
  { tenant, reason }: CancelOptions,
): Promise<CancelOutcome[]> {
  return await database.query<CancelOutcome>(CANCEL, [ids, tenant, storable(reason)]);
}

/**
 * The same for a caller who may know of tasks before they are here: an id without a task leaves a tombstone, which refuses the task when it comes
 * within a day. Returns the outcomes and the ids that were not found.
 * @param ids 1 to 1,000 different ids
 */
export async function cancelAhead(
  database: Queryable,
  ids: readonly string[],
  reason: string | null,
): Promise<{ readonly found: CancelOutcome[]; readonly buried: string[] }> {
  const found = await cancel(database, ids, { tenant: null, reason });
  const missing = ids.filter((id) => !found.some((outcome) => outcome.id === id));
  if (missing.length === 0) return { found, buried: [] };
  const rows = await database.query<{ id: string }>(BURY, [missing, storable(reason), MAX_TOMBSTONES]);
  return { found, buried: rows.map(({ id }) => id) };
}

/** Cancels tasks that came while a tombstone was made for them. In one transaction: a tombstone is gone when its task is cancelled. */
export async function cancelLate(database: Pick<Transactional, "transaction">): Promise<number> {
  return await database.transaction(async (tx) => {
    const late = await tx.query<{ id: string; reason: string | null }>(DIG_UP, [MAX_LATE]);
    for (const { id, reason } of late) await cancel(tx, [id], { tenant: null, reason });
    return late.length;
  });
}

/** Text columns cannot hold U+0000. */
function storable(reason: string | null): string | null {
  return reason?.slice(0, MAX_CANCEL_REASON_CHARS).replaceAll("\0", "\\0") ?? null;
}
