/** The worker of the benchmarks, in its own process: drains what it is told to and reports time, CPU, memory, requests and statements. */

import { systemClock as clock } from "../runtime/clock.ts";
import { createRegistry } from "../runtime/define/registry.ts";
import { createAnnouncer } from "../runtime/flow/announce.ts";
import { openLog } from "../runtime/log.ts";
import { openMetrics } from "../runtime/metrics/open-metrics.ts";
import { openPayloadStore } from "../runtime/payload/s3.ts";
import { openDatabase } from "../runtime/postgres/pool.ts";
import { openQueues } from "../runtime/queue/sqs.ts";
import { createWorker, type Worker } from "../runtime/worker/worker.ts";
import { sampleMemory } from "./memory.ts";
import { noop } from "./noop-task.ts";
import { element, list, size, step, takeMarks } from "./step-task.ts";

const {
  connectionString,
  endpoint,
  queueUrls,
  bucket,
  slots = 200,
  queueNames: usual = ["default"],
  /** How it is watched: `off` or `prometheus`. */
  variant = "off",
} = JSON.parse(String(process.env.BENCH));
const credentials = { accessKeyId: "test", secretAccessKey: "test" };
const log = openLog({ level: "warn", format: "json", service: "bench-worker" });
const pool = (max: number, applicationName: string) => openDatabase({ connectionString, max, applicationName });
const database = pool(8, "bench-worker");
const commitDatabase = pool(4, "bench-commit");
const beatDatabase = pool(1, "bench-beat");
const metrics = variant === "prometheus" ? observed() : null;
const region = "us-east-1";
const queues = openQueues({ region, endpoint, credentials, queues: queueUrls, observer: metrics?.queues });
const payloads = openPayloadStore({ region, endpoint, credentials, bucket, maxBytes: 16_777_216 });
const announcer = createAnnouncer({ database, queues, payloads, log });

/** Scraped every second. */
function observed() {
  const names = { namespace: "bench", stack: "bench", role: "worker", version: "bench" } as const;
  const kinds = { prometheus: true, emf: false };
  const opened = openMetrics({ ...kinds, ...names, intervalMs: 20_000, clock, write: () => {} });
  setInterval(() => void opened.shown?.text(), 1_000).unref();
  return { queues: opened.queues, worker: opened.worker("bench") };
}

let left = 0;
let onDone: () => void = () => {};

function newWorker(queueNames: readonly string[]): Worker {
  return createWorker({
    name: `bench-${process.pid}-${Math.random()}`,
    version: "bench",
    registry: createRegistry([noop, step, list, element, size]),
    middlewares: [
      {
        name: "count",
        postSave(_task, result) {
          if (result.recorded === "succeeded" && --left === 0) onDone();
        },
      },
    ],
    queues,
    queueNames,
    payloads,
    database,
    commitDatabase,
    beatDatabase,
    ring: announcer.ring,
    ...(metrics !== null && { metrics: metrics.worker }),
    log,
    clock,
    settings: {
      slots,
      leaseMs: 30_000,
      graceMs: 10_000,
      extendIntervalMs: 10_000,
      receiveWaitMs: 1_000,
      completeLingerMs: 3,
      commitTimeoutMs: 5_000,
      unknownTaskAfterMs: 3_600_000,
      drainWorkMs: 10_000,
      drainBudgetMs: 20_000,
      inlinePayloadBytes: 65_536,
      maxPayloadBytes: 16_777_216,
    },
  });
}

process.on("message", async (message: { tasks: number; queueNames?: readonly string[] }) => {
  left = message.tasks;
  const requests = queues.requests;
  const statements = database.statements + beatDatabase.statements;
  const cpu = process.cpuUsage();
  const memory = sampleMemory();
  const startedMs = performance.now();
  const done = new Promise<void>((resolve) => {
    onDone = resolve;
  });
  const worker = newWorker(message.queueNames ?? usual);
  worker.start();
  await done;
  const ms = performance.now() - startedMs;
  const used = process.cpuUsage(cpu);
  const counts = {
    requests: queues.requests - requests,
    statements: database.statements + beatDatabase.statements - statements,
  };
  await worker.drain();
  await announcer.idle();
  process.send?.({
    ms,
    cpuMs: (used.user + used.system) / 1_000,
    ...counts,
    marks: takeMarks(),
    memory: memory.stop(),
  });
});
process.on("disconnect", () => process.exit(0));
process.on("SIGTERM", () => process.exit(0));
process.send?.("ready");
