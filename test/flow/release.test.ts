import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { claim } from "../../runtime/flow/claim.ts";
import { complete } from "../../runtime/flow/complete.ts";
import { release } from "../../runtime/flow/release.ts";
import { TASK_STATES } from "../../runtime/model/task.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { loadSql } from "../../runtime/postgres/sql.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import {
  clearTasks,
  createOutboxRow,
  createTask,
  createTasks,
  readAttemptLog,
  readOutbox,
  readTask,
  SAMPLE_ERROR,
} from "../support/tasks.ts";
import { shuffled } from "./shuffled.ts";
import { hold } from "./waiting.ts";

const LOCK_ATTEMPT = loadSql(import.meta.url, "../../runtime/flow/lock-attempt.sql");
const SETTLE_OUTBOX = loadSql(import.meta.url, "../../runtime/flow/settle-outbox.sql");

let testDatabase: TestDatabase;
let database: Database;
let racing: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 12, applicationName: "release test" });
  racing = openDatabase({ connectionString: testDatabase.url, max: 8, applicationName: "racing" });
});

beforeEach(async () => {
  await clearTasks(database);
});

afterAll(async () => {
  await racing.close();
  await database.close();
  await testDatabase.drop();
});

test("queues the task and rings at once, at no cost to any counter", async () => {
  const id = await createTask(database, {
    state: "running",
    attempt: 3,
    failures: 1,
    losses: 2,
    rings: 3,
    dueInMs: -9_000,
  });
  expect(await release(database, [{ id, attempt: 3 }])).toEqual(["queued"]);
  const row = await readTask(database, id);
  expect(row).toMatchObject({
    state: "queued",
    attempt: 3,
    failures: 1,
    losses: 2,
    rings: 0,
    lease_in_ms: null,
    finished: false,
  });
  expect(row.due_in_ms).toBeLessThanOrEqual(-9_000);
  expect(row.announced_ms_ago).toBeLessThan(5_000);
  const outbox = await readOutbox(database);
  expect(outbox).toMatchObject([{ kind: "doorbell", task_id: id, queue: "default" }]);
  expect(outbox[0]?.send_in_ms).toBeLessThanOrEqual(0);
  expect(await readAttemptLog(database, id)).toMatchObject([{ attempt: 3, outcome: "released", worker: "worker-1" }]);
});

test("the next claim is the next attempt", async () => {
  const id = await createTask(database, { state: "running", attempt: 3 });
  await release(database, [{ id, attempt: 3 }]);
  const verdicts = await claim(database, [id], {
    queue: "default",
    worker: "worker-2",
    leaseMs: 30_000,
    knownTasks: ["demo"],
    unknownTaskAfterMs: 3_600_000,
  });
  expect(verdicts.get(id)).toMatchObject({ kind: "claimed", task: { attempt: 4 } });
});

test("with a cancel flag ends cancelled, never queued, and tells the producer", async () => {
  const id = await createTask(database, { state: "running", cancelRequested: true, replyKey: "results/1" });
  expect(await release(database, [{ id, attempt: 1 }])).toEqual(["cancelled"]);
  expect(await readTask(database, id)).toMatchObject({
    state: "cancelled",
    finished: true,
    lease_in_ms: null,
    failures: 0,
  });
  expect(await readOutbox(database)).toMatchObject([{ kind: "result" }]);
  expect(await readAttemptLog(database, id)).toMatchObject([{ outcome: "cancelled" }]);
});

test("a task that ends cancelled does not show the error of an attempt before", async () => {
  const id = await createTask(database, { state: "running", attempt: 2, error: SAMPLE_ERROR, cancelRequested: true });
  await release(database, [{ id, attempt: 2 }]);
  const { error } = await readTask(database, id);
  expect(error === null || JSON.parse(error).code === "cancelled").toBe(true);
});

describe("an attempt that does not own its task is refused and changes nothing:", () => {
  test.each([1, 3])("attempt %i while attempt 2 runs", async (attempt) => {
    const id = await createTask(database, { state: "running", attempt: 2 });
    expect(await release(database, [{ id, attempt }])).toEqual([null]);
    expect(await readTask(database, id)).toMatchObject({ state: "running", attempt: 2 });
    expect(await readOutbox(database)).toEqual([]);
  });

  test.each(TASK_STATES.filter((state) => state !== "running"))("a %s task of the same attempt", async (state) => {
    const id = await createTask(database, { state, attempt: 1 });
    expect(await release(database, [{ id, attempt: 1 }])).toEqual([null]);
    expect(await readTask(database, id)).toMatchObject({ state });
    expect(await readOutbox(database)).toEqual([]);
    expect(await readAttemptLog(database, id)).toEqual([]);
  });
});

test("twice for one attempt gives it back once", async () => {
  const id = await createTask(database, { state: "running" });
  const one = { id, attempt: 1 };
  expect(await release(database, [one, one])).toEqual(["queued", "queued"]);
  expect(await release(database, [one])).toEqual([null]);
  expect(await readOutbox(database)).toHaveLength(1);
  expect(await readAttemptLog(database, id)).toHaveLength(1);
});

test("tells a stale attempt from the one that was given back with it in one call", async () => {
  const id = await createTask(database, { state: "running", attempt: 2 });
  const states = await release(database, [
    { id, attempt: 1 },
    { id, attempt: 2 },
  ]);
  expect(states).toEqual([null, "queued"]);
});

test("none at all are no error", async () => {
  expect(await release(database, [])).toEqual([]);
});

test("the doorbell of an earlier ring is replaced, so that its sender cannot settle the new one", async () => {
  const id = await createTask(database, { state: "running" });
  const old = await createOutboxRow(database, { taskId: id, sendInMs: 5_000 });
  await release(database, [{ id, attempt: 1 }]);
  expect(await database.query(SETTLE_OUTBOX, [[old]])).toEqual([]);
  expect(await readOutbox(database, id)).toHaveLength(1);
});

describe("two at once", () => {
  test("a release passes over an attempt inside its own commit and is refused after it", async () => {
    const id = await createTask(database, { state: "running" });
    const commit = await hold(database, (tx) => tx.query(LOCK_ATTEMPT, [id, 1]));
    expect(await release(racing, [{ id, attempt: 1 }])).toEqual([null]);
    await complete(commit.tx, [{ id, attempt: 1, resultText: null, resultRef: null }]);
    await commit.end();
    expect(await release(racing, [{ id, attempt: 1 }])).toEqual([null]);
    expect(await readTask(database, id)).toMatchObject({ state: "succeeded" });
  });

  test("a stale attempt is refused at once: it does not wait for the commit of the newer one", async () => {
    const id = await createTask(database, { state: "running", attempt: 2 });
    const commit = await hold(database, (tx) => tx.query(LOCK_ATTEMPT, [id, 2]));
    expect(await release(racing, [{ id, attempt: 1 }])).toEqual([null]);
    await commit.end("undo");
  });

  test("a completion and a release of one attempt: one of them is recorded", async () => {
    const ids = await createTasks(
      database,
      Array.from({ length: 50 }, () => ({ state: "running" as const })),
    );
    const [accepted, states] = await Promise.all([
      complete(
        racing,
        ids.map((id) => ({ id, attempt: 1, resultText: null, resultRef: null })),
      ),
      release(
        racing,
        ids.map((id) => ({ id, attempt: 1 })),
      ),
    ]);
    expect(accepted.filter(Boolean).length + states.filter(Boolean).length).toBe(ids.length);
  });

  test("batches of the same attempts in shuffled order from 8 connections: each given back once, no deadlock", async () => {
    const ids = await createTasks(
      database,
      Array.from({ length: 200 }, () => ({ state: "running" as const })),
    );
    const answers = await Promise.all(
      Array.from({ length: 24 }, (_, round) =>
        release(
          racing,
          shuffled(ids, round).map((id) => ({ id, attempt: 1 })),
        ),
      ),
    );
    expect(answers.flat().filter((state) => state !== null)).toHaveLength(ids.length);
    expect(await readOutbox(database)).toHaveLength(ids.length);
  });
});
