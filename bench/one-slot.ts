/**
 * `npm run bench:one-slot`: how long a task waits for its start when the only worker has one slot and takes from three queues,
 * against the same worker with one queue; rounds interleaved. A poll that waits for one queue must not keep the slot from the others.
 *
 * Options: --rounds 3 --tasks 500 --every-ms 20
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { CreateQueueCommand, SQSClient } from "@aws-sdk/client-sqs";
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
import { noop } from "./noop-task.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    tasks: { type: "string", default: "500" },
    "every-ms": { type: "string", default: "20" },
  },
});
const [ROUNDS, TASKS, EVERY_MS] = [Number(values.rounds), Number(values.tasks), Number(values["every-ms"])];
const QUEUE_NAMES = ["default", "second", "third"];

type Waits = { p50: number; p99: number; most: number };

const stack = await startLocalStack({ keep: false, env: {} });
const env = stack.env as Record<string, string>;
const region = "us-east-1";
const credentials = { accessKeyId: "test", secretAccessKey: "test" };
const connectionString = String(env.DATABASE_URL);
const endpoint = String(env.AWS_ENDPOINT_URL);
const bucket = String(env.TASKIQ_S3_BUCKET);
await migrate(connectionString);
const queueUrls = await createQueues();

const log = openLog({ level: "warn", format: "json", service: "bench" });
const database = openDatabase({ connectionString, max: 4, applicationName: "bench" });
const queues = openQueues({ region, endpoint, credentials, queues: queueUrls });
const payloads = openPayloadStore({ region, endpoint, credentials, bucket, maxBytes: 16_777_216 });
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

try {
  const rows: { one: Waits; three: Waits }[] = [];
  // The first round warms up.
  for (let round = 0; round <= ROUNDS; round++) {
    const one = await measure(QUEUE_NAMES.slice(0, 1));
    const three = await measure(QUEUE_NAMES);
    if (round > 0) rows.push({ one, three });
  }
  for (const { one, three } of rows) console.log(`one queue: ${shown(one)}; three queues: ${shown(three)}`);
} finally {
  await database.close();
  await stack.stop();
}
process.exit(0);

/** Tasks for the queues in turn, one at a time, at a pace that leaves the slot free nearly always. */
async function measure(queueNames: readonly string[]): Promise<Waits> {
  const worker: ChildProcess = fork(new URL("./noop-worker.ts", import.meta.url), {
    env: {
      ...process.env,
      BENCH: JSON.stringify({ connectionString, endpoint, queueUrls, bucket, slots: 1, queueNames }),
    },
  });
  try {
    await once(worker, "message");
    const drained = once(worker, "message");
    worker.send({ tasks: TASKS });
    const since = (await database.query<{ now: Date }>({ name: "now", text: "select now() as now" }, []))[0]?.now;
    for (let count = 0; count < TASKS; count++) {
      const queue = queueNames[count % queueNames.length] ?? "default";
      void submitter.submit([{ task: "noop", input: null, queue }], { tenant: "default" });
      await delay(EVERY_MS);
    }
    await drained;
    const [row] = await database.query<Waits>(
      {
        name: "waits",
        text: `select percentile_cont(0.5) within group (order by ms) as p50,
                      percentile_cont(0.99) within group (order by ms) as p99,
                      max(ms) as most
                 from (select extract(epoch from started_at - created_at)::float8 * 1000 as ms
                         from taskiq.task where created_at >= $1) t`,
      },
      [since],
    );
    if (row === undefined) throw new Error("expected tasks");
    return row;
  } finally {
    worker.kill();
  }
}

async function createQueues(): Promise<{ name: string; url: string; deadLetterUrl: string }[]> {
  const [first] = JSON.parse(String(env.TASKIQ_QUEUES)) as { name: string; url: string; deadLetterUrl: string }[];
  if (first === undefined) throw new Error("expected a queue");
  const sdk = new SQSClient({ region, endpoint, credentials });
  const more = QUEUE_NAMES.slice(1).map(async (name) => {
    const { QueueUrl } = await sdk.send(new CreateQueueCommand({ QueueName: `taskiq-${name}` }));
    return { name, url: String(QueueUrl), deadLetterUrl: first.deadLetterUrl };
  });
  return [{ ...first, name: QUEUE_NAMES[0] ?? "" }, ...(await Promise.all(more))];
}

function shown({ p50, p99, most }: Waits): string {
  return `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, most ${most.toFixed(0)} ms`;
}
