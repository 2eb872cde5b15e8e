import { randomUUID } from "node:crypto";
import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Announcer, createAnnouncer, type Doorbell } from "../../runtime/flow/announce.ts";
import { openLog } from "../../runtime/log.ts";
import { TASK_STATES } from "../../runtime/model/task.ts";
import { openPayloadStore, type S3PayloadStore } from "../../runtime/payload/s3.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { loadSql } from "../../runtime/postgres/sql.ts";
import { openQueues, type SqsQueues } from "../../runtime/queue/sqs.ts";
import { decodeMessage } from "../../runtime/wire/message.ts";
import { decodeResult } from "../../runtime/wire/result.ts";
import { startTestAws, type TestAws } from "../support/aws.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import {
  ask,
  clearTasks,
  createOutboxRow,
  createTask,
  createTasks,
  readOutbox,
  SAMPLE_ERROR,
} from "../support/tasks.ts";
import { hold } from "./waiting.ts";

const LEASE_OUTBOX = loadSql(import.meta.url, "../../runtime/flow/lease-outbox.sql");
const SETTLE_OUTBOX = loadSql(import.meta.url, "../../runtime/flow/settle-outbox.sql");

let testDatabase: TestDatabase;
let database: Database;
let aws: TestAws;
let queues: SqsQueues;
let payloads: S3PayloadStore;
let s3: S3Client;
let lines: { event: string; code?: string }[] = [];
const log = openLog({ level: "debug", format: "json", service: "test", write: (line) => lines.push(JSON.parse(line)) });

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 10, applicationName: "announce test" });
  aws = await startTestAws({ queues: ["default", "slow"] });
  const { endpoint, region, credentials, bucket } = aws;
  queues = openQueues({ endpoint, region, credentials, queues: JSON.parse(aws.env.TASKIQ_QUEUES ?? "") });
  payloads = openPayloadStore({ endpoint, region, credentials, bucket, maxBytes: 10_000_000 });
  s3 = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
});

beforeEach(async () => {
  await clearTasks(database);
  for (const name of ["taskiq-default", "taskiq-slow", "taskiq-default-dlq", "taskiq-slow-dlq"]) await emptyQueue(name);
  lines = [];
});

afterAll(async () => {
  s3.destroy();
  payloads.close();
  queues.close();
  await aws.stop();
  await database.close();
  await testDatabase.drop();
});

function announcer(changes: { database?: Database; queues?: SqsQueues } = {}): Announcer {
  return createAnnouncer({ database, queues, payloads, log, ...changes });
}

/** Ids of the tasks whose doorbells a queue holds, sorted. */
function rungOn(name = "taskiq-default"): string[] {
  return aws
    .inspectQueue(name)
    .ready.map(({ body }) => decodeMessage(body).id ?? body)
    .sort();
}

async function emptyQueue(name: string): Promise<void> {
  const queue = queueCalled(name);
  while (aws.inspectQueue(name).ready.length > 0) {
    const messages = await queue.receive({ max: 10, waitMs: 0 });
    await queue.remove(messages.map((message) => message.receiptHandle));
  }
}

function queueCalled(name: string) {
  const [, base, dead] = /^taskiq-([a-z]+)(-dlq)?$/.exec(name) ?? [];
  const queue = dead === undefined ? queues.get(base ?? "") : queues.deadLetter(base ?? "");
  if (queue === undefined) throw new Error(`expected a queue ${name}`);
  return queue;
}

/** A queued task with a doorbell that is due. */
async function dueTask(columns = {}, sendInMs = 0): Promise<Doorbell & { name: string }> {
  const task = { name: "demo", queue: "default", tenant: "default", priority: 0, ...columns };
  const id = await createTask(database, task);
  return {
    id,
    outboxId: await createOutboxRow(database, { taskId: id, queue: task.queue, sendInMs }),
    group: null,
    ...task,
  };
}

async function objectAt(key: string): Promise<string> {
  const { Body } = await s3.send(new GetObjectCommand({ Bucket: aws.bucket, Key: key }));
  return (await Body?.transformToString()) ?? "";
}

describe("ring", () => {
  test("sends doorbells to their queues and forgets their outbox rows", async () => {
    const doorbells = [await dueTask({}, 5_000), await dueTask({ queue: "slow" }, 5_000), await dueTask({}, 5_000)];
    const { ring, idle } = announcer();
    ring(doorbells);
    await idle();
    expect(rungOn()).toEqual([doorbells[0]?.id, doorbells[2]?.id].sort());
    expect(rungOn("taskiq-slow")).toEqual([doorbells[1]?.id]);
    expect(await readOutbox(database)).toEqual([]);
  });

  test("of more than one round sends all of them", async () => {
    const ids = await createTasks(
      database,
      Array.from({ length: 450 }, () => ({})),
    );
    const { ring, idle } = announcer();
    ring(
      await Promise.all(
        ids.map(async (id) => ({
          id,
          name: "demo",
          queue: "default",
          tenant: "default",
          group: null,
          priority: 0,
          outboxId: await createOutboxRow(database, { taskId: id }),
        })),
      ),
    );
    await idle();
    expect(rungOn()).toEqual([...ids].sort());
    expect(await readOutbox(database)).toEqual([]);
  });

  test("leaves in the outbox what the queue did not take: one message of a batch too large", async () => {
    const good = await dueTask({}, 5_000);
    const tooLarge = await dueTask({ name: "x".repeat(1_100_000) }, 5_000);
    const { ring, idle } = announcer();
    ring([tooLarge, good]);
    await idle();
    expect(rungOn()).toEqual([good.id]);
    expect((await readOutbox(database)).map((row) => row.task_id)).toEqual([tooLarge.id]);
    expect(lines).toMatchObject([{ event: "announce.failed", code: "message_too_large" }]);
  });

  test("leaves in the outbox what belongs to a queue that is not configured", async () => {
    const [good, strange] = [await dueTask({}, 5_000), await dueTask({ queue: "gone" }, 5_000)];
    const { ring, idle } = announcer();
    ring([strange, good]);
    await idle();
    expect(rungOn()).toEqual([good.id]);
    expect((await readOutbox(database)).map((row) => row.task_id)).toEqual([strange.id]);
  });

  test("leaves everything in the outbox while the queue cannot be reached", async () => {
    const away = openQueues({
      region: aws.region,
      credentials: aws.credentials,
      endpoint: "http://127.0.0.1:9",
      queues: JSON.parse(aws.env.TASKIQ_QUEUES ?? ""),
      connectTimeoutMs: 200,
      commandTimeoutMs: 200,
    });
    const doorbell = await dueTask({}, 5_000);
    const { ring, idle } = announcer({ queues: away });
    ring([doorbell]);
    await idle();
    away.close();
    expect(await readOutbox(database)).toHaveLength(1);
  });

  test("that cannot reach the database leaves the row for the loop, which rings once more", async () => {
    const gone = openDatabase({ connectionString: testDatabase.url, max: 1, applicationName: "gone" });
    await gone.close();
    const doorbell = await dueTask();
    const { ring, idle } = announcer({ database: gone });
    ring([doorbell]);
    await idle();
    expect(await announcer().announceDue(10)).toBe(1);
    expect(rungOn()).toEqual([doorbell.id, doorbell.id]);
    expect(await readOutbox(database)).toEqual([]);
  });

  test("leaves what is too much for it to the loop", async () => {
    const doorbell = await dueTask();
    const { ring, idle } = announcer();
    ring(Array.from({ length: 20_001 }, () => doorbell));
    await idle();
    expect(rungOn()).toEqual([]);
    expect(await readOutbox(database)).toHaveLength(1);
  });
});

describe("announceDue", () => {
  test("sends what is due, not what is not", async () => {
    const due = await dueTask({}, -1_000);
    await dueTask({}, 60_000);
    expect(await announcer().announceDue(10)).toBe(1);
    expect(rungOn()).toEqual([due.id]);
    expect(await readOutbox(database)).toHaveLength(1);
    expect(await announcer().announceDue(10)).toBe(0);
  });

  test("takes the oldest first, at most as many as it is asked for", async () => {
    const [third, first, second] = [await dueTask({}, -1_000), await dueTask({}, -3_000), await dueTask({}, -2_000)];
    expect(await announcer().announceDue(2)).toBe(2);
    expect(rungOn()).toEqual([first.id, second.id].sort());
    expect((await readOutbox(database)).map((row) => row.task_id)).toEqual([third.id]);
  });

  test.each(TASK_STATES.filter((state) => state !== "queued"))(
    "forgets the doorbell of a %s task without ringing",
    async (state) => {
      const id = await createTask(database, { state });
      await createOutboxRow(database, { taskId: id });
      expect(await announcer().announceDue(10)).toBe(1);
      expect(rungOn()).toEqual([]);
      expect(await readOutbox(database)).toEqual([]);
    },
  );

  test.each(["doorbell", "result", "dead_letter"] as const)("forgets the %s of a task that is gone", async (kind) => {
    await createOutboxRow(database, { taskId: randomUUID(), kind });
    expect(await announcer().announceDue(10)).toBe(1);
    expect(await readOutbox(database)).toEqual([]);
  });

  test("tries what failed again soon, by itself, not only when its lease is over", async () => {
    const good = await dueTask();
    const tooLarge = await dueTask({ name: "x".repeat(1_100_000) });
    expect(await announcer().announceDue(10)).toBe(2);
    expect(rungOn()).toEqual([good.id]);
    const [row, ...others] = await readOutbox(database);
    expect(others).toEqual([]);
    expect(row).toMatchObject({ task_id: tooLarge.id });
    expect(row?.send_in_ms).toBeGreaterThan(0);
    expect(row?.send_in_ms).toBeLessThan(10_000);
    expect(await announcer().announceDue(10)).toBe(0);
  });

  test("several senders at once send each message once", async () => {
    const ids = await createTasks(
      database,
      Array.from({ length: 200 }, () => ({})),
    );
    for (const taskId of ids) await createOutboxRow(database, { taskId });
    const counts = await Promise.all(Array.from({ length: 8 }, () => announcer().announceDue(50)));
    const more = await announcer().announceDue(1_000);
    expect(counts.reduce((sum, count) => sum + count, more)).toBe(ids.length);
    expect(rungOn()).toEqual([...ids].sort());
  });

  test("does not wait for a row that somebody holds: it is being rung again", async () => {
    const held = await dueTask();
    const free = await dueTask();
    const holder = await hold(database, (tx) =>
      tx.raw.query("select from taskiq.outbox where id = $1 for update", [held.outboxId]),
    );
    expect(await announcer().announceDue(10)).toBe(1);
    expect(rungOn()).toEqual([free.id]);
    await holder.end();
    expect(await announcer().announceDue(10)).toBe(1);
  });

  test("sends what a sender leased and did not live to send", async () => {
    const { id } = await dueTask();
    expect(await database.query(LEASE_OUTBOX, [10, 60_000])).toHaveLength(1);
    expect(await announcer().announceDue(10)).toBe(0);
    await ask(database, "update taskiq.outbox set send_at = now()");
    expect(await announcer().announceDue(10)).toBe(1);
    expect(rungOn()).toEqual([id]);
  });

  test("a sender that is slower than its lease settles nothing that another has settled", async () => {
    const { outboxId } = await dueTask();
    await database.query(LEASE_OUTBOX, [10, 0]);
    await announcer().announceDue(10);
    expect(await database.query(SETTLE_OUTBOX, [[outboxId]])).toEqual([]);
  });
});

describe("a dead letter", () => {
  test("goes to the dead-letter queue of its queue, rings for the task and says why", async () => {
    const error = { ...SAMPLE_ERROR, code: "crash_loop" };
    const id = await createTask(database, { state: "failed", queue: "slow", attempt: 6, error });
    await createOutboxRow(database, { taskId: id, kind: "dead_letter", queue: "slow" });
    await announcer().announceDue(10);
    const [message, ...others] = (await queues.deadLetter("slow").receive({ max: 10, waitMs: 0 })) ?? [];
    expect(others).toEqual([]);
    expect(decodeMessage(message?.body ?? "")).toEqual({ kind: "doorbell", id });
    expect(message?.attributes).toEqual({
      reason: "crash_loop",
      error_type: "Error",
      task: "demo",
      task_id: id,
      attempt: "6",
      source_queue: "slow",
      worker: "worker-1",
      failed_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    });
    expect(await readOutbox(database)).toEqual([]);
  });

  test("of a queue that is not configured any more holds up nothing else", async () => {
    const good = await dueTask();
    const id = await createTask(database, { state: "failed", queue: "gone" });
    await createOutboxRow(database, { taskId: id, kind: "dead_letter", queue: "gone" });
    await announcer()
      .announceDue(10)
      .catch(() => {});
    expect(rungOn()).toEqual([good.id]);
    expect((await readOutbox(database)).map((row) => row.task_id)).toEqual([id]);
  });
});

test("a queue without a dead-letter queue holds up nothing else", async () => {
  const { endpoint, region, credentials } = aws;
  const addresses: { name: string; url: string; deadLetterUrl: string | null }[] = JSON.parse(
    aws.env.TASKIQ_QUEUES ?? "",
  );
  const without = openQueues({
    endpoint,
    region,
    credentials,
    queues: addresses.map((address) => (address.name === "slow" ? { ...address, deadLetterUrl: null } : address)),
  });
  const good = await dueTask();
  const id = await createTask(database, { state: "failed", queue: "slow" });
  await createOutboxRow(database, { taskId: id, kind: "dead_letter", queue: "slow" });
  await announcer({ queues: without })
    .announceDue(10)
    .catch(() => {});
  without.close();
  expect(rungOn()).toEqual([good.id]);
  expect((await readOutbox(database)).map((row) => row.task_id)).not.toContain(good.id);
});

describe("a result for another producer", () => {
  async function announceResult(columns: object): Promise<string> {
    const replyKey = `results/${randomUUID()}`;
    const id = await createTask(database, { replyKey, ...columns });
    await createOutboxRow(database, { taskId: id, kind: "result" });
    expect(await announcer().announceDue(10)).toBe(1);
    expect(await readOutbox(database, id)).toEqual([]);
    return await objectAt(replyKey);
  }

  test("is the recorded value, character for character", async () => {
    const text = '{"n":18446744073709551616,"z":-0.0,"f":1.0,"u":"\\u0000\\ud800"}';
    const written = await announceResult({
      state: "succeeded",
      result: text,
      startedMsAgo: 1_500,
      labels: '{"a":"b"}',
    });
    const decoded = decodeResult(written);
    expect(decoded).toMatchObject({ kind: "value", text, labels: '{"a":"b"}' });
    if (decoded.kind === "value") expect(decoded.executionMs).toBeCloseTo(1_500, -2);
  });

  test("is the value from the payload store where the row has only its reference", async () => {
    const text = JSON.stringify("x".repeat(100_000));
    const resultRef = await payloads.put(randomUUID(), text);
    const written = await announceResult({ state: "succeeded", result: null, resultRef });
    expect(decodeResult(written)).toMatchObject({ kind: "value", text });
  });

  test("of a failed task is its error", async () => {
    const written = await announceResult({ state: "failed" });
    expect(decodeResult(written)).toMatchObject({ kind: "error", error: { type: "Error", message: "no route" } });
  });

  test("of a cancelled task is Python's CancelledError", async () => {
    const written = await announceResult({ state: "cancelled" });
    expect(decodeResult(written)).toMatchObject({ kind: "error", error: { type: "CancelledError" } });
  });

  test("whose payload is missing stays, and holds up nothing else", async () => {
    const missing = `v1/2026-01-01/${randomUUID()}/${"0".repeat(64)}`;
    const id = await createTask(database, {
      state: "succeeded",
      result: null,
      resultRef: missing,
      replyKey: "results/x",
    });
    await createOutboxRow(database, { taskId: id, kind: "result" });
    const good = await dueTask();
    expect(await announcer().announceDue(10)).toBe(2);
    expect(rungOn()).toEqual([good.id]);
    expect((await readOutbox(database)).map((row) => row.task_id)).toEqual([id]);
  });

  test("is the outcome recorded last, whatever was recorded when it was owed", async () => {
    const id = await createTask(database, { state: "failed", replyKey: "results/last" });
    await createOutboxRow(database, { taskId: id, kind: "result" });
    await ask(database, "update taskiq.task set state = 'succeeded', error = null, result = '7' where id = $1", [id]);
    await announcer().announceDue(10);
    expect(decodeResult(await objectAt("results/last"))).toMatchObject({ kind: "value", text: "7" });
  });
});

test("all three kinds of one task are sent in one round", async () => {
  const failed = await createTask(database, { state: "failed", replyKey: "results/three" });
  await createOutboxRow(database, { taskId: failed, kind: "result" });
  await createOutboxRow(database, { taskId: failed, kind: "dead_letter" });
  const queued = await dueTask();
  expect(await announcer().announceDue(10)).toBe(3);
  expect(rungOn()).toEqual([queued.id]);
  expect(rungOn("taskiq-default-dlq")).toEqual([failed]);
  expect(decodeResult(await objectAt("results/three"))).toMatchObject({ kind: "error" });
  expect(await readOutbox(database)).toEqual([]);
});
