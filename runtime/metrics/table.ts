/**
 * Every metric that `/metrics` shows: the one list that the registry is made of and that README.md is compared with. Pure data.
 *
 * No label is unbounded. `queue` and `type` (the task's name) are those of the configuration and of the registry, `route` is the pattern of
 * a route, and whatever else comes is counted under `other`: each value of a label is a series that somebody pays for.
 *
 * Over 300 lines: one entry a metric, each with all that is to be known of it.
 */

import type { MetricName } from "./names.ts";

/** Which part of a process exports it; `process`: each one. A process of the role `all` is every part. */
export type Part = "process" | "api" | "executor" | "worker";

export type Meter = {
  readonly type: "counter" | "gauge" | "histogram";
  /** What one of its value is: `1` for what is counted in no unit. */
  readonly unit: "tasks" | "runs" | "attempts" | "messages" | "seconds" | "bytes" | "1";
  readonly labels: readonly string[];
  readonly help: string;
  readonly by: Part;
  /** Upper bounds of a histogram, without the last one, which is infinite. */
  readonly buckets?: readonly number[];
  /** The names under which CloudWatch has the same figure. */
  readonly cloudWatch?: readonly MetricName[];
};

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600] as const;
const REQUEST_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] as const;
const CANCEL_SECONDS = [0.1, 0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 30, 60] as const;
const BYTES = [256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216] as const;
const ATTEMPTS = [1, 2, 3, 4, 5, 10, 20, 50] as const;

export const METERS = {
  // Of all tasks, from their rows: whoever ended them, and whoever was killed meanwhile.
  taskq_tasks_completed_total: {
    type: "counter",
    unit: "tasks",
    labels: ["queue", "type", "outcome"],
    help: "Tasks that reached their end: succeeded, failed, cancelled or skipped. Add up all processes.",
    by: "executor",
  },
  taskq_task_queue_wait_seconds: {
    type: "histogram",
    unit: "seconds",
    labels: ["queue", "type"],
    help: "From due to the start of the last attempt, of tasks that reached their end; to within a tenth. Add up all processes.",
    by: "executor",
    buckets: SECONDS,
    cloudWatch: ["QueueWaitSeconds"],
  },
  taskq_task_run_seconds: {
    type: "histogram",
    unit: "seconds",
    labels: ["queue", "type", "outcome"],
    help: "From the start of the last attempt to the end, of tasks that reached it; to within a tenth. Add up all processes.",
    by: "executor",
    buckets: SECONDS,
    cloudWatch: ["RunSeconds"],
  },
  taskq_runs_completed_total: {
    type: "counter",
    unit: "runs",
    labels: ["job", "outcome"],
    help: "Runs that reached their end: succeeded, failed or cancelled; job none for a graph of no job. Add up all processes.",
    by: "executor",
  },

  // Of the whole system, looked at by one executor process at a time: only that one shows them, so read the maximum.
  taskq_backlog_tasks: {
    type: "gauge",
    unit: "tasks",
    labels: [],
    help: "Tasks that could run now and do not: visible messages, and due doorbells still in the outbox.",
    by: "executor",
    cloudWatch: ["Backlog"],
  },
  taskq_oldest_queued_seconds: {
    type: "gauge",
    unit: "seconds",
    labels: [],
    help: "How long the oldest queued task has been due; 0 when none is.",
    by: "executor",
    cloudWatch: ["OldestQueuedSeconds"],
  },
  taskq_workers_alive: {
    type: "gauge",
    unit: "1",
    labels: [],
    help: "Workers that are alive and take new work.",
    by: "executor",
    cloudWatch: ["Workers"],
  },
  taskq_busy_ratio: {
    type: "gauge",
    unit: "1",
    labels: [],
    help: "Running attempts of these workers as a share of their slots, from 0 to 1; 1 when there are no slots.",
    by: "executor",
    cloudWatch: ["BusyRatio"],
  },
  taskq_struggling_tasks: {
    type: "gauge",
    unit: "tasks",
    labels: [],
    help: "Unfinished tasks on their third attempt or a later one.",
    by: "executor",
    cloudWatch: ["StrugglingTasks"],
  },
  taskq_outbox_pending: {
    type: "gauge",
    unit: "messages",
    labels: [],
    help: "Messages that are owed and not sent yet.",
    by: "executor",
    cloudWatch: ["OutboxPending"],
  },
  taskq_outbox_lag_seconds: {
    type: "gauge",
    unit: "seconds",
    labels: [],
    help: "How long the longest of these messages has been owed; 0 when none is.",
    by: "executor",
    cloudWatch: ["OutboxOldestSeconds"],
  },
  taskq_queue_messages: {
    type: "gauge",
    unit: "messages",
    labels: ["queue", "state"],
    help: "Messages in the queue by state, visible or in_flight; approximate, as SQS counts.",
    by: "executor",
    cloudWatch: ["Visible", "InFlight"],
  },
  taskq_dlq_messages: {
    type: "gauge",
    unit: "messages",
    labels: ["queue"],
    help: "Messages in the queue's dead-letter queue; left out when that one does not answer.",
    by: "executor",
    cloudWatch: ["DeadLettered"],
  },

  // Of this process, counted where it happens.
  taskq_leases_expired_total: {
    type: "counter",
    unit: "attempts",
    labels: ["queue", "type"],
    help: "Attempts whose worker stopped renewing their lease, recovered by this process.",
    by: "executor",
    cloudWatch: ["LeasesExpired"],
  },
  taskq_tasks_enqueued_total: {
    type: "counter",
    unit: "tasks",
    labels: ["queue", "type"],
    help: "Tasks and steps that this process has written: by requests, runs, schedules and the expansion of mapped steps. Not those written inside a transaction of yours.",
    by: "process",
  },
  taskq_payload_bytes: {
    type: "histogram",
    unit: "bytes",
    labels: ["kind"],
    help: "Size of each input and result that was written, by kind: input or result. Null has none.",
    by: "process",
    buckets: BYTES,
  },
  taskq_s3_offload_total: {
    type: "counter",
    unit: "1",
    labels: [],
    help: "Payloads stored in S3 because they are too large for a row.",
    by: "process",
  },
  taskq_sqs_batch_entry_failures_total: {
    type: "counter",
    unit: "messages",
    labels: ["op", "code", "sender_fault"],
    help: "Messages that could not be sent, deleted or hidden after all tries, by op: send, delete or change_visibility.",
    by: "process",
  },
  taskq_sqs_receive_empty_total: {
    type: "counter",
    unit: "1",
    labels: [],
    help: "Polls that brought no message.",
    by: "process",
  },
  taskq_db_pool_clients: {
    type: "gauge",
    unit: "1",
    labels: ["pool", "state"],
    help: "Connections to Postgres: total and idle; waiting is who waits for one.",
    by: "process",
  },
  taskq_db_retry_total: {
    type: "counter",
    unit: "1",
    labels: ["code"],
    help: "Statements tried again, by SQLSTATE or by the code of the broken connection.",
    by: "process",
  },

  taskq_http_request_seconds: {
    type: "histogram",
    unit: "seconds",
    labels: ["method", "route", "status"],
    help: "Requests until their answer was sent; waits for a task and streams included. Route other: nothing is served there.",
    by: "api",
    buckets: REQUEST_SECONDS,
  },

  taskq_claims_total: {
    type: "counter",
    unit: "1",
    labels: ["result"],
    help: "What claims came to: won, or why not: duplicate (over already), leased (running), contended, limited, early, unknown (task not known here) or missing (no row).",
    by: "worker",
  },
  taskq_attempts_started_total: {
    type: "counter",
    unit: "attempts",
    labels: ["queue", "type"],
    help: "Attempts that this worker has started.",
    by: "worker",
    cloudWatch: ["Started"],
  },
  taskq_attempts_ended_total: {
    type: "counter",
    unit: "attempts",
    labels: ["queue", "type", "outcome"],
    help: "Attempts of this worker whose end was recorded: succeeded, failed, retried, cancelled, skipped, expanded, released or lost.",
    by: "worker",
    cloudWatch: ["Succeeded", "Failed", "Retried"],
  },
  taskq_attempts: {
    type: "histogram",
    unit: "attempts",
    labels: ["type"],
    help: "Attempts that a task took until this worker recorded its end.",
    by: "worker",
    buckets: ATTEMPTS,
  },
  taskq_tasks_running: {
    type: "gauge",
    unit: "attempts",
    labels: ["queue", "type"],
    help: "Attempts that run on this worker.",
    by: "worker",
    cloudWatch: ["Running"],
  },
  taskq_worker_slots: {
    type: "gauge",
    unit: "1",
    labels: ["state"],
    help: "Slots of this worker that are busy or free, none of them free while it drains; leaked ones are busy with handlers that ignored their abort.",
    by: "worker",
    cloudWatch: ["Slots", "LeakedSlots"],
  },
  taskq_lease_lost_total: {
    type: "counter",
    unit: "attempts",
    labels: [],
    help: "Attempts that turned out not to own their task any more.",
    by: "worker",
    cloudWatch: ["LeasesLost"],
  },
  taskq_heartbeat_failures_total: {
    type: "counter",
    unit: "1",
    labels: ["target"],
    help: "Renewals that failed, of leases (target db) or of messages in flight (target sqs).",
    by: "worker",
  },
  taskq_cancel_latency_seconds: {
    type: "histogram",
    unit: "seconds",
    labels: [],
    help: "From the request to cancel a running task until its handler was told.",
    by: "worker",
    buckets: CANCEL_SECONDS,
  },
  taskq_cancel_escalations_total: {
    type: "counter",
    unit: "attempts",
    labels: ["level"],
    help: "Attempts ended because their task was cancelled: abort, all whose handler was told; kill, those that outlasted their grace time.",
    by: "worker",
  },
  taskq_messages_poisoned_total: {
    type: "counter",
    unit: "messages",
    labels: ["queue", "reason"],
    help: "Messages that no task can come of, moved to the dead-letter queue.",
    by: "worker",
  },

  taskq_build_info: {
    type: "gauge",
    unit: "1",
    labels: ["version", "role"],
    help: "Always 1: the version that runs here and its role.",
    by: "process",
  },
  nodejs_eventloop_lag_p99_seconds: {
    type: "gauge",
    unit: "seconds",
    labels: [],
    help: "How late timers fired, the 99th percentile since the last look: inline handlers that compute.",
    by: "process",
    cloudWatch: ["EventLoopDelayMs"],
  },
  nodejs_heap_size_used_bytes: {
    type: "gauge",
    unit: "bytes",
    labels: [],
    help: "Memory of the JavaScript heap in use.",
    by: "process",
  },
  process_cpu_seconds_total: {
    type: "counter",
    unit: "seconds",
    labels: [],
    help: "CPU time of this process, user and system.",
    by: "process",
  },
  process_resident_memory_bytes: {
    type: "gauge",
    unit: "bytes",
    labels: [],
    help: "Memory of this process that is not swapped out.",
    by: "process",
  },
  process_start_time_seconds: {
    type: "gauge",
    unit: "seconds",
    labels: [],
    help: "When this process started, since 1970.",
    by: "process",
  },
} as const satisfies Record<string, Meter>;

export type MeterName = keyof typeof METERS;
type OfType<Type extends Meter["type"]> = {
  [Name in MeterName]: (typeof METERS)[Name]["type"] extends Type ? Name : never;
}[MeterName];
export type CounterName = OfType<"counter">;
export type GaugeName = OfType<"gauge">;
export type HistogramName = OfType<"histogram">;

/** A value for each of its labels, no more and no fewer. */
export type LabelsOf<Name extends MeterName> = { readonly [Label in (typeof METERS)[Name]["labels"][number]]: string };
