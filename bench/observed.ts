/**
 * `npm run bench:observed`: what it costs to be watched. No-op tasks from their submission to the recorded outcome, with everything that counts
 * switched off and with each variant; rounds interleaved, each variant with worker processes of its own, because code that was compiled for one is
 * slower for the other.
 *
 * Options: --variants prometheus --starts 3 --rounds 5 --tasks 10000 --profile
 * A worker is asked for /metrics every second, fifteen times as often as Prometheus does by default.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { parseArgs } from "node:util";
import { systemClock as clock } from "../runtime/clock.ts";
import { chainMiddlewares } from "../runtime/define/middleware.ts";
import { createRegistry } from "../runtime/define/registry.ts";
import { createAnnouncer } from "../runtime/flow/announce.ts";
import { createSubmitter, type Submitter } from "../runtime/flow/submit.ts";
import { startLocalStack } from "../runtime/local/stack.ts";
import { openLog } from "../runtime/log.ts";
import { openMetrics } from "../runtime/metrics/open-metrics.ts";
import { openPayloadStore } from "../runtime/payload/s3.ts";
import { migrate } from "../runtime/postgres/migrate.ts";
import { openDatabase } from "../runtime/postgres/pool.ts";
import { openQueues } from "../runtime/queue/sqs.ts";
import { noop } from "./noop-task.ts";
import { submitAll } from "./submit-all.ts";

const { values } = parseArgs({
  options: {
    variants: { type: "string", default: "prometheus" },
    starts: { type: "string", default: "3" },
    rounds: { type: "string", default: "5" },
    tasks: { type: "string", default: "10000" },
    profile: { type: "boolean", default: false },
  },
});
const [STARTS, ROUNDS, TASKS] = [Number(values.starts), Number(values.rounds), Number(values.tasks)];
const OFF = "off";
const KNOWN = ["prometheus"];
const VARIANTS = [OFF, ...values.variants.split(",")];
const unknown = VARIANTS.find((variant) => variant !== OFF && !KNOWN.includes(variant));
if (unknown !== undefined) throw new Error(`--variants: expected some of ${KNOWN.join(", ")}, got ${unknown}.`);

/** `cpuMs`: of the worker. */
type Round = { readonly ms: number; readonly cpuMs: number; readonly submitMs: number };

const stack = await startLocalStack({ keep: false, env: {} });
const env = stack.env as Record<string, string>;
const connectionString = String(env.DATABASE_URL);
const aws = {
  region: "us-east-1",
  endpoint: String(env.AWS_ENDPOINT_URL),
  credentials: { accessKeyId: "test", secretAccessKey: "test" },
};
const bucket = String(env.TASKIQ_S3_BUCKET);
const queueUrls = JSON.parse(String(env.TASKIQ_QUEUES)).filter(({ type }: { type: string }) => type === "standard");
await migrate(connectionString);
const log = openLog({ level: "warn", format: "json", service: "bench" });
const database = openDatabase({ connectionString, max: 8, applicationName: "bench" });
const queues = openQueues({ ...aws, queues: queueUrls });
const payloads = openPayloadStore({ ...aws, bucket, maxBytes: 16_777_216 });
const announcer = createAnnouncer({ database, queues, payloads, log });
const submitters = new Map(VARIANTS.map((variant) => [variant, submitterOf(variant)]));

try {
  const results = new Map<string, { readonly off: Round; readonly on: Round }[]>();
  for (let start = 0; start < STARTS; start++) {
    const workers = new Map(VARIANTS.map((variant) => [variant, startWorker(variant)]));
    await Promise.all([...workers.values()].map((worker) => once(worker, "message")));
    // The first round of each compiles, prepares and connects.
    for (let round = 0; round <= ROUNDS; round++) {
      const order = round % 2 === 0 ? VARIANTS : VARIANTS.toReversed();
      const measured = new Map<string, Round>();
      for (const variant of order) measured.set(variant, await measure(variant, workers.get(variant)));
      const off = measured.get(OFF);
      if (round === 0 || off === undefined) continue;
      for (const [variant, on] of measured) {
        if (variant !== OFF) results.set(variant, [...(results.get(variant) ?? []), { off, on }]);
      }
      process.stderr.write(`${[...measured].map(([name, { ms }]) => `${name} ${ms.toFixed(0)} ms`).join(", ")}\n`);
    }
    for (const worker of workers.values()) worker.kill();
  }
  for (const [variant, rounds] of results) report(variant, rounds);
} finally {
  await database.close();
  await stack.stop();
}
process.exit(0);

function submitterOf(variant: string): Submitter {
  const names = { namespace: "bench", stack: "bench", role: "api", version: "bench" } as const;
  const kinds = { prometheus: true, emf: false };
  const metrics =
    variant === OFF ? null : openMetrics({ ...kinds, ...names, intervalMs: 20_000, clock, write: () => {} });
  return createSubmitter({
    database,
    payloads,
    announcer,
    registry: createRegistry([noop]),
    middlewares: chainMiddlewares([], log),
    queues,
    inlinePayloadBytes: 65_536,
    maxPayloadBytes: 16_777_216,
    idempotencyTtlMs: 86_400_000,
    groupCommitMs: 2,
    observer: metrics?.submitting,
  });
}

function startWorker(variant: string): ChildProcess {
  const { endpoint } = aws;
  return fork(new URL("./noop-worker.ts", import.meta.url), {
    execArgv: values.profile ? ["--cpu-prof", "--cpu-prof-name", `${variant}.cpuprofile`] : [],
    env: { ...process.env, BENCH: JSON.stringify({ connectionString, endpoint, queueUrls, bucket, variant }) },
  });
}

async function measure(variant: string, worker: ChildProcess | undefined): Promise<Round> {
  const submitter = submitters.get(variant);
  if (worker === undefined || submitter === undefined) throw new Error(`expected a worker for ${variant}`);
  const own = process.cpuUsage();
  const drained = once(worker, "message");
  worker.send({ tasks: TASKS });
  await submitAll(submitter, TASKS);
  // The worker answers with what it measured.
  const [{ ms, cpuMs }] = (await drained) as [{ ms: number; cpuMs: number }];
  await announcer.idle();
  const { user, system } = process.cpuUsage(own);
  return { ms, cpuMs, submitMs: (user + system) / 1_000 };
}

function report(variant: string, rounds: readonly { readonly off: Round; readonly on: Round }[]): void {
  const ratio = (what: keyof Round) => median(rounds.map(({ off, on }) => on[what] / off[what])).toFixed(3);
  const micros = (of: "off" | "on", what: keyof Round) =>
    ((median(rounds.map((round) => round[of][what])) / TASKS) * 1_000).toFixed(1);
  process.stdout.write(
    `${variant} against off, median of ${rounds.length} ratios: time ${ratio("ms")}, worker CPU ${ratio("cpuMs")} ` +
      `(${micros("on", "cpuMs")} against ${micros("off", "cpuMs")} µs a task), submitter CPU ${ratio("submitMs")} ` +
      `(${micros("on", "submitMs")} against ${micros("off", "submitMs")} µs)\n`,
  );
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const [low, high] = [sorted[Math.floor((sorted.length - 1) / 2)], sorted[Math.ceil((sorted.length - 1) / 2)]];
  return low === undefined || high === undefined ? Number.NaN : (low + high) / 2;
}
