/**
 * Runs through the whole system, with the worker, the emulator and Postgres in processes of their own: how soon a step follows another, how fast a
 * wide graph is against as many tasks without one, and what large maps cost. Rounds interleaved, so that ratios mean something where rates do not.
 *
 * `npm run bench:runs`. Options: --rounds 5 --only chain,layers,map,plan,memory --chains 5 --profile
 */

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { parseArgs } from "node:util";
import { CreateQueueCommand, SQSClient } from "@aws-sdk/client-sqs";
import { systemClock as clock } from "../runtime/clock.ts";
import { chainMiddlewares } from "../runtime/define/middleware.ts";
import { createRegistry } from "../runtime/define/registry.ts";
import { shapesOf } from "../runtime/define/task-shape.ts";
import { createExecutor } from "../runtime/executor/executor.ts";
import { createAnnouncer } from "../runtime/flow/announce.ts";
import { createSubmitter } from "../runtime/flow/submit.ts";
import { createRunWriter } from "../runtime/flow/submit-run.ts";
import { startLocalStack } from "../runtime/local/stack.ts";
import { openLog } from "../runtime/log.ts";
import type { Graph } from "../runtime/model/graph.ts";
import { planGraph } from "../runtime/model/graph-check.ts";
import { openPayloadStore } from "../runtime/payload/s3.ts";
import { migrate } from "../runtime/postgres/migrate.ts";
import { openDatabase } from "../runtime/postgres/pool.ts";
import { openQueues } from "../runtime/queue/sqs.ts";
import { cpuOf } from "./cpu.ts";
import { chain, layered, mapped } from "./graphs.ts";
import { type Memory, sampleMemory } from "./memory.ts";
import { noop } from "./noop-task.ts";
import { element, list, size, step } from "./step-task.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    only: { type: "string", default: "chain,layers,map,plan,memory" },
    chains: { type: "string", default: "5" },
    profile: { type: "boolean", default: false },
  },
});
const ROUNDS = Number(values.rounds);
const CHAINS = Number(values.chains);
const ONLY = new Set(values.only.split(","));
const [CHAIN_STEPS, LAYERS, WIDTH, ELEMENTS, MAPS] = [200, 100, 100, 10_000, 10];
const SUBMIT_BATCH = 500;
const TENANT = "default";

/** What the worker says of one drain, and what the others took meanwhile. */
type Drain = {
  readonly ms: number;
  readonly cpuMs: number;
  readonly requests: number;
  readonly statements: number;
  readonly marks: readonly number[];
  readonly memory: Memory;
  readonly postgresMs: number;
};

const stack = await startLocalStack({ keep: false, env: {} });
const env = stack.env as Record<string, string>;
const connectionString = String(env.DATABASE_URL);
const endpoint = String(env.AWS_ENDPOINT_URL);
const bucket = String(env.TASKIQ_S3_BUCKET);
const region = "us-east-1";
const credentials = { accessKeyId: "test", secretAccessKey: "test" };
const queueUrls = await createQueues();

await migrate(connectionString);
const log = openLog({ level: "warn", format: "json", service: "bench" });
const database = openDatabase({ connectionString, max: 8, applicationName: "bench" });
const queues = openQueues({ region, endpoint, credentials, queues: queueUrls });
const payloads = openPayloadStore({ region, endpoint, credentials, bucket, maxBytes: 16_777_216 });
const announcer = createAnnouncer({ database, queues, payloads, log });
const registry = createRegistry([noop, step, list, element, size]);
const submitting = {
  database,
  payloads,
  announcer,
  registry,
  queues,
  inlinePayloadBytes: 65_536,
  maxPayloadBytes: 16_777_216,
  idempotencyTtlMs: 86_400_000,
};
const submitter = createSubmitter({ ...submitting, middlewares: chainMiddlewares([], log), groupCommitMs: 2 });
const runs = createRunWriter(submitting);
// Rings for the elements of large maps, as it does in a deployment.
const executor = createExecutor({
  database,
  payloads,
  announcer,
  queueNames: queues.names,
  log,
  clock,
  settings: {
    leaseMs: 30_000,
    announceIntervalMs: 250,
    reapIntervalMs: 2_000,
    ringAgainAfterMs: 300_000,
    ringAgainIntervalMs: 30_000,
    pruneIntervalMs: 60_000,
    retentionMs: 86_400_000,
  },
});
const worker: ChildProcess = fork(new URL("./noop-worker.ts", import.meta.url), {
  execArgv: values.profile ? ["--cpu-prof", "--cpu-prof-name", "worker.cpuprofile"] : [],
  env: { ...process.env, BENCH: JSON.stringify({ connectionString, endpoint, queueUrls, bucket }) },
});

const line = (text: string): void => void process.stdout.write(`${text}\n`);

try {
  await once(worker, "message");
  executor.start();
  if (ONLY.has("chain")) await chains();
  if (ONLY.has("layers") || ONLY.has("map")) await wideGraphs();
  if (ONLY.has("plan")) await planning();
  if (ONLY.has("memory")) await memory();
} finally {
  worker.kill();
  await executor.stop();
  await database.close();
  await stack.stop();
}
process.exit(0);

async function createQueues(): Promise<{ name: string; url: string; deadLetterUrl: string }[]> {
  const all: { name: string; url: string; deadLetterUrl: string; type: string }[] = JSON.parse(
    String(env.TASKIQ_QUEUES),
  );
  const first = all.find(({ type }) => type === "standard");
  if (first === undefined) throw new Error("expected a queue");
  const { url, deadLetterUrl } = first;
  const sdk = new SQSClient({ region, endpoint, credentials });
  const second = await sdk.send(new CreateQueueCommand({ QueueName: "taskiq-second" }));
  return [
    { name: "default", url, deadLetterUrl },
    { name: "second", url: String(second.QueueUrl), deadLetterUrl },
  ];
}

/** Lets the worker work until so many tasks have succeeded. */
async function drain(tasks: number, queueNames: readonly string[] = ["default"]): Promise<Drain> {
  const postgresMs = cpuOf(stack, "Postgres");
  worker.send({ tasks, queueNames });
  const [answer] = await once(worker, "message");
  // The worker answers with one shape.
  return { ...(answer as Omit<Drain, "postgresMs">), postgresMs: cpuOf(stack, "Postgres") - postgresMs };
}

/** Accepts the run, then lets the worker play it. Its first doorbells are on the queue by then, as those of plain tasks are. */
async function play(
  graph: Graph,
  tasks: number,
  queueNames?: readonly string[],
): Promise<Drain & { submitMs: number }> {
  const startedMs = performance.now();
  const { runId } = await runs.accept({ job: null, graph, mode: "orchestrated", input: null }, { tenant: TENANT });
  const submitMs = performance.now() - startedMs;
  await announcer.idle();
  const result = await drain(tasks, queueNames);
  const [run] = await database.query<{ state: string }>(
    { name: "bench-run", text: "select state from taskiq.run where id = $1" },
    [runId],
  );
  if (run?.state !== "succeeded") throw new Error(`expected the run to have succeeded, it is ${run?.state}`);
  return { ...result, submitMs };
}

async function playFlat(tasks: number): Promise<Drain> {
  for (let left = tasks; left > 0; left -= SUBMIT_BATCH) {
    const requests = Array.from({ length: Math.min(SUBMIT_BATCH, left) }, () => ({ task: "noop", input: null }));
    await submitter.submit(requests, { tenant: TENANT });
  }
  await announcer.idle();
  return await drain(tasks);
}

/** From the return of one handler to the call of the next, by the worker's own clock. */
async function chains(): Promise<void> {
  const kinds = {
    "with continuation": ["default"],
    // No step has a slot of its queue to go on in.
    "without (two queues in turn)": ["default", "second"],
  };
  const waits = new Map<string, number[][]>();
  // The first round warms up.
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [kind, queueNames] of Object.entries(kinds)) {
      const gaps: number[] = [];
      for (let count = 0; count < CHAINS; count++) {
        const { marks } = await play(chain(CHAIN_STEPS, queueNames), CHAIN_STEPS, ["default", "second"]);
        for (let place = 2; place < marks.length; place += 2) gaps.push((marks[place] ?? 0) - (marks[place - 1] ?? 0));
      }
      if (round > 0) waits.set(kind, [...(waits.get(kind) ?? []), gaps]);
    }
  }
  line(`\nchain of ${CHAIN_STEPS} steps: a step's end → the next one's start, ${CHAINS} chains a round`);
  for (const [kind, rounds] of waits) {
    const each = rounds.map((gaps) => `${percentile(gaps, 0.5).toFixed(2)}/${percentile(gaps, 0.99).toFixed(1)}`);
    const all = rounds.flat();
    const shown = `p50 ${percentile(all, 0.5).toFixed(2)} ms, p99 ${percentile(all, 0.99).toFixed(1)} ms, most ${Math.max(...all).toFixed(0)} ms`;
    line(`  ${kind.padEnd(30)} ${shown}   (rounds: ${each.join("  ")})`);
  }
}

async function wideGraphs(): Promise<void> {
  const steps = LAYERS * WIDTH;
  const flatOf = "plain tasks";
  const kinds = new Map<string, { tasks: number; play(): Promise<Drain & { submitMs?: number }> }>();
  kinds.set(flatOf, { tasks: steps, play: () => playFlat(steps) });
  if (ONLY.has("layers")) {
    kinds.set("layers, after", { tasks: steps, play: () => play(layered(LAYERS, WIDTH, "order"), steps) });
    kinds.set("layers, results of parents", {
      tasks: steps,
      play: () => play(layered(LAYERS, WIDTH, "results"), steps),
    });
  }
  if (ONLY.has("map")) {
    kinds.set("map", { tasks: ELEMENTS + 2, play: () => play(mapped(1, ELEMENTS), ELEMENTS + 2) });
  }
  const drains = new Map<string, (Drain & { submitMs?: number })[]>();
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [kind, { play }] of kinds) {
      const result = await play();
      if (round > 0) drains.set(kind, [...(drains.get(kind) ?? []), result]);
      process.stderr.write(`round ${round}: ${kind} ${result.ms.toFixed(0)} ms\n`);
    }
  }
  const flat = drains.get(flatOf) ?? [];
  line(
    `\nmedian of ${ROUNDS} interleaved rounds; ${LAYERS} × ${WIDTH} steps with 3 parents each; a map of ${ELEMENTS}`,
  );
  for (const [kind, rounds] of drains) {
    const tasks = kinds.get(kind)?.tasks ?? 0;
    const rate = median(rounds.map(({ ms }) => (tasks / ms) * 1_000));
    const ratios = rounds.map(({ ms }, round) => (tasks / ms) * ((flat[round]?.ms ?? Number.NaN) / steps));
    const cpu = (pick: (drain: Drain) => number) => ((median(rounds.map(pick)) / tasks) * 1_000).toFixed(0);
    const submit =
      rounds[0]?.submitMs === undefined
        ? ""
        : `, submit ${median(rounds.map(({ submitMs }) => submitMs ?? 0)).toFixed(0)} ms`;
    line(
      `  ${kind.padEnd(28)} ${(median(rounds.map(({ ms }) => ms)) / 1_000).toFixed(2)} s, ${rate.toFixed(0)}/s, ratio ${median(ratios).toFixed(2)} ` +
        `(${ratios.map((ratio) => ratio.toFixed(2)).join(" ")}), CPU a step: worker ${cpu(({ cpuMs }) => cpuMs)} µs, Postgres ${cpu(({ postgresMs }) => postgresMs)} µs, ` +
        `statements ${(median(rounds.map(({ statements }) => statements)) / tasks).toFixed(3)}, requests ${(median(rounds.map(({ requests }) => requests)) / tasks).toFixed(3)}${submit}`,
    );
  }
}

async function planning(): Promise<void> {
  const shapes = shapesOf(registry);
  line("");
  for (const takes of ["order", "results"] as const) {
    const graph = layered(LAYERS, WIDTH, takes);
    const [planMs, cpuMs]: [number[], number[]] = [[], []];
    for (let round = 0; round <= ROUNDS; round++) {
      const cpu = process.cpuUsage();
      const startedMs = performance.now();
      const plan = planGraph(graph, null, shapes);
      const used = process.cpuUsage(cpu);
      if (plan.kind !== "planned") throw new Error("expected a graph that is right");
      if (round === 0) continue;
      planMs.push(performance.now() - startedMs);
      cpuMs.push((used.user + used.system) / 1_000);
    }
    line(
      `planning ${LAYERS * WIDTH} steps (${takes}): ${median(planMs).toFixed(0)} ms (least ${Math.min(...planMs).toFixed(0)}), CPU ${median(cpuMs).toFixed(0)} ms`,
    );
  }
}

async function memory(): Promise<void> {
  const tasks = 1 + MAPS * (ELEMENTS + 1);
  const own = sampleMemory();
  const result = await play(mapped(MAPS, ELEMENTS), tasks);
  const parts: [string, Memory][] = [
    ["worker", result.memory],
    ["submitter and executor", own.stop()],
  ];
  line(
    `\n${MAPS} maps of ${ELEMENTS}: ${(result.ms / 1_000).toFixed(1)} s, ${((tasks / result.ms) * 1_000).toFixed(0)}/s`,
  );
  for (const [part, { before, quarters, most, after }] of parts) {
    line(
      `  ${part.padEnd(24)} before ${before.toFixed(0)} MB, by quarters ${quarters.map((value) => value.toFixed(0)).join(" ")}, most ${most.toFixed(0)}, after ${after.toFixed(0)}`,
    );
  }
}

function median(numbers: readonly number[]): number {
  return percentile(numbers, 0.5);
}

function percentile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
