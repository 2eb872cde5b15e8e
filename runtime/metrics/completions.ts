/**
 * Tasks as they reach their end, counted from their rows. A queued task is cancelled by the API, a lost one is failed by the reaper, a step may be
 * skipped inside a statement, and a worker that is killed takes its counters along: only the rows know all ends.
 */

import type { TerminalState } from "../model/task.ts";
import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import type { Histogram } from "./histogram.ts";

export type Completions = {
  /** Hand it to the next look: each end is then counted once. Microseconds since 1970. */
  readonly untilUs: number;
  readonly groups: readonly CompletionGroup[];
};

/** The ends of one kind in one interval. */
export type CompletionGroup = {
  readonly tenant: string;
  readonly queue: string;
  readonly task: string;
  readonly outcome: TerminalState;
  /** Start of the interval, in milliseconds since 1970. */
  readonly intervalMs: number;
  readonly count: number;
  /** From due to the start of the last attempt, for those that were started. */
  readonly wait: Histogram;
  /** From the start of the last attempt to the end, for those that were started. */
  readonly run: Histogram;
};

export type CompletionSpan = {
  /** `untilUs` of the look before; null: there was none. */
  readonly sinceUs: number | null;
  /** Nothing that ended longer ago is counted; 0 with `sinceUs` null only marks where counting begins. */
  readonly maxAgeMs: number;
  /** Length of the intervals; ends of one look may lie in several. Default: one minute. */
  readonly intervalMs?: number;
};

type Row = {
  until_us: number;
  tenant: string | null;
  queue: string;
  task: string;
  outcome: TerminalState;
  interval_ms: number;
  kind: "all" | "wait" | "run";
  bucket: number | null;
  count: number;
};

const READ_COMPLETIONS = loadSql(import.meta.url, "./read-completions.sql");
const MINUTE_MS = 60_000;

/** Throws what the database throws. An end that is being written meanwhile is counted by a later look. */
export async function readCompletions(
  database: Queryable,
  { sinceUs, maxAgeMs, intervalMs = MINUTE_MS }: CompletionSpan,
): Promise<Completions> {
  const rows = await database.query<Row>(READ_COMPLETIONS, [sinceUs, maxAgeMs, intervalMs]);
  const [first] = rows;
  if (first === undefined) throw new Error("expected at least one row of read-completions.sql, got none");
  const groups = new Map<
    string,
    CompletionGroup & { count: number; wait: Map<number, number>; run: Map<number, number> }
  >();
  for (const row of rows) {
    if (row.tenant === null) continue;
    const { tenant, queue, task, outcome } = row;
    const name = JSON.stringify([tenant, queue, task, outcome, row.interval_ms]);
    const group = groups.get(name) ?? {
      tenant,
      queue,
      task,
      outcome,
      intervalMs: row.interval_ms,
      count: 0,
      wait: new Map(),
      run: new Map(),
    };
    groups.set(name, group);
    if (row.kind === "all") group.count = row.count;
    else if (row.bucket !== null) group[row.kind].set(row.bucket, row.count);
  }
  return { untilUs: first.until_us, groups: [...groups.values()] };
}
