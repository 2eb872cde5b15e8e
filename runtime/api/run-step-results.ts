/** What steps have resulted in, as far as it is not too much to hold. */
import type { TaskState } from "../model/task.ts";
import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";

/** A row of read-step-results.sql. */
export type StepResultRow = {
  readonly place: number;
  readonly id: string;
  readonly state: TaskState;
  readonly elements: number | null;
  readonly result: string | null;
  readonly result_ref: string | null;
  readonly too_much: boolean;
};

const READ_STEP_RESULTS = loadSql(import.meta.url, "./read-step-results.sql");

/** In the order of the ids; one that does not exist is missing. @param maxBytes up to 1 GiB, of all results that stand in their rows */
export async function readStepResults(
  database: Queryable,
  taskIds: readonly string[],
  maxBytes: number,
): Promise<StepResultRow[]> {
  return await database.query<StepResultRow>(READ_STEP_RESULTS, [taskIds, maxBytes]);
}
