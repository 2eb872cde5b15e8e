/** Pages of runs, newest first. Each page examines a bounded number of rows, so it may be short, or empty, and go on all the same. */
import type { Clock } from "../clock.ts";
import type { RunState } from "../model/run.ts";
import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import type { RunSummaryRow } from "./run-view.ts";
import { filterParams, type TaskFilter } from "./task-filter.ts";
import type { Position } from "./task-position.ts";

export type RunFilter = Pick<TaskFilter, "labels" | "createdAfter" | "createdBefore"> & {
  /** Null: all. */
  readonly states: readonly RunState[] | null;
  readonly job: string | null;
};

export type RunPage = {
  readonly rows: readonly RunSummaryRow[];
  /** Where the next page starts; null: that was all. */
  readonly next: Position | null;
};

export type RunPageRequest = {
  readonly tenant: string;
  readonly filter: RunFilter;
  readonly position: Position | null;
  readonly limit: number;
  readonly clock: Clock;
  /** Rows that one statement examines. Default 20,000: some tens of milliseconds. */
  readonly examine?: number;
};

type ListedRow = RunSummaryRow & {
  readonly at_us: number;
  /** False for the last row examined, which comes once more: what follows it is not known. */
  readonly matches: boolean;
};

const EXAMINE = 20_000;
/** How long a page that is not full yet goes on looking. */
const LOOK_MS = 250;
const LIST_RUNS = loadSql(import.meta.url, "./list-runs.sql");
const LIST_OPEN_RUNS = loadSql(import.meta.url, "./list-open-runs.sql");

export async function listRuns(database: Queryable, request: RunPageRequest): Promise<RunPage> {
  const { clock, limit } = request;
  const startedMs = clock.nowMs();
  const rows: RunSummaryRow[] = [];
  let position = request.position;
  for (;;) {
    const wanted = limit - rows.length;
    const page = pageOf(await examined(database, { ...request, position, limit: wanted }), wanted);
    rows.push(...page.rows);
    position = page.next;
    const isEnough = rows.length === limit || clock.nowMs() - startedMs >= LOOK_MS;
    if (position === null || isEnough) return { rows, next: position };
  }
}

async function examined(database: Queryable, request: RunPageRequest): Promise<ListedRow[]> {
  const { tenant, filter, position, limit, examine = EXAMINE } = request;
  const [, , ...params] = filterParams({ ...filter, states: null, task: null, queue: null });
  const rest = [filter.job, ...params, position?.atUs ?? null, position?.id ?? null, examine, limit + 1];
  const isOpenOnly = filter.states?.length === 1 && filter.states[0] === "running";
  if (isOpenOnly) return await database.query<ListedRow>(LIST_OPEN_RUNS, [tenant, ...rest]);
  return await database.query<ListedRow>(LIST_RUNS, [tenant, filter.states, ...rest]);
}

function pageOf(rows: readonly ListedRow[], limit: number): RunPage {
  const page: RunSummaryRow[] = [];
  let last: Position | null = null;
  for (const row of rows) {
    if (!row.matches) return { rows: page, next: { atUs: row.at_us, id: row.id } };
    if (page.length === limit) return { rows: page, next: last };
    page.push(row);
    last = { atUs: row.at_us, id: row.id };
  }
  return { rows: page, next: null };
}
