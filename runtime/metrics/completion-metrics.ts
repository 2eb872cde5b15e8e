/**
 * What became of all tasks and runs, counted from their rows by one executor process at a time.
 *
 * What one has counted is stored under the fence of its turn (executor/turn.ts) before it is added: the next process goes on from there, so that each
 * end is counted by one process, once. A process that dies in between takes along what it was about to add.
 */

import { z } from "zod";
import type { ExecutorLoop } from "../executor/loop.ts";
import { storeMemory, takeTurn } from "../executor/turn.ts";
import type { Database, Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import { type CompletionGroup, readCompletions } from "./completions.ts";
import { type Emf, MOST_VALUES } from "./emf.ts";
import { ASKS_PER_INTERVAL, TURN_SHARE } from "./executor-metrics.ts";
import { addUp, type Histogram, middleOf } from "./histogram.ts";
import type { Meters, Spread } from "./meters.ts";

export type CompletionMetricsParts = {
  readonly emf: Emf | null;
  readonly meters: Meters;
  readonly database: Database;
  /** Names of the queues, tasks and jobs there are. Others, such as those of an older version, are counted together. */
  readonly known: {
    readonly queues: ReadonlySet<string>;
    readonly tasks: ReadonlySet<string>;
    readonly jobs: ReadonlySet<string>;
  };
  readonly intervalMs: number;
};

type RunGroup = { readonly job: string | null; readonly outcome: string; readonly count: number };

const TURN = "completions";
/** After a time in which nobody counted: what ended longer ago is left out. */
const MAX_AGE_MS = 3_600_000;
const MEMORY = z.object({ untilUs: z.number() });
const READ_RUN_COMPLETIONS = loadSql(import.meta.url, "./read-run-completions.sql");

export function createCompletionMetrics(parts: CompletionMetricsParts): ExecutorLoop {
  const { emf, meters, database, intervalMs } = parts;
  return {
    name: TURN,
    intervalMs: intervalMs / ASKS_PER_INTERVAL,
    async step() {
      const turn = await takeTurn(database, TURN, intervalMs * TURN_SHARE);
      if (turn === null) return false;
      const remembered = MEMORY.safeParse(turn.memory);
      const sinceUs = remembered.success ? remembered.data.untilUs : null;
      const { groups, untilUs } = await readCompletions(database, {
        sinceUs,
        // The first process of all counts from now on.
        maxAgeMs: sinceUs === null ? 0 : MAX_AGE_MS,
      });
      const runs = sinceUs === null ? [] : await readRuns(database, sinceUs, untilUs);
      if (!(await storeMemory(database, turn, { untilUs }))) return false;
      count(meters, groups, runs, parts.known);
      if (emf !== null) write(emf, groups);
      return false;
    },
  };
}

async function readRuns(database: Queryable, sinceUs: number, untilUs: number): Promise<RunGroup[]> {
  const oldestUs = untilUs - MAX_AGE_MS * 1_000;
  return await database.query<RunGroup>(READ_RUN_COMPLETIONS, [Math.max(sinceUs, oldestUs), untilUs]);
}

function count(
  meters: Meters,
  groups: readonly CompletionGroup[],
  runs: readonly RunGroup[],
  known: CompletionMetricsParts["known"],
): void {
  for (const group of groups) {
    const queue = known.queues.has(group.queue) ? group.queue : "other";
    const type = known.tasks.has(group.task) ? group.task : "other";
    const { outcome } = group;
    meters.counter("taskq_tasks_completed_total", { queue, type, outcome }).value += group.count;
    noteAll(meters.histogram("taskq_task_queue_wait_seconds", { queue, type }), group.wait);
    noteAll(meters.histogram("taskq_task_run_seconds", { queue, type, outcome }), group.run);
  }
  for (const run of runs) {
    const job = run.job === null ? "none" : known.jobs.has(run.job) ? run.job : "other";
    meters.counter("taskq_runs_completed_total", { job, outcome: run.outcome }).value += run.count;
  }
}

function noteAll(spread: Spread, durations: Histogram): void {
  for (const [bucket, times] of durations) spread.note(middleOf(bucket) / 1_000, times);
}

function write(emf: Emf, groups: readonly CompletionGroup[]): void {
  emf.put({
    QueueWaitSeconds: standIns(addUp(groups.map(({ wait }) => wait))),
    RunSeconds: standIns(addUp(groups.map(({ run }) => run))),
  });
}

/** Values spread over all of them as evenly as a line has room for. */
function standIns(durations: Histogram): number[] {
  const buckets = [...durations].sort(([a], [b]) => a - b);
  const total = buckets.reduce((sum, [, times]) => sum + times, 0);
  const wanted = Math.min(total, MOST_VALUES);
  const values: number[] = [];
  let below = 0;
  for (const [bucket, times] of buckets) {
    below += times;
    while (values.length < wanted && (values.length + 0.5) * (total / wanted) <= below) {
      values.push(Math.round(middleOf(bucket) * 10) / 10_000);
    }
  }
  return values;
}
