/**
 * Every metric the runtime writes for CloudWatch (those of Prometheus are in table.ts, which names these where it has the same figure): the one list that alarms, dashboards and the scaling policy are checked against. A name is
 * never changed: alarms match on it. Pure data, so that the infrastructure program can read it too.
 */

export type MetricUnit = "Count" | "Seconds" | "Milliseconds" | "None";

export type Metric = {
  readonly meaning: string;
  readonly unit: MetricUnit;
  /** Who writes it: every worker, or one executor process at a time. */
  readonly source: "worker" | "executor";
  readonly dimensions: readonly Dimension[];
  /** 1: kept by the second, for alarms with periods of 10, 20 or 30 s. 60: by the minute. */
  readonly storageResolution: 1 | 60;
  /** Written only when there is something to say: never by a system in which nothing happens. Default: in every line. */
  readonly sporadic?: true;
};

/** `Stack`: the deployment. `Queue`: the name the queue has in `TASKIQ_QUEUES`. */
export type Dimension = "Stack" | "Queue";

const OF_STACK = ["Stack"] as const;
const OF_QUEUE = ["Stack", "Queue"] as const;

export const METRICS = {
  // From each worker. Over the fleet, the sum of one period is meant; EventLoopDelayMs is read by its maximum.
  Running: {
    meaning: "Attempts that run.",
    unit: "Count",
    source: "worker",
    dimensions: OF_STACK,
    storageResolution: 1,
  },
  Slots: {
    meaning: "Room for attempts, used or free. A draining worker has no more than it uses; a stopped one writes none.",
    unit: "Count",
    source: "worker",
    dimensions: OF_STACK,
    storageResolution: 1,
  },
  LeakedSlots: {
    meaning: "Slots held by handlers that ignored their abort and still run.",
    unit: "Count",
    source: "worker",
    dimensions: OF_STACK,
    storageResolution: 60,
  },
  Started: {
    meaning: "Attempts that were started since the line before.",
    unit: "Count",
    source: "worker",
    dimensions: OF_STACK,
    storageResolution: 60,
  },
  Succeeded: {
    meaning: "Tasks whose success was recorded since the line before.",
    unit: "Count",
    source: "worker",
    dimensions: OF_STACK,
    storageResolution: 60,
  },
  Failed: {
    meaning: "Tasks that failed for good since the line before.",
    unit: "Count",
    source: "worker",
    dimensions: OF_STACK,
    storageResolution: 60,
  },
  Retried: {
    meaning: "Attempts that failed, with their task queued again, since the line before.",
    unit: "Count",
    source: "worker",
    dimensions: OF_STACK,
    storageResolution: 60,
  },
  LeasesLost: {
    meaning: "Attempts that turned out not to own their task any more, since the line before.",
    unit: "Count",
    source: "worker",
    dimensions: OF_STACK,
    storageResolution: 60,
  },
  EventLoopDelayMs: {
    meaning: "How late timers fired, the 99th percentile since the line before: inline handlers that compute.",
    unit: "Milliseconds",
    source: "worker",
    dimensions: OF_STACK,
    storageResolution: 60,
  },

  // From one executor process at a time. One value an interval: any statistic gives it, a sum over a minute does not.
  Backlog: {
    meaning: "Tasks that could run now and do not: visible messages, and due doorbells still in the outbox.",
    unit: "Count",
    source: "executor",
    dimensions: OF_STACK,
    storageResolution: 1,
  },
  OldestQueuedSeconds: {
    meaning: "How long the oldest queued task has been due; 0 when none is.",
    unit: "Seconds",
    source: "executor",
    dimensions: OF_STACK,
    storageResolution: 60,
  },
  Workers: {
    meaning: "Workers that are alive and take new work.",
    unit: "Count",
    source: "executor",
    dimensions: OF_STACK,
    storageResolution: 60,
  },
  BusyRatio: {
    meaning: "Running attempts of these workers as a share of their slots, from 0 to 1; 1 when there are no slots.",
    unit: "None",
    source: "executor",
    dimensions: OF_STACK,
    storageResolution: 1,
  },
  OutboxPending: {
    meaning: "Messages that are owed and not sent yet.",
    unit: "Count",
    source: "executor",
    dimensions: OF_STACK,
    storageResolution: 60,
  },
  OutboxOldestSeconds: {
    meaning: "How long the longest of them has been owed; 0 when none is.",
    unit: "Seconds",
    source: "executor",
    dimensions: OF_STACK,
    storageResolution: 60,
  },
  StrugglingTasks: {
    meaning: "Unfinished tasks on their third attempt or a later one.",
    unit: "Count",
    source: "executor",
    dimensions: OF_STACK,
    storageResolution: 60,
  },
  LeasesExpired: {
    meaning:
      "Attempts whose worker stopped renewing their lease, when they are recovered: a worker that is gone writes no line.",
    unit: "Count",
    source: "executor",
    dimensions: OF_STACK,
    storageResolution: 60,
    sporadic: true,
  },
  QueueWaitSeconds: {
    meaning:
      "From due to the start of the last attempt, of the tasks that ended since the line before: up to 100 values that stand for all.",
    unit: "Seconds",
    source: "executor",
    dimensions: OF_STACK,
    storageResolution: 60,
    sporadic: true,
  },
  RunSeconds: {
    meaning: "From the start of the last attempt to the end, of the same tasks and in the same way.",
    unit: "Seconds",
    source: "executor",
    dimensions: OF_STACK,
    storageResolution: 60,
    sporadic: true,
  },
  Visible: {
    meaning: "Messages that wait in the queue; approximate, as SQS counts.",
    unit: "Count",
    source: "executor",
    dimensions: OF_QUEUE,
    storageResolution: 60,
  },
  InFlight: {
    meaning:
      "Messages that were received and not deleted. A claim deletes its message, so these are not running tasks.",
    unit: "Count",
    source: "executor",
    dimensions: OF_QUEUE,
    storageResolution: 60,
  },
  DeadLettered: {
    meaning: "Messages in the queue's dead-letter queue; left out when that one does not answer.",
    unit: "Count",
    source: "executor",
    dimensions: OF_QUEUE,
    storageResolution: 60,
  },
} as const satisfies Record<string, Metric>;

export type MetricName = keyof typeof METRICS;
