import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import { createExecutor, type Executor, type ExecutorSettings } from "../../runtime/executor/executor.ts";
import type { ExecutorLoop } from "../../runtime/executor/loop.ts";
import { createAnnouncer } from "../../runtime/flow/announce.ts";
import { sqsName } from "../../runtime/local/queues.ts";
import { openLog } from "../../runtime/log.ts";
import { openPayloadStore, type S3PayloadStore } from "../../runtime/payload/s3.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import type { Statement } from "../../runtime/postgres/sql.ts";
import { openQueues, type SqsQueues } from "../../runtime/queue/sqs.ts";
import { decodeMessage } from "../../runtime/wire/message.ts";
import { hold } from "../flow/waiting.ts";
import { startTestAws, type TestAws } from "../support/aws.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import {
  clearTasks,
  createOutboxRow,
  createTask,
  createTasks,
  readOutbox,
  readTask,
  readTasks,
} from "../support/tasks.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";

type Line = { level: string; event: string; time: string; loop?: string; count?: number };

let testDatabase: TestDatabase;
let database: Database;
let aws: TestAws;
let queues: SqsQueues;
let payloads: S3PayloadStore;
let lines: Line[] = [];
let executors: Executor[] = [];
let pools: Database[] = [];
let proxies: TcpProxy[] = [];
const log = openLog({ level: "debug", format: "json", service: "test", write: (line) => lines.push(JSON.parse(line)) });

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = open(testDatabase.url);
});

afterEach(async () => {
  for (const proxy of proxies) proxy.restore();
  await Promise.all(executors.map((executor) => executor.stop()));
  await Promise.all(pools.map((pool) => pool.close()));
  await Promise.all(proxies.map((proxy) => proxy.close()));
  [executors, pools, proxies, lines] = [[], [], [], []];
  await clearTasks(database);
  payloads?.close();
  queues?.close();
  await aws?.stop();
});

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

function open(connectionString: string): Database {
  return openDatabase({
    connectionString,
    max: 4,
    applicationName: "executor test",
    connectTimeoutMs: 200,
    queryTimeoutMs: 2_000,
  });
}

const IDLE_MS = 1_000_000;

/** Every loop stands still but those that a test sets going. */
const SETTINGS: ExecutorSettings = {
  leaseMs: 30_000,
  announceIntervalMs: IDLE_MS,
  reapIntervalMs: IDLE_MS,
  ringAgainAfterMs: 300_000,
  ringAgainIntervalMs: IDLE_MS,
  pruneIntervalMs: IDLE_MS,
  retentionMs: 2_592_000_000,
};

async function startAll(
  count: number,
  settings: Partial<ExecutorSettings>,
  on: Database = database,
  extraLoops: readonly ExecutorLoop[] = [],
): Promise<void> {
  aws = await startTestAws();
  const { endpoint, region, credentials, bucket } = aws;
  const address = { name: "default", url: aws.queueUrl("default"), deadLetterUrl: aws.deadLetterUrl("default") };
  queues = openQueues({ endpoint, region, credentials, queues: [address] });
  payloads = openPayloadStore({ endpoint, region, credentials, bucket, maxBytes: 1_000_000 });
  for (let nth = 0; nth < count; nth++) {
    const executor = createExecutor({
      database: on,
      payloads,
      announcer: createAnnouncer({ database: on, queues, payloads, log }),
      queueNames: ["default"],
      log,
      clock: systemClock,
      settings: { ...SETTINGS, ...settings },
      extraLoops,
    });
    executors.push(executor);
    executor.start();
  }
}

/** The database with a way in front of its statements. */
function tapped(before: (statement: Statement) => Promise<void> | void): Database {
  return {
    ...database,
    get statements() {
      return database.statements;
    },
    async query<Row>(statement: Statement, params: readonly unknown[]) {
      await before(statement);
      return await database.query<Row>(statement, params);
    },
  };
}

/** Ids of the tasks that messages in the queue ring for, sorted. */
function rung(): string[] {
  return aws
    .inspectQueue(sqsName({ name: "default", type: "standard" }))
    .ready.map((message) => decodeMessage(message.body).id ?? "none")
    .toSorted();
}

const linesOf = (event: string) => lines.filter((line) => line.event === event);
const isReaped = async (id: string) => (await readTask(database, id)).state !== "running";

describe("the reaper", () => {
  const LEASE = { leaseMs: 500, reapIntervalMs: 20 };

  test("waits for one lease of unbroken contact after its start, so that owners can extend first", async () => {
    const id = await createTask(database, { state: "running", leaseInMs: -60_000 });
    const startedMs = systemClock.nowMs();
    await startAll(1, LEASE);
    await until(() => isReaped(id));
    expect(systemClock.nowMs() - startedMs).toBeGreaterThanOrEqual(500);
    expect(await readTask(database, id)).toMatchObject({ state: "queued", losses: 1, attempt: 1 });
    expect((await readOutbox(database, id)).map((row) => row.kind)).toEqual(["doorbell"]);
    expect(linesOf("reap.recovered")).toMatchObject([{ level: "warn", count: 1, failed: 0, workers: ["worker-1"] }]);
  });

  test("waits for one lease more after contact was lost, and its loop goes on", async () => {
    const url = new URL(testDatabase.url);
    const proxy = await startTcpProxy({ host: url.hostname, port: Number(url.port) });
    proxies.push(proxy);
    url.hostname = proxy.host;
    url.port = String(proxy.port);
    const pool = open(url.href);
    pools.push(pool);
    await startAll(1, LEASE, pool);
    const [id] = await createTasks(database, [{ state: "running", leaseInMs: 300 }]);
    proxy.silence();
    await until(() => linesOf("loop.failed").length > 0);
    await until(async () => ((await readTask(database, id!)).lease_in_ms ?? 0) < -600);
    expect(await isReaped(id!)).toBe(false);
    const backMs = systemClock.nowMs();
    proxy.cut();
    proxy.restore();
    await until(() => isReaped(id!));
    expect(systemClock.nowMs() - backMs).toBeGreaterThanOrEqual(500);
    expect(await readTask(database, id!)).toMatchObject({ state: "queued", losses: 1 });
  });

  test("waits for one lease more after a single question without an answer", async () => {
    const id = await createTask(database, { state: "running", leaseInMs: -60_000 });
    let pings = 0;
    let failedMs = 0;
    await startAll(
      1,
      { leaseMs: 1_000, reapIntervalMs: 20 },
      {
        ...tapped(() => {}),
        async ping(timeoutMs) {
          if (++pings === 10) {
            failedMs = systemClock.nowMs();
            throw new Error("no answer");
          }
          await database.ping(timeoutMs);
        },
      },
    );
    await until(() => isReaped(id));
    expect(pings).toBeGreaterThan(10);
    expect(systemClock.nowMs() - failedMs).toBeGreaterThanOrEqual(1_000);
  });

  test("leaves a task alone whose owner extended its lease meanwhile", async () => {
    const [late, dead] = (await createTasks(database, [
      { state: "running", leaseInMs: -60_000 },
      { state: "running", leaseInMs: -60_000 },
    ])) as [string, string];
    let pings = 0;
    await startAll(
      1,
      { leaseMs: 1_000, reapIntervalMs: 20 },
      {
        ...tapped(() => {}),
        async ping(timeoutMs) {
          pings++;
          await database.ping(timeoutMs);
        },
      },
    );
    await until(() => pings >= 3);
    await database.transaction(async (tx) => {
      await tx.raw.query("update taskiq.task set lease_until = now() + interval '30 s' where id = $1", [late]);
    });
    await until(() => isReaped(dead));
    expect(await readTask(database, late)).toMatchObject({ state: "running", losses: 0 });
  });

  test("recovers more than one batch without a pause", async () => {
    const rows = Array.from({ length: 450 }, () => ({ state: "running", leaseInMs: -1_000 }) as const);
    await createTasks(database, rows);
    const intervalMs = 1_500;
    await startAll(1, { leaseMs: 150, reapIntervalMs: intervalMs });
    await until(async () => (await readTasks(database)).every((row) => row.state === "queued"));
    await until(() => linesOf("reap.recovered").length === 3);
    const recovered = linesOf("reap.recovered");
    expect(recovered.map((line) => line.count)).toEqual([200, 200, 50]);
    expect(Date.parse(recovered[2]?.time ?? "") - Date.parse(recovered[0]?.time ?? "")).toBeLessThan(intervalMs);
  });

  test("is one at a time: two processes recover each task once", async () => {
    const rows = Array.from({ length: 300 }, () => ({ state: "running", leaseInMs: -1_000 }) as const);
    await createTasks(database, rows);
    await startAll(2, { leaseMs: 100, reapIntervalMs: 10 });
    await until(async () => (await readTasks(database)).every((row) => row.state === "queued"));
    expect((await readTasks(database)).map((row) => row.losses)).toEqual(rows.map(() => 1));
    expect(linesOf("reap.recovered").reduce((sum, line) => sum + (line.count ?? 0), 0)).toBe(300);
  });

  test("does nothing while another process is elected, and its turn comes", async () => {
    const id = await createTask(database, { state: "running", leaseInMs: -1_000 });
    const elected = await hold(database, (tx) =>
      tx.raw.query("select pg_advisory_xact_lock(hashtext('taskiq'), hashtext('reap'))"),
    );
    let reaps = 0;
    await startAll(
      1,
      { leaseMs: 100, reapIntervalMs: 10 },
      tapped((statement) => {
        if (statement.name === "reap") reaps++;
      }),
    );
    await until(() => reaps >= 3);
    expect(await isReaped(id)).toBe(false);
    await elected.end();
    await until(() => isReaped(id));
  });
});

describe("announcing", () => {
  test("two processes at once send each due row, each once, and leave none behind", async () => {
    const ids = await createTasks(
      database,
      Array.from({ length: 1_200 }, () => ({})),
    );
    await database.transaction(async (tx) => {
      await tx.raw.query(
        "insert into taskiq.outbox (kind, task_id, queue, send_at) select 'doorbell', id, queue, now() from taskiq.task",
      );
    });
    await startAll(2, { announceIntervalMs: 10 });
    await until(async () => (await readOutbox(database)).length === 0);
    expect(rung()).toEqual(ids.toSorted());
  });

  test("leaves what is not due, and sends it when it is", async () => {
    const [soon, later] = (await createTasks(database, [{}, {}])) as [string, string];
    await createOutboxRow(database, { taskId: soon, sendInMs: 150 });
    await createOutboxRow(database, { taskId: later, sendInMs: 60_000 });
    await startAll(1, { announceIntervalMs: 10 });
    await until(() => rung().length > 0);
    expect(rung()).toEqual([soon]);
    await until(async () => (await readOutbox(database)).length === 1);
    expect((await readOutbox(database)).map((row) => row.task_id)).toEqual([later]);
  });

  test("survives errors of the database", async () => {
    const id = await createTask(database);
    await createOutboxRow(database, { taskId: id });
    let failures = 2;
    await startAll(
      1,
      { announceIntervalMs: 10 },
      tapped((statement) => {
        if (statement.name === "lease-outbox" && failures-- > 0) throw new Error("no answer");
      }),
    );
    await until(() => rung().length === 1);
    expect(linesOf("loop.failed")).toMatchObject([
      { level: "warn", loop: "announce" },
      { level: "warn", loop: "announce" },
    ]);
  });
});

describe("ringing again", () => {
  const QUICK = { ringAgainIntervalMs: 10, announceIntervalMs: 10 };

  test("two processes at once ring once for each task that nobody took", async () => {
    const silent = await createTasks(
      database,
      Array.from({ length: 120 }, () => ({ announcedMsAgo: 600_000 })),
    );
    await createTask(database, { announcedMsAgo: 1_000 });
    await startAll(2, QUICK);
    await until(() => rung().length >= silent.length);
    await until(async () => (await readOutbox(database)).length === 0);
    expect(rung()).toEqual(silent.toSorted());
    const rings = (await readTasks(database)).map((row) => row.rings);
    expect(rings.toSorted((a, b) => a - b)).toEqual([0, ...silent.map(() => 1)]);
    expect(linesOf("ring.again").reduce((sum, line) => sum + (line.count ?? 0), 0)).toBe(120);
  });

  test("is left to the process that is elected", async () => {
    const id = await createTask(database, { announcedMsAgo: 600_000 });
    const elected = await hold(database, (tx) =>
      tx.raw.query("select pg_advisory_xact_lock(hashtext('taskiq'), hashtext('ring-again'))"),
    );
    let tries = 0;
    await startAll(
      2,
      QUICK,
      tapped((statement) => {
        if (statement.name === "ring-again") tries++;
      }),
    );
    await until(() => tries >= 4);
    expect((await readTask(database, id)).rings).toBe(0);
    await elected.end();
    await until(() => rung().length === 1);
    expect(rung()).toEqual([id]);
  });
});

test("what is beyond its retention is deleted, and nothing else", async () => {
  const [old, recent] = (await createTasks(database, [
    { state: "succeeded", finishedMsAgo: 60_000 },
    { state: "succeeded", finishedMsAgo: 1_000 },
    { announcedMsAgo: 60_000, createdMsAgo: 60_000 },
  ])) as [string, string];
  await startAll(1, { pruneIntervalMs: 10, retentionMs: 30_000 });
  await until(async () => (await readTasks(database)).length === 2);
  const left = (await readTasks(database)).map((row) => row.id);
  expect([left.includes(old), left.includes(recent)]).toEqual([false, true]);
  // The line follows the deletion.
  await until(() => linesOf("prune.done").length > 0);
  expect(linesOf("prune.done")).toMatchObject([{ tasks: 1 }]);
});

test("runs further loops beside its own, which neither stop nor are stopped by one that fails", async () => {
  let [good, bad] = [0, 0];
  const id = await createTask(database);
  await createOutboxRow(database, { taskId: id });
  await startAll(1, { announceIntervalMs: 10 }, database, [
    { name: "good", intervalMs: 5, step: async () => ++good < 0 },
    {
      name: "bad",
      intervalMs: 5,
      async step() {
        bad++;
        throw new Error("no answer");
      },
    },
  ]);
  await until(() => good >= 20 && bad >= 2 && rung().length === 1);
  expect(linesOf("executor.started")).toMatchObject([
    { loops: ["announce", "reap", "ring-again", "limits", "deadlines", "prune", "good", "bad"] },
  ]);
  expect(linesOf("loop.failed").every((line) => line.loop === "bad")).toBe(true);
  await executors[0]?.stop();
  const seen = [good, bad];
  await database.ping(1_000);
  expect([good, bad]).toEqual(seen);
});

describe("stopping", () => {
  const ALL = { announceIntervalMs: 5, reapIntervalMs: 5, ringAgainIntervalMs: 5, pruneIntervalMs: 5 };

  test("ends every loop", async () => {
    const asked: string[] = [];
    await startAll(
      1,
      { ...ALL, leaseMs: 5 },
      tapped((statement) => {
        asked.push(statement.name);
      }),
    );
    await until(() => ["lease-outbox", "ring-again", "prune"].every((name) => asked.includes(name)));
    await Promise.all(executors.map((executor) => executor.stop()));
    const seen = asked.length;
    const id = await createTask(database);
    await createOutboxRow(database, { taskId: id, sendInMs: 20 });
    await until(async () => ((await readOutbox(database))[0]?.send_in_ms ?? 0) < -50);
    expect(asked).toHaveLength(seen);
    expect(rung()).toEqual([]);
  });

  test("waits for the step that is under way", async () => {
    const answer = Promise.withResolvers<void>();
    let asked = false;
    await startAll(
      1,
      { announceIntervalMs: 5 },
      tapped(async (statement) => {
        if (statement.name !== "lease-outbox") return;
        asked = true;
        await answer.promise;
      }),
    );
    await until(() => asked);
    let stopped = false;
    const stopping = executors[0]?.stop().then(() => {
      stopped = true;
    });
    await database.ping(1_000);
    expect(stopped).toBe(false);
    answer.resolve();
    await stopping;
  });

  test("does not wait for the pause after an error", async () => {
    await startAll(
      1,
      {},
      tapped(() => {
        throw new Error("no answer");
      }),
    );
    await until(() => linesOf("loop.failed").length >= 3);
    await executors[0]?.stop();
  });

  test("may be asked for twice, and before the start", async () => {
    await startAll(1, ALL);
    await Promise.all([executors[0]?.stop(), executors[0]?.stop()]);
    expect(linesOf("executor.stopped")).toMatchObject([{ level: "info", elapsedMs: expect.any(Number) }]);
    const never = createExecutor({
      database,
      payloads,
      announcer: createAnnouncer({ database, queues, payloads, log }),
      queueNames: ["default"],
      log,
      clock: systemClock,
      settings: SETTINGS,
    });
    await never.stop();
    expect(linesOf("executor.stopped")).toHaveLength(1);
  });
});
