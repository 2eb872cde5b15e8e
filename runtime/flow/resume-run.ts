/** Ring for what is silent in a run. Nothing depends on it: the executor rings again for what waits too long. This is for those who do not wait. */

import type { RunState } from "../model/run.ts";
import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";

const RESUME_RUN = loadSql(import.meta.url, "./resume-run.sql");

/** Null: there is no such run. `rung`: steps that wait to be claimed. @param options.tenant only a run of this tenant; null: of any */
export async function resumeRun(
  database: Queryable,
  runId: string,
  { tenant }: { readonly tenant: string | null },
): Promise<{ readonly state: RunState; readonly rung: number } | null> {
  const [row] = await database.query<{ state: RunState; rung: number }>(RESUME_RUN, [runId, tenant]);
  return row ?? null;
}
