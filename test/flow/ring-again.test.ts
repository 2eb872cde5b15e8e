import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ringAgain } from "../../runtime/flow/ring-again.ts";
import { TASK_STATES } from "../../runtime/model/task.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { ask, clearTasks, createOutboxRow, createTask, createTasks, readOutbox, readTask } from "../support/tasks.ts";
import { hold } from "./waiting.ts";

const AFTER_MS = 300_000;
const SILENT = { announcedMsAgo: AFTER_MS + 1_000, dueInMs: -AFTER_MS };

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 12, applicationName: "ring-again test" });
});

beforeEach(async () => {
  await clearTasks(database);
});

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

const ring = (limit = 500) => ringAgain(database, "default", { afterMs: AFTER_MS, limit });

test("rings for a queued task whose doorbell was rung long ago", async () => {
  const id = await createTask(database, SILENT);
  expect(await ring()).toEqual([id]);
  const row = await readTask(database, id);
  expect(row).toMatchObject({ state: "queued", rings: 1, attempt: 0, failures: 0, losses: 0 });
  expect(row.announced_ms_ago).toBeLessThan(5_000);
  const outbox = await readOutbox(database);
  expect(outbox).toMatchObject([{ kind: "doorbell", task_id: id, queue: "default" }]);
  expect(outbox[0]?.send_in_ms).toBeLessThanOrEqual(0);
});

test("rings once: the second turn finds it rung", async () => {
  await createTask(database, SILENT);
  await ring();
  expect(await ring()).toEqual([]);
});

test("does not ring for a task rung a moment ago", async () => {
  await createTask(database, { announcedMsAgo: AFTER_MS - 10_000 });
  expect(await ring()).toEqual([]);
});

test.each([
  [0, 1],
  [1, 2],
  [2, 4],
  [3, 8],
  [10, 1_024],
  [11, 1_024],
  [100, 1_024],
])("after %i rings the next comes after %i times the interval", async (rings, times) => {
  const [early, late] = await createTasks(database, [
    { rings, announcedMsAgo: AFTER_MS * times - 60_000, dueInMs: -AFTER_MS },
    { rings, announcedMsAgo: AFTER_MS * times + 60_000, dueInMs: -AFTER_MS },
  ]);
  expect(early).toBeDefined();
  expect(await ring()).toEqual([late]);
});

test("counts rings only so far", async () => {
  const id = await createTask(database, { rings: 100, announcedMsAgo: AFTER_MS * 2_000 });
  expect(await ring()).toEqual([id]);
  expect(await readTask(database, id)).toMatchObject({ rings: 100 });
});

test("does not ring for a task that is not due, however long ago it was announced", async () => {
  await createTask(database, { announcedMsAgo: AFTER_MS * 2, dueInMs: 60_000 });
  expect(await ring()).toEqual([]);
});

test.each(TASK_STATES.filter((state) => state !== "queued"))("does not ring for a %s task", async (state) => {
  const id = await createTask(database, { state, announcedMsAgo: AFTER_MS * 2, dueInMs: -AFTER_MS * 2 });
  expect(await ring()).toEqual([]);
  expect(await readTask(database, id)).toMatchObject({ state, rings: 0 });
});

test("rings for the tasks of its queue only", async () => {
  await createTask(database, { ...SILENT, queue: "other" });
  expect(await ring()).toEqual([]);
});

test("takes the oldest first, at most as many as it is asked for", async () => {
  const ids = await createTasks(
    database,
    [3, 1, 2].map((age) => ({ announcedMsAgo: AFTER_MS + age * 1_000, dueInMs: -AFTER_MS })),
  );
  expect(await ring(2)).toHaveLength(2);
  const rung = await readOutbox(database);
  expect(rung.map((row) => row.task_id).sort()).toEqual([ids[0], ids[2]].sort());
});

test("tasks that wait for a longer interval do not keep the others from being rung", async () => {
  await createTasks(
    database,
    Array.from({ length: 10 }, () => ({ rings: 8, announcedMsAgo: AFTER_MS * 100, dueInMs: -AFTER_MS * 100 })),
  );
  const id = await createTask(database, SILENT);
  expect(await ring(5)).toEqual([id]);
});

describe("a task whose doorbell still waits in the outbox", () => {
  test("keeps that one", async () => {
    const id = await createTask(database, SILENT);
    const outboxId = await createOutboxRow(database, { taskId: id, sendInMs: 20_000 });
    await ring();
    const rows = await readOutbox(database, id);
    expect(rows.map((row) => row.id)).toEqual([outboxId]);
  });

  test("is not counted as rung: an outage of the queue must not lengthen its interval", async () => {
    const id = await createTask(database, SILENT);
    await createOutboxRow(database, { taskId: id, sendInMs: 20_000 });
    await ring();
    expect(await readTask(database, id)).toMatchObject({ rings: 0 });
  });
});

describe("two at once", () => {
  test("while one rings, another finds nothing to do and does not wait", async () => {
    const ids = await createTasks(database, [SILENT, SILENT]);
    const first = await hold(database, async (tx) => {
      expect(await ringAgain(tx, "default", { afterMs: AFTER_MS, limit: 1 })).toHaveLength(1);
    });
    expect(await ring()).toEqual([]);
    await first.end();
    expect(await ring()).toHaveLength(ids.length - 1);
  });

  test("passes over a task that a claim holds", async () => {
    const id = await createTask(database, SILENT);
    const holder = await hold(database, (tx) => tx.raw.query("select from taskiq.task where id = $1 for update", [id]));
    expect(await ring()).toEqual([]);
    await holder.end();
    expect(await ring()).toEqual([id]);
  });

  test("from 8 connections each task is rung once", async () => {
    await createTasks(
      database,
      Array.from({ length: 60 }, () => SILENT),
    );
    const turns = await Promise.all(Array.from({ length: 16 }, () => ring(10)));
    const rung = turns.flat();
    expect(new Set(rung).size).toBe(rung.length);
    const rows = await ask<{ rings: number }>(database, "select rings from taskiq.task where rings > 0");
    expect(rows).toHaveLength(rung.length);
    expect(rows.every((row) => row.rings === 1)).toBe(true);
  });
});
