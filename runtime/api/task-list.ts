/**
 * Pages of tasks, newest first. Each page examines a bounded number of rows, so that the rarest filter costs no more than any other: a page
 * may be short, or empty, and go on all the same. What is asked for by state has an index of its own; every other list is read along the
 * primary key, in which our own ids stand in the order of their times.
 */
import type { Clock } from "../clock.ts";
import type { TaskState } from "../model/task.ts";
import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import { filterParams, type TaskFilter } from "./task-filter.ts";
import { idRangeOf, type Position } from "./task-position.ts";
import type { SummaryRow } from "./task-view.ts";

export type TaskPage = {
  readonly rows: readonly SummaryRow[];
  /** Where the next page starts; null: that was all. */
  readonly next: Position | null;
};

export type PageRequest = {
  readonly tenant: string;
  readonly filter: TaskFilter;
  readonly position: Position | null;
  /** 1 to 200. */
  readonly limit: number;
  readonly clock: Clock;
  /** Rows that one statement examines. Default 20,000: some tens of milliseconds. */
  readonly examine?: number;
};

type StreamRow = SummaryRow & {
  readonly at_us: number;
  /** False for the last row examined, which comes once more: what follows it in this stream is not known. */
  readonly matches: boolean;
};

const EXAMINE = 20_000;
/** How long a page that is not full yet goes on looking. */
const LOOK_MS = 250;
const BY_TIME = loadSql(import.meta.url, "./list-by-time.sql");
const BY_CREATION = loadSql(import.meta.url, "./list-by-creation.sql");
const BY_STATE = loadSql(import.meta.url, "./list-by-state.sql");
const RUNNING = loadSql(import.meta.url, "./list-running.sql");

/** One page; without rows, or with fewer than asked for, it need not be the last. */
export async function listTasks(database: Queryable, request: PageRequest): Promise<TaskPage> {
  const { clock, limit } = request;
  const startedMs = clock.nowMs();
  const rows: SummaryRow[] = [];
  let position = request.position;
  for (;;) {
    const rest = { ...request, position, limit: limit - rows.length };
    const page = merge((await Promise.all(streams(database, rest))).flat(), rest.limit);
    rows.push(...page.rows);
    position = page.next;
    const isEnough = rows.length === limit || clock.nowMs() - startedMs >= LOOK_MS;
    if (position === null || isEnough) return { rows, next: position };
  }
}

/** Every stream is in the order of positions and comes to its first `limit + 1` rows, or to the last it examined. */
function streams(database: Queryable, request: PageRequest): Promise<StreamRow[]>[] {
  const { tenant, filter, position, limit, clock, examine = EXAMINE } = request;
  const params = filterParams(filter);
  const place = [position?.atUs ?? null, position?.id ?? null];
  const read = (statement: typeof BY_TIME, values: readonly unknown[]) => database.query<StreamRow>(statement, values);

  if (filter.states === null || filter.states.includes("succeeded")) {
    const { createdAfter: after, createdBefore: before } = filter;
    const { fromId, belowId } = idRangeOf({ after, before, position }, clock.wallMs());
    const start = [tenant, filter.states, ...params];
    return [
      read(BY_TIME, [...start, fromId, belowId, examine, limit + 1]),
      read(BY_CREATION, [...start, ...place, examine, limit + 1]),
    ];
  }
  return filter.states.map((state: TaskState) =>
    state === "running"
      ? read(RUNNING, [tenant, ...params, ...place, limit + 1])
      : read(BY_STATE, [tenant, state, ...params, ...place, examine, limit + 1]),
  );
}

function merge(rows: readonly StreamRow[], limit: number): TaskPage {
  const page: SummaryRow[] = [];
  let last: Position | null = null;
  for (const row of rows.toSorted(newestFirst)) {
    // Rows of this stream that nobody has looked at could come before the other streams' next.
    if (!row.matches) return { rows: page, next: { atUs: row.at_us, id: row.id } };
    if (page.length === limit) return { rows: page, next: last };
    page.push(row);
    last = { atUs: row.at_us, id: row.id };
  }
  return { rows: page, next: null };
}

function newestFirst(a: StreamRow, b: StreamRow): number {
  if (a.at_us !== b.at_us) return b.at_us - a.at_us;
  if (a.id !== b.id) return a.id < b.id ? 1 : -1;
  return Number(b.matches) - Number(a.matches);
}
