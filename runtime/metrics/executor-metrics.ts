/**
 * The metrics of the whole system, looked at by one executor process an interval: twice the same backlog would be twice the backlog. The one that
 * looked writes a line for CloudWatch and shows the figures to Prometheus until they are old, when another one has newer ones.
 */

import type { Clock } from "../clock.ts";
import { type Backlog, readBacklog } from "../executor/backlog.ts";
import type { ExecutorLoop } from "../executor/loop.ts";
import { takeTurn } from "../executor/turn.ts";
import type { Database } from "../postgres/pool.ts";
import type { QueueSet } from "../queue/queue-set.ts";
import type { Emf } from "./emf.ts";
import type { Meters } from "./meters.ts";
import type { GaugeName } from "./table.ts";

export type ExecutorMetricsParts = {
  /** Null: CloudWatch is told nothing. */
  readonly emf: Emf | null;
  readonly meters: Meters;
  readonly database: Database;
  readonly queues: QueueSet;
  readonly intervalMs: number;
  readonly clock: Clock;
};

/**
 * Processes ask more often than one of them may write, and one may write a little before the interval is over: no interval of the wall
 * clock, by which CloudWatch adds up, is then without a line.
 */
export const ASKS_PER_INTERVAL = 5;
export const TURN_SHARE = 0.75;
/** Longer than from one look to the next, whoever takes it. */
const SHOWN_INTERVALS = 1.5;

/** Nothing is written when the database or a queue does not answer: for the alarms a metric that is missing is a full queue. */
export function createExecutorMetrics(parts: ExecutorMetricsParts): ExecutorLoop {
  const { emf, meters, database, queues, intervalMs, clock } = parts;
  let seen: { readonly backlog: Backlog; readonly atMs: number } | null = null;
  show(meters, () =>
    seen !== null && clock.nowMs() - seen.atMs <= SHOWN_INTERVALS * intervalMs ? seen.backlog : null,
  );
  return {
    name: "metrics",
    intervalMs: intervalMs / ASKS_PER_INTERVAL,
    async step() {
      if ((await takeTurn(database, "metrics", intervalMs * TURN_SHARE)) === null) return false;
      const backlog = await readBacklog({ database, queues });
      seen = { backlog, atMs: clock.nowMs() };
      if (emf !== null) write(emf, backlog);
      return false;
    },
  };
}

function show(meters: Meters, latest: () => Backlog | null): void {
  const whole = (name: WholeGauge, value: (backlog: Backlog) => number): void =>
    meters.read(name, () => {
      const backlog = latest();
      return backlog === null ? [] : [{ labels: {}, value: value(backlog) }];
    });
  whole("taskq_backlog_tasks", ({ backlog }) => backlog);
  whole("taskq_oldest_queued_seconds", ({ oldestQueuedMs }) => secondsOf(oldestQueuedMs));
  whole("taskq_workers_alive", ({ workers }) => workers);
  whole("taskq_busy_ratio", busyRatio);
  whole("taskq_struggling_tasks", ({ struggling }) => struggling);
  whole("taskq_outbox_pending", ({ outboxPending }) => outboxPending);
  whole("taskq_outbox_lag_seconds", ({ outboxOldestMs }) => secondsOf(outboxOldestMs));
  meters.read("taskq_queue_messages", () =>
    (latest()?.queues ?? []).flatMap(({ name: queue, visible, inFlight }) => [
      { labels: { queue, state: "visible" }, value: visible },
      { labels: { queue, state: "in_flight" }, value: inFlight },
    ]),
  );
  meters.read("taskq_dlq_messages", () =>
    (latest()?.queues ?? []).flatMap(({ name: queue, deadLettered }) =>
      deadLettered === null ? [] : [{ labels: { queue }, value: deadLettered }],
    ),
  );
}

type WholeGauge = Extract<
  GaugeName,
  | "taskq_backlog_tasks"
  | "taskq_oldest_queued_seconds"
  | "taskq_workers_alive"
  | "taskq_busy_ratio"
  | "taskq_struggling_tasks"
  | "taskq_outbox_pending"
  | "taskq_outbox_lag_seconds"
>;

function write(emf: Emf, backlog: Backlog): void {
  emf.put({
    Backlog: backlog.backlog,
    OldestQueuedSeconds: secondsOf(backlog.oldestQueuedMs),
    Workers: backlog.workers,
    BusyRatio: busyRatio(backlog),
    OutboxPending: backlog.outboxPending,
    OutboxOldestSeconds: secondsOf(backlog.outboxOldestMs),
    StrugglingTasks: backlog.struggling,
  });
  for (const { name, visible, inFlight, deadLettered } of backlog.queues) {
    emf.put({ Visible: visible, InFlight: inFlight, DeadLettered: deadLettered ?? undefined }, name);
  }
}

/** Nobody there, or nobody known to be: busy, so that nothing is taken away. */
function busyRatio({ slots, running }: Backlog): number {
  return slots > 0 ? running / slots : 1;
}

function secondsOf(ms: number | null): number {
  return ms === null ? 0 : Math.max(0, ms / 1_000);
}
