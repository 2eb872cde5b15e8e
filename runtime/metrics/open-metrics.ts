/** Everything that counts in one process, put together for its role. Each part is handed the little that it has to call. */

import type { ApiMetrics } from "../api/metrics-routes.ts";
import type { Clock } from "../clock.ts";
import type { ExecutorLoop } from "../executor/loop.ts";
import type { Reaped } from "../flow/reap.ts";
import type { SubmitObserver } from "../flow/submit-observer.ts";
import type { PayloadStore } from "../payload/payload.ts";
import type { Database } from "../postgres/pool.ts";
import type { QueueObserver } from "../queue/queue-observer.ts";
import type { QueueSet } from "../queue/queue-set.ts";
import type { WorkerObserver } from "../worker/observer.ts";
import { createBound } from "./bound.ts";
import { type CompletionMetricsParts, createCompletionMetrics } from "./completion-metrics.ts";
import { createEmf } from "./emf.ts";
import { createExecutorMetrics } from "./executor-metrics.ts";
import { measuredPayloads } from "./measured-payloads.ts";
import { createMeters, type Meters } from "./meters.ts";
import { readPool, readProcess } from "./process-meters.ts";
import type { Part } from "./table.ts";
import { withLines } from "./worker-lines.ts";
import { createWorkerMetrics } from "./worker-metrics.ts";

export type OpenMetrics = {
  /** Null: `/metrics` shows none. */
  readonly shown: ApiMetrics | null;
  readonly submitting: SubmitObserver;
  readonly queues: QueueObserver;
  payloads<Store extends PayloadStore>(store: Store): Store;
  /** @param purpose of its connections, as Postgres is told */
  pool(purpose: string, database: Database): void;
  loops(parts: { readonly database: Database; readonly queues: QueueSet; readonly known: Known }): ExecutorLoop[];
  reaped(tasks: readonly Reaped[]): void;
  worker(name: string): WorkerObserver;
};

export type Known = CompletionMetricsParts["known"];

export type MetricsOptions = {
  readonly prometheus: boolean;
  readonly emf: boolean;
  readonly namespace: string;
  readonly stack: string;
  readonly intervalMs: number;
  readonly role: "api" | "executor" | "worker" | "all";
  readonly version: string;
  readonly clock: Clock;
  /** Takes the lines for CloudWatch. */
  readonly write: (line: string) => void;
};

const PARTS = {
  api: ["api", "executor"],
  executor: ["executor"],
  worker: ["worker"],
  all: ["api", "executor", "worker"],
} as const satisfies Record<MetricsOptions["role"], readonly Part[]>;

export function openMetrics(options: MetricsOptions): OpenMetrics {
  const { role, clock, intervalMs } = options;
  const meters = createMeters(PARTS[role]);
  readProcess({ meters, version: options.version, role, clock });
  const emf = options.emf ? createEmf(options) : null;
  return {
    shown: options.prometheus ? shownOf(meters) : null,
    submitting: submitObserver(meters),
    queues: queueObserver(meters),
    payloads: (store) => measuredPayloads(store, meters),
    pool: (purpose, database) => readPool(meters, purpose, database),
    loops: ({ database, queues, known }) => [
      createExecutorMetrics({ emf, meters, database, queues, intervalMs, clock }),
      createCompletionMetrics({ emf, meters, database, known, intervalMs }),
    ],
    reaped(tasks) {
      for (const { queue, name: type } of tasks) meters.counter("taskq_leases_expired_total", { queue, type }).value++;
      if (tasks.length > 0) emf?.put({ LeasesExpired: tasks.length });
    },
    worker(name) {
      const metrics = createWorkerMetrics(meters);
      if (!options.emf) return metrics;
      return withLines({ metrics, meters, emf: createEmf({ ...options, worker: name }), clock, intervalMs });
    },
  };
}

function shownOf(meters: Meters): ApiMetrics {
  return {
    text: meters.text,
    contentType: meters.contentType,
    answered(method, route, status, seconds) {
      const labels = {
        method: METHODS.has(method) ? method : "other",
        route: route ?? "other",
        status: String(status),
      };
      meters.histogram("taskq_http_request_seconds", labels).note(seconds);
    },
  };
}

/** Node's parser knows many more, of which nobody is served. */
const METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

function submitObserver(meters: Meters): SubmitObserver {
  const inputs = meters.histogram("taskq_payload_bytes", { kind: "input" });
  return {
    enqueued(queue, type) {
      meters.counter("taskq_tasks_enqueued_total", { queue, type }).value++;
    },
    inputStored: (bytes) => inputs.note(bytes),
  };
}

function queueObserver(meters: Meters): QueueObserver {
  const empty = meters.counter("taskq_sqs_receive_empty_total", {});
  const codes = createBound();
  return {
    entryFailed(op, code, senderFault) {
      const labels = { op, code: codes(code), sender_fault: String(senderFault) };
      meters.counter("taskq_sqs_batch_entry_failures_total", labels).value++;
    },
    receivedNothing: () => void empty.value++,
  };
}
