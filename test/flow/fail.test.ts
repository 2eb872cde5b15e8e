import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { complete } from "../../runtime/flow/complete.ts";
import { type Failure, fail } from "../../runtime/flow/fail.ts";
import { reap } from "../../runtime/flow/reap.ts";
import { TASK_STATES } from "../../runtime/model/task.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { loadSql } from "../../runtime/postgres/sql.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import {
  ask,
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
import { hold, untilStuck, untilWaiting } from "./waiting.ts";

const SETTLE_OUTBOX = loadSql(import.meta.url, "../../runtime/flow/settle-outbox.sql");
const LOCK_ATTEMPT = loadSql(import.meta.url, "../../runtime/flow/lock-attempt.sql");

let testDatabase: TestDatabase;
let database: Database;
let racing: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 12, applicationName: "fail test" });
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

function failure(id: string, changes: Partial<Failure> = {}): Failure {
  return { id, attempt: 1, error: SAMPLE_ERROR, retryAfterMs: null, deadLetter: true, ...changes };
}

describe("a failure to be tried again", () => {
  test("is queued for its due time, with a doorbell due then", async () => {
    const id = await createTask(database, { state: "running", failures: 1, rings: 4, progress: 0.5 });
    expect(await fail(database, [failure(id, { retryAfterMs: 60_000 })])).toEqual(["queued"]);
    const row = await readTask(database, id);
    expect(row).toMatchObject({
      state: "queued",
      attempt: 1,
      failures: 2,
      losses: 0,
      lease_in_ms: null,
      rings: 0,
      finished: false,
    });
    expect(JSON.parse(row.error ?? "")).toEqual(SAMPLE_ERROR);
    expect(row.due_in_ms).toBeGreaterThan(55_000);
    expect(row.due_in_ms).toBeLessThanOrEqual(60_000);
    expect(-(row.announced_ms_ago ?? 0)).toBeCloseTo(row.due_in_ms, -2);
    const outbox = await readOutbox(database);
    expect(outbox).toMatchObject([{ kind: "doorbell", task_id: id, queue: "default" }]);
    expect(outbox[0]?.send_in_ms).toBeGreaterThan(55_000);
  });

  test("is written down as an attempt with its error", async () => {
    const id = await createTask(database, { state: "running" });
    await fail(database, [failure(id, { retryAfterMs: 0 })]);
    const [entry, ...others] = await readAttemptLog(database, id);
    expect(others).toEqual([]);
    expect(entry).toMatchObject({ attempt: 1, outcome: "retried", worker: "worker-1", has_start: true });
    expect(JSON.parse(entry?.error ?? "")).toEqual(SAMPLE_ERROR);
  });

  test("with a cancel flag ends cancelled, without a doorbell", async () => {
    const id = await createTask(database, { state: "running", cancelRequested: true });
    expect(await fail(database, [failure(id, { retryAfterMs: 0 })])).toEqual(["cancelled"]);
    expect(await readTask(database, id)).toMatchObject({
      state: "cancelled",
      finished: true,
      lease_in_ms: null,
      failures: 0,
    });
    expect(await readOutbox(database)).toEqual([]);
    expect(await readAttemptLog(database, id)).toMatchObject([{ outcome: "cancelled" }]);
  });
});

describe("a failure that ends the task", () => {
  test("is failed, and copied to the dead-letter queue where the budget is spent", async () => {
    const id = await createTask(database, { state: "running" });
    expect(await fail(database, [failure(id)])).toEqual(["failed"]);
    expect(await readTask(database, id)).toMatchObject({
      state: "failed",
      failures: 1,
      finished: true,
      lease_in_ms: null,
    });
    expect(await readOutbox(database)).toMatchObject([{ kind: "dead_letter", task_id: id }]);
    expect(await readAttemptLog(database, id)).toMatchObject([{ outcome: "failed" }]);
  });

  test("is not copied where the handler itself ended it", async () => {
    const id = await createTask(database, { state: "running" });
    await fail(database, [failure(id, { deadLetter: false })]);
    expect(await readTask(database, id)).toMatchObject({ state: "failed" });
    expect(await readOutbox(database)).toEqual([]);
  });

  test("tells the producer who waits for a reply; one to be tried again does not", async () => {
    const [ends, again] = await createTasks(database, [
      { state: "running", replyKey: "results/1" },
      { state: "running", replyKey: "results/2" },
    ]);
    if (ends === undefined || again === undefined) throw new Error("expected two ids");
    await fail(database, [failure(ends), failure(again, { retryAfterMs: 0 })]);
    expect((await readOutbox(database, ends)).map((row) => row.kind).sort()).toEqual(["dead_letter", "result"]);
    expect((await readOutbox(database, again)).map((row) => row.kind)).toEqual(["doorbell"]);
  });

  test("with a cancel flag ends cancelled and is not copied", async () => {
    const id = await createTask(database, { state: "running", cancelRequested: true });
    expect(await fail(database, [failure(id)])).toEqual(["cancelled"]);
    expect(await readOutbox(database)).toEqual([]);
  });
});

describe("an attempt that does not own its task is refused and changes nothing:", () => {
  test.each([1, 3])("attempt %i while attempt 2 runs", async (attempt) => {
    const id = await createTask(database, { state: "running", attempt: 2 });
    expect(await fail(database, [failure(id, { attempt, retryAfterMs: 0 })])).toEqual([null]);
    expect(await readTask(database, id)).toMatchObject({ state: "running", attempt: 2, failures: 0, error: null });
    expect(await readOutbox(database)).toEqual([]);
    expect(await readAttemptLog(database, id)).toEqual([]);
  });

  test.each(TASK_STATES.filter((state) => state !== "running"))("a %s task of the same attempt", async (state) => {
    const id = await createTask(database, { state, attempt: 1 });
    const before = await readTask(database, id);
    for (const retryAfterMs of [null, 0]) {
      expect(await fail(database, [failure(id, { retryAfterMs })])).toEqual([null]);
    }
    expect(await readTask(database, id)).toMatchObject({
      state,
      failures: 0,
      error: before.error,
      result: before.result,
    });
    expect(await readOutbox(database)).toEqual([]);
    expect(await readAttemptLog(database, id)).toEqual([]);
  });
});

describe("duplicates", () => {
  test("the same failure again is refused: one failure counted, one doorbell", async () => {
    const id = await createTask(database, { state: "running" });
    await fail(database, [failure(id, { retryAfterMs: 0 })]);
    expect(await fail(database, [failure(id, { retryAfterMs: 0 })])).toEqual([null]);
    expect(await readTask(database, id)).toMatchObject({ failures: 1 });
    expect(await readOutbox(database)).toHaveLength(1);
    expect(await readAttemptLog(database, id)).toHaveLength(1);
  });

  test("the same failure twice in one call counts once", async () => {
    const id = await createTask(database, { state: "running" });
    const twice = failure(id, { retryAfterMs: 0 });
    expect(await fail(database, [twice, twice])).toEqual(["queued", "queued"]);
    expect(await readTask(database, id)).toMatchObject({ failures: 1 });
    expect(await readOutbox(database)).toHaveLength(1);
  });

  test("one attempt twice in one call with different ends: one of them is recorded", async () => {
    for (const reversed of [false, true]) {
      const id = await createTask(database, { state: "running" });
      const pair = [failure(id, { retryAfterMs: 0 }), failure(id)];
      const [state] = await fail(database, reversed ? pair.reverse() : pair);
      expect(["queued", "failed"]).toContain(state);
      expect(await readTask(database, id)).toMatchObject({ state, failures: 1 });
    }
  });

  test("tells a stale attempt from the one that was recorded with it in one call", async () => {
    const id = await createTask(database, { state: "running", attempt: 2 });
    const states = await fail(database, [failure(id), failure(id, { attempt: 2, retryAfterMs: 0 })]);
    expect(await readTask(database, id)).toMatchObject({ state: "queued", failures: 1 });
    expect(states).toEqual([null, "queued"]);
  });

  test("none at all are no error", async () => {
    expect(await fail(database, [])).toEqual([]);
  });
});

describe("the outbox", () => {
  test("an old sender that settles late cannot delete the doorbell of the retry", async () => {
    const id = await createTask(database, { state: "running" });
    const old = await createOutboxRow(database, { taskId: id, sendInMs: 5_000 });
    await fail(database, [failure(id, { retryAfterMs: 60_000 })]);
    expect(await database.query(SETTLE_OUTBOX, [[old]])).toEqual([]);
    const [row, ...others] = await readOutbox(database, id);
    expect(others).toEqual([]);
    expect(row?.id).not.toBe(old);
    expect(row?.send_in_ms).toBeGreaterThan(55_000);
  });

  test("an old sender that settles while the retry is being written cannot delete its doorbell", async () => {
    const id = await createTask(database, { state: "running" });
    const old = await createOutboxRow(database, { taskId: id, sendInMs: 5_000 });
    const failing = await hold(database, (tx) => fail(tx, [failure(id, { retryAfterMs: 60_000 })]));
    const settling = racing.query(SETTLE_OUTBOX, [[old]]);
    await failing.end();
    expect(await settling).toEqual([]);
    expect(await readOutbox(database, id)).toHaveLength(1);
  });

  test("a retry written while an old sender settles has its doorbell", async () => {
    const id = await createTask(database, { state: "running" });
    const old = await createOutboxRow(database, { taskId: id, sendInMs: 5_000 });
    const settling = await hold(database, (tx) => tx.query(SETTLE_OUTBOX, [[old]]));
    const failing = fail(racing, [failure(id, { retryAfterMs: 60_000 })]);
    await untilWaiting(database, "racing");
    await settling.end();
    expect(await failing).toEqual(["queued"]);
    expect(await readOutbox(database, id)).toMatchObject([{ kind: "doorbell" }]);
  });

  test("retries and a settling sender that meet on the same rows do not deadlock", async () => {
    const [first, second] = (await createTasks(database, [{ state: "running" }, { state: "running" }])).sort();
    if (first === undefined || second === undefined) throw new Error("expected two ids");
    // Outbox ids run against the order of the task ids, as they do after a retry.
    const lower = await createOutboxRow(database, { taskId: second, sendInMs: 5_000 });
    const higher = await createOutboxRow(database, { taskId: first, sendInMs: 5_000 });
    const blocker = await hold(database, (tx) =>
      tx.raw.query("select from taskiq.outbox where id = $1 for update", [lower]),
    );
    const settling = racing.query(SETTLE_OUTBOX, [[lower, higher]]);
    await untilStuck(database, "racing", [settling]);
    const failing = fail(racing, [failure(first, { retryAfterMs: 0 }), failure(second, { retryAfterMs: 0 })]);
    await untilStuck(database, "racing", [settling, failing]);
    await blocker.end();
    const ends = await Promise.allSettled([settling, failing]);
    expect(ends.filter((end) => end.status === "rejected")).toEqual([]);
  });
});

describe("two at once", () => {
  test("a failure passes over an attempt inside its own commit and is refused after it", async () => {
    const id = await createTask(database, { state: "running" });
    const commit = await hold(database, (tx) => tx.query(LOCK_ATTEMPT, [id, 1]));
    expect(await fail(racing, [failure(id)])).toEqual([null]);
    await complete(commit.tx, [{ id, attempt: 1, resultText: null, resultRef: null }]);
    await commit.end();
    expect(await fail(racing, [failure(id)])).toEqual([null]);
    expect(await readTask(database, id)).toMatchObject({ state: "succeeded", failures: 0 });
  });

  test("a stale attempt does not wait for the commit of the newer one", async () => {
    const id = await createTask(database, { state: "running", attempt: 2 });
    const commit = await hold(database, (tx) => tx.query(LOCK_ATTEMPT, [id, 2]));
    expect(await fail(racing, [failure(id)])).toEqual([null]);
    await commit.end("undo");
  });

  test("a failure and a reaper: the task is queued once, with one loss or one failure", async () => {
    const ids = await createTasks(
      database,
      Array.from({ length: 50 }, () => ({ state: "running" as const, leaseInMs: -1 })),
    );
    const [states, reaped] = await Promise.all([
      fail(
        racing,
        ids.map((id) => failure(id, { retryAfterMs: 0 })),
      ),
      reap(racing, 100),
    ]);
    expect(states.filter((state) => state !== null).length + reaped.length).toBe(ids.length);
    const rows = await ask<{ charged: number; state: string }>(
      database,
      "select failures + losses as charged, state from taskiq.task",
    );
    expect(new Set(rows.map((row) => `${row.state} ${row.charged}`))).toEqual(new Set(["queued 1"]));
    expect(await readOutbox(database)).toHaveLength(ids.length);
  });

  test("batches of the same attempts in shuffled order from 8 connections: each recorded once, no deadlock", async () => {
    const ids = await createTasks(
      database,
      Array.from({ length: 200 }, () => ({ state: "running" as const, replyKey: "r" })),
    );
    const answers = await Promise.all(
      Array.from({ length: 24 }, (_, round) =>
        fail(
          racing,
          shuffled(ids, round).map((id, index) => failure(id, index % 2 === 0 ? { retryAfterMs: 0 } : {})),
        ),
      ),
    );
    expect(answers.flat().filter((state) => state !== null)).toHaveLength(ids.length);
    const rows = await ask<{ failures: number }>(database, "select failures from taskiq.task");
    expect(new Set(rows.map((row) => row.failures))).toEqual(new Set([1]));
  });
});
