/**
 * Cancel a run: nothing in it starts once this has committed. What waits is cancelled here, what runs gets its flag and ends within its grace time.
 * The run is over when the last of its steps is.
 */

import type { RunState } from "../model/run.ts";
import type { TaskError } from "../model/task.ts";
import type { Transaction, Transactional } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import { MAX_CANCEL_REASON_CHARS } from "./cancel.ts";
import { lockRuns } from "./lock-runs.ts";

export type RunCancelled = {
  /** The state it was found in. A terminal one: nothing was changed. */
  readonly was: RunState;
  /** `running` until its last step has ended. */
  readonly state: RunState;
};

const LOCK_RUN_TASKS = loadSql(import.meta.url, "./lock-run-tasks.sql");
const CANCEL_RUN = loadSql(import.meta.url, "./cancel-run.sql");
const READ_RUN_STATE = loadSql(import.meta.url, "./read-run-state.sql");
const OVERDUE_RUNS = loadSql(import.meta.url, "./overdue-runs.sql");

/** Null: there is no such run. @param options.tenant only a run of this tenant; null: of any */
export async function cancelRun(
  database: Pick<Transactional, "transaction">,
  runId: string,
  { tenant, reason }: { readonly tenant: string | null; readonly reason: string | null },
): Promise<RunCancelled | null> {
  return await database.transaction(async (tx) => {
    await lockRuns(tx, [runId]);
    return await end(tx, runId, { tenant, reason, error: null });
  });
}

/** Cancels the steps of runs that have passed their deadline; the runs fail. Returns how many. @param limit 1 to 100 */
export async function endOverdueRuns(database: Pick<Transactional, "transaction">, limit: number): Promise<number> {
  return await database.transaction(async (tx) => {
    const overdue = await tx.query<{ id: string }>(OVERDUE_RUNS, [limit]);
    for (const { id } of overdue) {
      const message = "The run took longer than its deadline allows. Its steps were cancelled.";
      const error: TaskError = { code: "run_deadline", type: "RunDeadline", message };
      await end(tx, id, { tenant: null, reason: "deadline", error });
    }
    return overdue.length;
  });
}

async function end(
  tx: Transaction,
  runId: string,
  { tenant, reason, error }: { tenant: string | null; reason: string | null; error: TaskError | null },
): Promise<RunCancelled | null> {
  const text = reason?.slice(0, MAX_CANCEL_REASON_CHARS).replaceAll("\0", "\\0") ?? null;
  await tx.query(LOCK_RUN_TASKS, [runId, tenant]);
  const [found] = await tx.query<{ was: RunState }>(CANCEL_RUN, [
    runId,
    tenant,
    text,
    error === null ? null : JSON.stringify(error),
  ]);
  if (found === undefined) return null;
  const [now] = await tx.query<{ state: RunState }>(READ_RUN_STATE, [runId]);
  return { was: found.was, state: now?.state ?? found.was };
}
