import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Backlog, readBacklog } from "../../runtime/executor/backlog.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import type { Queue } from "../../runtime/queue/queue.ts";
import { openQueues, type SqsQueues } from "../../runtime/queue/sqs.ts";
import { startTestAws, type TestAws } from "../support/aws.ts";
import { type AwsProxy, sqsError, startAwsProxy } from "../support/aws-proxy.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { ask, clearTasks, createOutboxRow, createTask, createTasks } from "../support/tasks.ts";

let testDatabase: TestDatabase;
let database: Database;
let aws: TestAws;
let proxy: AwsProxy;
let queues: SqsQueues;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 4, applicationName: "backlog test" });
});

beforeEach(async () => {
  aws = await startTestAws({ queues: ["default", "reports"] });
  proxy = await startAwsProxy(aws.endpoint);
  queues = openQueues({
    endpoint: proxy.endpoint,
    region: aws.region,
    credentials: aws.credentials,
    queues: [
      { name: "default", url: aws.queueUrl("default"), deadLetterUrl: aws.deadLetterUrl("default") },
      { name: "reports", url: aws.queueUrl("reports"), deadLetterUrl: null },
    ],
  });
});

afterEach(async () => {
  queues.close();
  await proxy.close();
  await aws.stop();
  await clearTasks(database);
});

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

const read = (): Promise<Backlog> => readBacklog({ database, queues });
const queueOf = (name: string): Queue => queues.get(name) as Queue;
const messages = (count: number) => Array.from({ length: count }, () => ({ body: "{}" }));

type WorkerColumns = { name: string; slots?: number; running?: number; draining?: boolean; silentMs?: number };

async function createWorker({ name, slots = 5, running = 0, draining = false, silentMs = 0 }: WorkerColumns) {
  await ask(
    database,
    `insert into taskiq.worker (name, version, queues, slots, running, draining, beat_at)
     values ($1, '1', '{default}', $2, $3, $4, now() - $5::float8 * interval '1 millisecond')`,
    [name, slots, running, draining, silentMs],
  );
}

/** A message that has been owed for so long, whenever it is tried next. */
async function owe(
  taskId: string,
  row: { kind?: "doorbell" | "result" | "dead_letter"; sendInMs?: number; msAgo: number },
) {
  const id = await createOutboxRow(database, { taskId, ...row });
  await ask(
    database,
    "update taskiq.outbox set created_at = now() - $2::float8 * interval '1 millisecond' where id = $1",
    [id, row.msAgo],
  );
}

test("nothing waits in an empty system", async () => {
  expect(await read()).toEqual({
    backlog: 0,
    visible: 0,
    dueInOutbox: 0,
    oldestQueuedMs: null,
    workers: 0,
    busyWorkers: 0,
    running: 0,
    slots: 0,
    outboxPending: 0,
    outboxOldestMs: null,
    struggling: 0,
    queues: [
      { name: "default", visible: 0, inFlight: 0, deadLettered: 0 },
      { name: "reports", visible: 0, inFlight: 0, deadLettered: null },
    ],
  });
});

describe("the queues", () => {
  test("visible messages of all of them are backlog; those in flight and dead-lettered are told apart", async () => {
    await queueOf("default").send(messages(7));
    await queueOf("reports").send(messages(4));
    await queues.deadLetter("default").send(messages(2));
    await queueOf("default").receive({ max: 3, waitMs: 0, visibilityMs: 600_000 });
    expect(await read()).toMatchObject({
      backlog: 8,
      visible: 8,
      dueInOutbox: 0,
      queues: [
        { name: "default", visible: 4, inFlight: 3, deadLettered: 2 },
        { name: "reports", visible: 4, inFlight: 0, deadLettered: null },
      ],
    });
  });

  test("one that does not answer fails the whole reading: half a backlog would look like a small one", async () => {
    await queueOf("default").send(messages(7));
    proxy.treat((call) =>
      call.operation === "GetQueueAttributes" && call.body.includes("reports")
        ? sqsError(403, "AccessDenied")
        : { kind: "pass" },
    );
    await expect(read()).rejects.toMatchObject({ code: "queue_unavailable" });
  });

  test("a dead-letter queue that does not answer is unknown, and the rest is known", async () => {
    const deadLetterUrl = aws.deadLetterUrl("default");
    await queueOf("default").send(messages(1));
    proxy.treat((call) =>
      call.operation === "GetQueueAttributes" && call.body.includes(JSON.stringify(deadLetterUrl))
        ? sqsError(403, "AccessDenied")
        : { kind: "pass" },
    );
    const { visible, queues: counts } = await read();
    expect(visible).toBe(1);
    expect(counts[0]).toEqual({ name: "default", visible: 1, inFlight: 0, deadLettered: null });
  });
});

describe("the outbox", () => {
  test("doorbells of due tasks are backlog, also while a sender has them and after a refusal", async () => {
    const ids = await createTasks(database, [{}, {}, {}]);
    await owe(ids[0]!, { msAgo: 1_000 });
    await owe(ids[1]!, { msAgo: 1_000, sendInMs: 29_000 });
    await owe(ids[2]!, { msAgo: 1_000, sendInMs: 3_000 });
    await queueOf("default").send(messages(2));
    expect(await read()).toMatchObject({ backlog: 5, visible: 2, dueInOutbox: 3, outboxPending: 3 });
  });

  test("a task for later, one that runs or ended already and one that is gone owe nothing", async () => {
    const [soon, later, running, ended] = (await createTasks(database, [
      { dueInMs: 20_000 },
      { dueInMs: 3_600_000 },
      { state: "running" },
      { state: "succeeded" },
    ])) as [string, string, string, string];
    await owe(soon, { msAgo: 60_000, sendInMs: 20_000 });
    await owe(later, { msAgo: 60_000, sendInMs: 3_600_000 });
    await owe(running, { msAgo: 60_000 });
    await owe(ended, { msAgo: 60_000 });
    await owe("00000000-0000-7000-8000-000000000009", { msAgo: 60_000 });
    expect(await read()).toMatchObject({ backlog: 0, dueInOutbox: 0, outboxPending: 0, outboxOldestMs: null });
  });

  test("results and dead letters are owed as well, and are no backlog", async () => {
    const [failed] = await createTasks(database, [{ state: "failed" }]);
    await owe(failed!, { kind: "dead_letter", msAgo: 90_000, sendInMs: 3_000 });
    await owe(failed!, { kind: "result", msAgo: 1_000 });
    const { outboxOldestMs, ...backlog } = await read();
    expect(backlog).toMatchObject({ backlog: 0, dueInOutbox: 0, outboxPending: 2 });
    expect(outboxOldestMs).toBeGreaterThanOrEqual(90_000);
    expect(outboxOldestMs).toBeLessThan(100_000);
  });

  test("a doorbell is owed since it was written or since its task is due, whichever was later", async () => {
    const delayed = await createTask(database, { dueInMs: -5_000, createdMsAgo: 3_600_000 });
    await owe(delayed, { msAgo: 3_600_000 });
    expect((await read()).outboxOldestMs).toBeLessThan(10_000);
    const rungAgain = await createTask(database, { dueInMs: -7_200_000 });
    await owe(rungAgain, { msAgo: 20_000 });
    const { outboxOldestMs } = await read();
    expect(outboxOldestMs).toBeGreaterThanOrEqual(20_000);
    expect(outboxOldestMs).toBeLessThan(30_000);
  });
});

describe("the tasks", () => {
  test("the oldest is the one that has been due for longest in a configured queue", async () => {
    await createTasks(database, [
      { dueInMs: -30_000 },
      { queue: "reports", dueInMs: -90_000 },
      { dueInMs: 600_000 },
      { queue: "gone", dueInMs: -900_000 },
      { state: "running", dueInMs: -800_000 },
      { state: "blocked", dueInMs: -800_000 },
    ]);
    const { oldestQueuedMs } = await read();
    expect(oldestQueuedMs).toBeGreaterThanOrEqual(90_000);
    expect(oldestQueuedMs).toBeLessThan(100_000);
  });

  test("one that is due is a backlog of one, while no queue shows a message for it", async () => {
    await createTask(database, { dueInMs: 600_000 });
    expect(await read()).toMatchObject({ backlog: 0 });
    await createTasks(database, [{ dueInMs: -10 }, { dueInMs: -10 }]);
    expect(await read()).toMatchObject({ backlog: 1, visible: 0, dueInOutbox: 0 });
    await queueOf("default").send(messages(2));
    expect(await read()).toMatchObject({ backlog: 2, visible: 2 });
  });

  test("struggling are the unfinished ones on their third attempt or a later one", async () => {
    await createTasks(database, [
      { attempt: 3 },
      { state: "running", attempt: 7 },
      { attempt: 2 },
      { state: "running", attempt: 1 },
      { state: "failed", attempt: 3 },
      { state: "succeeded", attempt: 4 },
    ]);
    expect((await read()).struggling).toBe(2);
  });
});

describe("the workers", () => {
  test("count while they beat and do not drain", async () => {
    await createWorker({ name: "idle", slots: 4 });
    await createWorker({ name: "busy", slots: 5, running: 3 });
    await createWorker({ name: "draining", slots: 8, running: 2, draining: true });
    await createWorker({ name: "dead", slots: 16, running: 9, silentMs: 31_000 });
    expect(await read()).toMatchObject({ workers: 2, slots: 9, running: 3, busyWorkers: 1 });
    expect(await readBacklog({ database, queues, workerAliveMs: 60_000 })).toMatchObject({ workers: 3, slots: 25 });
  });

  test("one that has claimed since its last beat is busy already", async () => {
    await createWorker({ name: "worker-1", running: 0 });
    await createWorker({ name: "worker-2", running: 1 });
    await createWorker({ name: "worker-3", running: 0 });
    await createTasks(database, [
      { state: "running", worker: "worker-1" },
      { state: "running", worker: "worker-1" },
      { state: "running", worker: "worker-2" },
      { state: "running", worker: "nobody" },
      { state: "queued", attempt: 1, worker: "worker-3" },
    ]);
    expect(await read()).toMatchObject({ workers: 3, running: 3, busyWorkers: 2 });
  });
});

test("what waits in a paused queue is no backlog: no worker could do anything about it", async () => {
  await queueOf("default").send(messages(3));
  await createTask(database, { dueInMs: -60_000 });
  await ask(database, "insert into taskiq.paused_queue (queue) values ('default')");
  expect(await read()).toMatchObject({ backlog: 0, visible: 0, oldestQueuedMs: null });
  await ask(database, "delete from taskiq.paused_queue");
  expect(await read()).toMatchObject({ backlog: 3, visible: 3 });
});
