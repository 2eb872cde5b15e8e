/**
 * The tasks of a batch of dead letters, put back to work in one transaction: their rows and their doorbells, all or none. The messages are deleted
 * afterwards, so a crash in between leaves a message whose task is at work already, and which then changes nothing.
 */

import type { TaskError, TaskState } from "../model/task.ts";
import type { Database, Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import { rearm } from "./rearm.ts";

/**
 * What a dead letter's task came to:
 *
 * - `redriven` it had failed, and is queued with new budgets and its old fence
 * - `rung` it was queued, and only its doorbell had got lost here
 * - `again` it failed after the redrive began: a task that still fails must not be redriven round and round
 * - `idle` it succeeded, runs, was cancelled or skipped, or waits for others: nothing to do
 * - `others` it belongs to another queue or another tenant
 */
export type RedriveFate = "redriven" | "rung" | "again" | "idle" | "others";

export type RedrivenTask = {
  readonly fate: RedriveFate;
  readonly name: string;
  /** Of the error it had failed with; null where it had none. */
  readonly code: string | null;
};

export type RedriveScope = {
  readonly queue: string;
  /** Only tasks of this tenant; null: of any. */
  readonly tenant: string | null;
  /** When the redrive began: the database's time, milliseconds since 1970. */
  readonly beginMs: number;
};

type Row = { id: string; name: string; error: string | null; ours: boolean; held: TaskState | null; later: boolean };

const LOCK_REDRIVEN = loadSql(import.meta.url, "./lock-redriven.sql");
const REDRIVE_BEGIN = loadSql(import.meta.url, "./redrive-begin.sql");
const RING = loadSql(import.meta.url, "./ring.sql");

/** The database's time, milliseconds since 1970. */
export async function redriveBegin(database: Queryable): Promise<number> {
  const [row] = await database.query<{ now_ms: number }>(REDRIVE_BEGIN, []);
  if (row === undefined) throw new Error("expected one row of redrive-begin.sql, got none");
  return row.now_ms;
}

/**
 * One entry per task that exists.
 * @param ids 1 to 1,000 different ids
 * @param record what else is to be written, in the same transaction, where any task goes back to work
 */
export async function redriveTasks(
  database: Pick<Database, "transaction">,
  ids: readonly string[],
  { queue, tenant, beginMs }: RedriveScope,
  record: (tx: Queryable) => Promise<void>,
): Promise<Map<string, RedrivenTask>> {
  return await database.transaction(async (tx) => {
    const rows = await tx.query<Row>(LOCK_REDRIVEN, [ids, queue, tenant, beginMs]);
    const failed = rows.filter(({ held }) => held === "failed").map(({ id }) => id);
    const queued = rows.filter(({ held }) => held === "queued").map(({ id }) => id);
    if (failed.length > 0) await rearm(tx, failed, tenant);
    if (queued.length > 0) await tx.query(RING, [queued]);
    if (failed.length + queued.length > 0) await record(tx);
    return fatesOf(rows);
  });
}

/** What `redriveTasks` would do now; nothing is changed. */
export async function foreseeRedrive(
  database: Queryable,
  ids: readonly string[],
  { queue, tenant, beginMs }: RedriveScope,
): Promise<Map<string, RedrivenTask>> {
  return fatesOf(await database.query<Row>(LOCK_REDRIVEN, [ids, queue, tenant, beginMs]));
}

function fatesOf(rows: readonly Row[]): Map<string, RedrivenTask> {
  return new Map(rows.map((row) => [row.id, { fate: fateOf(row), name: row.name, code: codeOf(row) }]));
}

function fateOf({ ours, held, later }: Row): RedriveFate {
  if (!ours) return "others";
  if (later) return "again";
  if (held === null) return "idle";
  // The statement locks failed and queued rows only.
  return held === "failed" ? "redriven" : "rung";
}

function codeOf({ error }: Row): string | null {
  const parsed: TaskError | null = error === null ? null : JSON.parse(error);
  return parsed?.code ?? null;
}
