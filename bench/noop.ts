/**
 * No-op tasks through the whole system against a bare receive-delete loop on the AWS SDK: one machine, one emulator in its own
 * process, rounds interleaved, so that the ratio means something where the rates do not.
 *
 * `npm run bench`. Options: --rounds 5 --tasks 10000 --light-seconds 10 --light-rate 50 --profile
 */

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { SendMessageBatchCommand, SQSClient } from "@aws-sdk/client-sqs";
import { chainMiddlewares } from "../runtime/define/middleware.ts";
import { createRegistry } from "../runtime/define/registry.ts";
import { createAnnouncer } from "../runtime/flow/announce.ts";
import { createSubmitter } from "../runtime/flow/submit.ts";
import { startLocalStack } from "../runtime/local/stack.ts";
import { openLog } from "../runtime/log.ts";
import { openPayloadStore } from "../runtime/payload/s3.ts";
import { migrate } from "../runtime/postgres/migrate.ts";
import { openDatabase } from "../runtime/postgres/pool.ts";
import { openQueues } from "../runtime/queue/sqs.ts";
import { encodeDoorbell } from "../runtime/wire/message.ts";
import { cpuOf } from "./cpu.ts";
import { noop } from "./noop-task.ts";
import { submitAll } from "./submit-all.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    tasks: { type: "string", default: "10000" },
    "light-seconds": { type: "string", default: "10" },
    "light-rate": { type: "string", default: "50" },
    profile: { type: "boolean", default: false },
  },
});
const ROUNDS = Number(values.rounds);
const TASKS = Number(values.tasks);

/** What one drain of a queue took; the CPU of Postgres and of the emulator beside that of the process which drains. */
type Drain = {
  ms: number;
  cpuMs: number;
  requests: number;
  statements: number;
  postgresMs: number;
  emulatorMs: number;
  submitterMs: number;
};

const stack = await startLocalStack({ keep: false, env: {} });
const env = stack.env as Record<string, string>;
const connectionString = String(env.DATABASE_URL);
const endpoint = String(env.AWS_ENDPOINT_URL);
const queueUrls: { name: string; url: string; deadLetterUrl: string }[] = JSON.parse(String(env.TASKIQ_QUEUES)).filter(
  ({ type }: { type: string }) => type === "standard",
);
const queueUrl = String(queueUrls[0]?.url);
const credentials = { accessKeyId: "test", secretAccessKey: "test" };

await migrate(connectionString);
const log = openLog({ level: "warn", format: "json", service: "bench" });
const database = openDatabase({ connectionString, max: 8, applicationName: "bench" });
const queues = openQueues({ region: "us-east-1", endpoint, credentials, queues: queueUrls });
const payloads = openPayloadStore({
  region: "us-east-1",
  endpoint,
  credentials,
  bucket: String(env.TASKIQ_S3_BUCKET),
  maxBytes: 16_777_216,
});
const announcer = createAnnouncer({ database, queues, payloads, log });
const submitter = createSubmitter({
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
});

const worker = start("./noop-worker.ts", "worker");
const bare = start("./bare-loop.ts", "bare");
const sdk = new SQSClient({ region: "us-east-1", endpoint, credentials });

try {
  await Promise.all([ready(worker), ready(bare)]);
  // Two rounds of each to warm up: compiled code, prepared statements, open connections.
  await bareRound(TASKS, 1);
  await ourRound(TASKS);
  await bareRound(TASKS, 1);
  await ourRound(TASKS);
  const results: { bare1: Drain; bare4: Drain; drained: Drain; whole: Drain; bareWhole: Drain }[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const bare1 = await bareRound(TASKS, 1);
    const drained = await ourRound(TASKS);
    const bare4 = await bareRound(TASKS, 4);
    const whole = await ourWhole(TASKS);
    const bareWhole = await bareWholeRound(TASKS);
    results.push({ bare1, bare4, drained, whole, bareWhole });
    process.stderr.write(
      `round ${round + 1}: bare ${rate(bare1)}/s, bare×4 ${rate(bare4)}/s, ours ${rate(drained)}/s, whole ${rate(whole)}/s, bare whole ${rate(bareWhole)}/s\n`,
    );
  }
  report(results);
  await lightLoad(Number(values["light-seconds"]), Number(values["light-rate"]));
} finally {
  worker.kill();
  bare.kill();
  await database.close();
  await stack.stop();
}
process.exit(0);

function start(file: string, name: string): ChildProcess {
  const profile = values.profile ? ["--cpu-prof", "--cpu-prof-name", `${name}.cpuprofile`] : [];
  return fork(new URL(file, import.meta.url), {
    execArgv: profile,
    env: {
      ...process.env,
      BENCH: JSON.stringify({ connectionString, endpoint, queueUrls, bucket: env.TASKIQ_S3_BUCKET }),
    },
  });
}

async function ready(child: ChildProcess): Promise<void> {
  await once(child, "message");
}

async function ask(child: ChildProcess, message: object): Promise<Drain> {
  const [postgresMs, emulatorMs] = [cpuOf(stack, "Postgres"), cpuOf(stack, "SQS and S3")];
  const own = process.cpuUsage();
  child.send(message);
  const [answer] = await once(child, "message");
  return {
    ...(answer as Drain), // The children answer with one shape.
    postgresMs: cpuOf(stack, "Postgres") - postgresMs,
    emulatorMs: cpuOf(stack, "SQS and S3") - emulatorMs,
    submitterMs: (process.cpuUsage(own).user + process.cpuUsage(own).system) / 1_000,
  };
}

/** Fills the queue, then lets the loop drain it. */
async function bareRound(tasks: number, loops: number): Promise<Drain> {
  await fill(tasks);
  return await ask(bare, { tasks, loops });
}

/** Sends while the loop receives: what a bare producer and consumer do together. */
async function bareWholeRound(tasks: number): Promise<Drain> {
  const drained = ask(bare, { tasks, loops: 1 });
  await fill(tasks);
  return await drained;
}

async function fill(tasks: number): Promise<void> {
  const body = encodeDoorbell({ taskId: "01890000-0000-7000-8000-000000000000", taskName: "noop" });
  let left = Math.ceil(tasks / 10);
  const send = async () => {
    while (left-- > 0) {
      const Entries = Array.from({ length: 10 }, (_, index) => ({ Id: String(index), MessageBody: body }));
      await sdk.send(new SendMessageBatchCommand({ QueueUrl: queueUrl, Entries }));
    }
  };
  await Promise.all(Array.from({ length: 8 }, send));
}

/** Submits first, then lets the worker drain: receive, claim, execute, complete, delete. */
async function ourRound(tasks: number): Promise<Drain> {
  await submitAll(submitter, tasks);
  await announcer.idle();
  return await ask(worker, { tasks });
}

/** Submits while the worker works, from the first submit to the last committed outcome. */
async function ourWhole(tasks: number): Promise<Drain> {
  const requests = queues.requests;
  const statements = database.statements;
  const drained = ask(worker, { tasks });
  await submitAll(submitter, tasks);
  const drain = await drained;
  await announcer.idle();
  return {
    ...drain,
    requests: drain.requests + queues.requests - requests,
    statements: drain.statements + database.statements - statements,
  };
}

function report(results: { bare1: Drain; bare4: Drain; drained: Drain; whole: Drain; bareWhole: Drain }[]): void {
  const pick = (name: keyof (typeof results)[number]) => results.map((result) => result[name]);
  const median = (numbers: number[]) => {
    const sorted = numbers.toSorted((a, b) => a - b);
    const [low, high] = [sorted[Math.floor((sorted.length - 1) / 2)], sorted[Math.ceil((sorted.length - 1) / 2)]];
    return low === undefined || high === undefined ? Number.NaN : (low + high) / 2;
  };
  const medianRate = (name: keyof (typeof results)[number]) =>
    median(pick(name).map((drain) => (TASKS / drain.ms) * 1_000));
  const ratio = (ours: keyof (typeof results)[number], theirs: keyof (typeof results)[number]) =>
    median(results.map((result) => result[theirs].ms / result[ours].ms)).toFixed(2);
  const cpu = (name: keyof (typeof results)[number]) =>
    median(pick(name).map((drain) => (drain.cpuMs / TASKS) * 1_000)).toFixed(0);
  const perTask = (name: keyof (typeof results)[number], what: "requests" | "statements") =>
    median(pick(name).map((drain) => drain[what] / TASKS)).toFixed(3);
  const line = (text: string) => process.stdout.write(`${text}\n`);
  line("");
  line(`median of ${results.length} interleaved rounds of ${TASKS} tasks`);
  line(
    `bare SDK loop, receive → delete:        ${medianRate("bare1").toFixed(0)} messages/s, ${cpu("bare1")} µs CPU a message`,
  );
  line(
    `the same, four loops at once:           ${medianRate("bare4").toFixed(0)} messages/s, ${cpu("bare4")} µs CPU a message`,
  );
  line(
    `ours, receive → committed outcome:      ${medianRate("drained").toFixed(0)} tasks/s, ${cpu("drained")} µs worker CPU a task`,
  );
  line(
    `ours, submit → committed outcome:       ${medianRate("whole").toFixed(0)} tasks/s, ${cpu("whole")} µs worker CPU a task`,
  );
  line(`bare SDK send beside the loop:          ${medianRate("bareWhole").toFixed(0)} messages/s`);
  line(`ratio to bare SDK loop: ${ratio("drained", "bare1")}`);
  line(`ratio to four bare SDK loops: ${ratio("drained", "bare4")}`);
  line(`ratio with submitting, to the bare loop that only receives: ${ratio("whole", "bare1")}`);
  line(`ratio with submitting, to a bare loop with its sender: ${ratio("whole", "bareWhole")}`);
  const share = (name: keyof (typeof results)[number], what: "postgresMs" | "emulatorMs" | "submitterMs") =>
    median(pick(name).map((drain) => (drain[what] / TASKS) * 1_000)).toFixed(0);
  line(
    `CPU a task besides the worker's: Postgres ${share("drained", "postgresMs")} µs, emulator ${share("drained", "emulatorMs")} µs (bare loop: ${share("bare1", "emulatorMs")} µs); ` +
      `with submitting: Postgres ${share("whole", "postgresMs")} µs, emulator ${share("whole", "emulatorMs")} µs, submitter ${share("whole", "submitterMs")} µs`,
  );
  line(`SQS requests per task: ${perTask("whole", "requests")}`);
  line(`SQL statements per task: ${perTask("whole", "statements")}`);
}

function rate(drain: Drain): string {
  return ((TASKS / drain.ms) * 1_000).toFixed(0);
}

/** A light steady load on an idle system: from the row's creation to its claim, by the database's clock. */
async function lightLoad(seconds: number, perSecond: number): Promise<void> {
  const tasks = seconds * perSecond;
  const drained = ask(worker, { tasks });
  const since = (await database.query<{ now: Date }>({ name: "now", text: "select now() as now" }, []))[0]?.now;
  for (let count = 0; count < tasks; count++) {
    void submitter.submit([{ task: "noop", input: null }], { tenant: "default" });
    await delay(1_000 / perSecond);
  }
  await drained;
  const [row] = await database.query<{ p50: number; p99: number }>(
    {
      name: "bench-latency",
      text: `select percentile_cont(0.5) within group (order by ms) as p50, percentile_cont(0.99) within group (order by ms) as p99
               from (select extract(epoch from started_at - created_at)::float8 * 1000 as ms from taskiq.task where created_at >= $1) t`,
    },
    [since],
  );
  const trip = await roundTrip(200);
  process.stdout.write(
    `enqueue → start at ${perSecond}/s: p50 ${row?.p50.toFixed(1)} ms, p99 ${row?.p99.toFixed(1)} ms; ` +
      `emulator's own send → receive: p50 ${trip.p50.toFixed(1)} ms, p99 ${trip.p99.toFixed(1)} ms\n`,
  );
}

/** The emulator alone: a message sent while a long poll waits for it. */
async function roundTrip(times: number): Promise<{ p50: number; p99: number }> {
  const queue = queues.get("default");
  if (queue === undefined) throw new Error("no default queue");
  const body = encodeDoorbell({ taskId: "01890000-0000-7000-8000-000000000000", taskName: "noop" });
  const samples: number[] = [];
  for (let index = 0; index < times; index++) {
    const receiving = queue.receive({ max: 1, waitMs: 5_000 });
    await delay(15);
    const startedMs = performance.now();
    await queue.send([{ body }]);
    const [message] = await receiving;
    samples.push(performance.now() - startedMs);
    if (message !== undefined) await queue.remove([message.receiptHandle]);
  }
  samples.sort((a, b) => a - b);
  return { p50: samples[Math.floor(times * 0.5)] ?? Number.NaN, p99: samples[Math.floor(times * 0.99)] ?? Number.NaN };
}
