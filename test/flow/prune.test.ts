import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { prune } from "../../runtime/flow/prune.ts";
import { TASK_STATES } from "../../runtime/model/task.ts";
import { openPayloadStore, type S3PayloadStore } from "../../runtime/payload/s3.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { startTestAws, type TestAws } from "../support/aws.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { ask, clearTasks, createOutboxRow, createTask, createTasks, readTasks } from "../support/tasks.ts";
import { hold } from "./waiting.ts";

const DAY_MS = 86_400_000;
const RETENTION_MS = 30 * DAY_MS;
const OLD = { finishedMsAgo: RETENTION_MS + DAY_MS } as const;

let testDatabase: TestDatabase;
let database: Database;
let aws: TestAws;
let payloads: S3PayloadStore;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 10, applicationName: "prune test" });
  aws = await startTestAws();
  const { endpoint, region, credentials, bucket } = aws;
  payloads = openPayloadStore({ endpoint, region, credentials, bucket, maxBytes: 1_000_000 });
});

beforeEach(async () => {
  await clearTasks(database);
});

afterAll(async () => {
  payloads.close();
  await aws.stop();
  await database.close();
  await testDatabase.drop();
});

const pruneBatch = (limit = 100) => prune(database, payloads, { retentionMs: RETENTION_MS, limit });
const remaining = async () => (await readTasks(database)).map((row) => row.id);

test.each(["succeeded", "failed", "cancelled", "skipped"] as const)(
  "deletes a %s task after its retention",
  async (state) => {
    await createTask(database, { state, ...OLD });
    const recent = await createTask(database, { state, finishedMsAgo: RETENTION_MS - DAY_MS });
    expect(await pruneBatch()).toMatchObject({ tasks: 1 });
    expect(await remaining()).toEqual([recent]);
  },
);

test.each(TASK_STATES.filter((state) => ["blocked", "queued", "running"].includes(state)))(
  "keeps a %s task, however old",
  async (state) => {
    const id = await createTask(database, { state, createdMsAgo: RETENTION_MS * 2, dueInMs: -RETENTION_MS * 2 });
    expect(await pruneBatch()).toEqual({ tasks: 0, idempotencyKeys: 0, payloads: 0 });
    expect(await remaining()).toEqual([id]);
  },
);

test("keeps a task with a message still to send", async () => {
  const id = await createTask(database, { state: "failed", ...OLD });
  await createOutboxRow(database, { taskId: id, kind: "dead_letter", sendInMs: 30_000 });
  expect(await pruneBatch()).toMatchObject({ tasks: 0 });
  expect(await remaining()).toEqual([id]);
});

test("deletes the attempts of the tasks it deletes, and no others", async () => {
  const [old, recent] = await createTasks(database, [{ state: "failed", ...OLD }, { state: "failed" }]);
  await ask(
    database,
    "insert into taskiq.attempt (task_id, attempt, outcome) values ($1, 1, 'failed'), ($2, 1, 'failed')",
    [old, recent],
  );
  await pruneBatch();
  expect(await ask(database, "select task_id from taskiq.attempt")).toEqual([{ task_id: recent }]);
});

test("deletes their payloads from the store", async () => {
  const id = randomUUID();
  const [inputRef, resultRef] = [await payloads.put(id, '"input"'), await payloads.put(id, '"result"')];
  await createTask(database, { id, state: "succeeded", inputRef, result: null, resultRef, ...OLD });
  expect(await pruneBatch()).toEqual({ tasks: 1, idempotencyKeys: 0, payloads: 2 });
  for (const ref of [inputRef, resultRef])
    await expect(payloads.get(ref)).rejects.toMatchObject({ code: "payload_missing" });
});

test("keeps the payload of a task that it keeps", async () => {
  const id = randomUUID();
  const resultRef = await payloads.put(id, '"result"');
  await createTask(database, { id, state: "succeeded", result: null, resultRef });
  await pruneBatch();
  expect(await payloads.get(resultRef)).toBe('"result"');
});

test("takes the oldest first, at most as many as it is asked for", async () => {
  const ids = await createTasks(
    database,
    [2, 4, 3].map((days) => ({ state: "succeeded" as const, finishedMsAgo: RETENTION_MS + days * DAY_MS })),
  );
  expect(await pruneBatch(2)).toMatchObject({ tasks: 2 });
  expect(await remaining()).toEqual([ids[0]]);
});

describe("idempotency keys", () => {
  async function createKey(key: string, expiresInMs: number): Promise<void> {
    await ask(
      database,
      `insert into taskiq.idempotency values ('default', $1, 'hash', gen_random_uuid(), now() + $2::float8 * interval '1 millisecond')`,
      [key, expiresInMs],
    );
  }

  test("are deleted once they have expired, oldest first, at most as many as it is asked for", async () => {
    for (const [key, expiresInMs] of [
      ["second", -1_000],
      ["first", -2_000],
      ["alive", 1_000],
    ] as const) {
      await createKey(key, expiresInMs);
    }
    expect(await pruneBatch(1)).toMatchObject({ idempotencyKeys: 1 });
    expect(await ask(database, "select key from taskiq.idempotency order by key")).toEqual([
      { key: "alive" },
      { key: "second" },
    ]);
    expect(await pruneBatch(1)).toMatchObject({ idempotencyKeys: 1 });
    expect(await pruneBatch(1)).toMatchObject({ idempotencyKeys: 0 });
  });
});

test("forgets workers that have been silent for a day", async () => {
  await ask(
    database,
    `insert into taskiq.worker (name, version, queues, slots, beat_at) values
       ('gone', '1', '{default}', 1, now() - interval '25 hours'), ('here', '1', '{default}', 1, now())`,
  );
  await pruneBatch();
  expect(await ask(database, "select name from taskiq.worker")).toEqual([{ name: "here" }]);
});

describe("two at once", () => {
  test("passes over rows that another holds", async () => {
    const ids = await createTasks(database, [
      { state: "failed", ...OLD },
      { state: "failed", ...OLD },
    ]);
    const other = await hold(database, (tx) =>
      tx.raw.query("select from taskiq.task where id = $1 for update", [ids[0]]),
    );
    expect(await pruneBatch()).toMatchObject({ tasks: 1 });
    await other.end();
    expect(await remaining()).toEqual([ids[0]]);
  });

  test("from 8 connections each row is deleted once", async () => {
    await createTasks(
      database,
      Array.from({ length: 100 }, () => ({ state: "succeeded" as const, ...OLD })),
    );
    const counts = await Promise.all(Array.from({ length: 16 }, () => pruneBatch(10)));
    const sum = counts.reduce((total, { tasks }) => total + tasks, 0);
    expect(sum + (await remaining()).length).toBe(100);
  });
});
