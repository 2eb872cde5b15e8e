/**
 * `node bench/traffic.ts`: the bytes of a no-op task to and from SQS and Postgres, and those of its finished row. They
 * cost money where data is paid by the byte: bench/measured.ts has the figures, bench/cost.ts what they come to.
 *
 * The submitter and the worker of the other benchmark, with proxies between them and the services that count bytes; so the
 * times of this run mean nothing.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
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
import { submitAll } from "./submit-all.ts";

const ROUNDS = [10_000, 10_000, 20_000, 20_000];

/** Bytes in both directions. */
type Counter = { bytes: number };

const stack = await startLocalStack({ keep: false, env: {} });
const env = stack.env as Record<string, string>;
const region = "us-east-1";
const credentials = { accessKeyId: "test", secretAccessKey: "test" };
const queueUrls = JSON.parse(String(env.TASKIQ_QUEUES)).filter(({ type }: { type: string }) => type === "standard");
const bucket = String(env.TASKIQ_S3_BUCKET);
await migrate(String(env.DATABASE_URL));

const sqs: Counter = { bytes: 0 };
const postgres: Counter = { bytes: 0 };
const connectionString = await counted(String(env.DATABASE_URL), postgres);
const endpoint = await counted(String(env.AWS_ENDPOINT_URL), sqs);

const log = openLog({ level: "warn", format: "json", service: "bench" });
const database = openDatabase({ connectionString, max: 8, applicationName: "bench" });
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
const worker = fork(new URL("./noop-worker.ts", import.meta.url), {
  env: { ...process.env, BENCH: JSON.stringify({ connectionString, endpoint, queueUrls, bucket }) },
});

try {
  await once(worker, "message");
  for (const tasks of ROUNDS) {
    const before = { sqs: sqs.bytes, postgres: postgres.bytes };
    worker.send({ tasks });
    const drained = once(worker, "message");
    await submitAll(submitter, tasks);
    await drained;
    await announcer.idle();
    const perTask = (counter: Counter, since: number) => Math.round((counter.bytes - since) / tasks);
    console.log(
      `${tasks} tasks: SQS ${perTask(sqs, before.sqs)} bytes a task, Postgres ${perTask(postgres, before.postgres)}`,
    );
  }
  await database.query({ name: "pack", text: "vacuum full taskiq.task" }, []);
  const [row] = await database.query<{ bytes: number }>(
    {
      name: "size",
      text: "select pg_total_relation_size('taskiq.task')::float8 / (select count(*) from taskiq.task) as bytes",
    },
    [],
  );
  console.log(`a finished row, closely packed, with its indexes: ${Math.round(row?.bytes ?? Number.NaN)} bytes`);
} finally {
  worker.kill();
  await database.close();
  await stack.stop();
}
process.exit(0);

/** The same address by way of a proxy that counts. */
async function counted(url: string, counter: Counter): Promise<string> {
  const { port, hostname } = new URL(url);
  const count = (chunk: Buffer) => {
    counter.bytes += chunk.length;
  };
  const proxy = createServer((caller) => {
    const service = connect(Number(port), hostname);
    caller.on("data", count).pipe(service).on("data", count).pipe(caller);
    caller.on("error", () => service.destroy());
    service.on("error", () => caller.destroy());
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const address = proxy.address();
  if (address === null || typeof address === "string") throw new Error("expected the proxy to have a port");
  const proxied = new URL(url);
  proxied.hostname = "127.0.0.1";
  proxied.port = String(address.port);
  return proxied.href.replace(/\/$/, "");
}
