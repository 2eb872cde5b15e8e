/** The metrics of the whole system, written by one executor process an interval: twice the same backlog would be twice the backlog. */

import { type Backlog, readBacklog } from "../executor/backlog.ts";
import type { ExecutorLoop } from "../executor/loop.ts";
import { takeTurn } from "../executor/turn.ts";
import type { Database } from "../postgres/pool.ts";
import type { QueueSet } from "../queue/queue-set.ts";
import type { Emf } from "./emf.ts";

export type ExecutorMetricsParts = {
  readonly emf: Emf;
  readonly database: Database;
  readonly queues: QueueSet;
  readonly intervalMs: number;
};

/**
 * Processes ask more often than one of them may write, and one may write a little before the interval is over: no interval of the wall
 * clock, by which CloudWatch adds up, is then without a line.
 */
const ASKS_PER_INTERVAL = 5;
const TURN_SHARE = 0.75;

/** Nothing is written when the database or a queue does not answer: for the alarms a metric that is missing is a full queue. */
export function createExecutorMetrics({ emf, database, queues, intervalMs }: ExecutorMetricsParts): ExecutorLoop {
  return {
    name: "metrics",
    intervalMs: intervalMs / ASKS_PER_INTERVAL,
    async step() {
      if ((await takeTurn(database, "metrics", intervalMs * TURN_SHARE)) === null) return false;
      write(emf, await readBacklog({ database, queues }));
      return false;
    },
  };
}

function write(emf: Emf, backlog: Backlog): void {
  emf.put({
    Backlog: backlog.backlog,
    OldestQueuedSeconds: secondsOf(backlog.oldestQueuedMs),
    Workers: backlog.workers,
    // Nobody there, or nobody known to be: busy, so that nothing is taken away.
    BusyRatio: backlog.slots > 0 ? backlog.running / backlog.slots : 1,
    OutboxPending: backlog.outboxPending,
    OutboxOldestSeconds: secondsOf(backlog.outboxOldestMs),
    StrugglingTasks: backlog.struggling,
  });
  for (const { name, visible, inFlight, deadLettered } of backlog.queues) {
    emf.put({ Visible: visible, InFlight: inFlight, DeadLettered: deadLettered ?? undefined }, name);
  }
}

function secondsOf(ms: number | null): number {
  return ms === null ? 0 : Math.max(0, ms / 1_000);
}
