/** Put failed and cancelled tasks back to work, for a redrive or a retry by an operator. Nothing else leaves a terminal state. */

import type { TaskState } from "../model/task.ts";
import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";

export type RearmOutcome = {
  readonly id: string;
  /** The state it was found in. */
  readonly was: TaskState;
  /** Of a step: its run. */
  readonly runId: string | null;
  /** False: it succeeded, was skipped, has not ended, or is a step; nothing was changed. */
  readonly rearmed: boolean;
};

const REARM = loadSql(import.meta.url, "./rearm.sql");

/**
 * One outcome per task that exists, in no order. The executor rings for them within a second.
 * @param ids 1 to 1,000 different ids
 * @param tenant only tasks of this tenant; null: of any
 */
export async function rearm(
  database: Queryable,
  ids: readonly string[],
  tenant: string | null,
): Promise<RearmOutcome[]> {
  return await database.query<RearmOutcome>(REARM, [ids, tenant]);
}
