import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { complete } from "../../runtime/flow/complete.ts";
import { type ExtendVerdict, type Extension, extend } from "../../runtime/flow/extend.ts";
import { TASK_STATES } from "../../runtime/model/task.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { loadSql } from "../../runtime/postgres/sql.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { ask, clearTasks, createTask, createTasks, readTask } from "../support/tasks.ts";
import { shuffled } from "./shuffled.ts";
import { hold } from "./waiting.ts";

const LOCK_ATTEMPT = loadSql(import.meta.url, "../../runtime/flow/lock-attempt.sql");
const LEASE_MS = 30_000;

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 12, applicationName: "extend test" });
});

beforeEach(async () => {
  await clearTasks(database);
});

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

function attemptOf(id: string, attempt = 1): Extension {
  return { id, attempt, progress: null, progressMessage: null };
}

async function extendOne(extension: Extension): Promise<ExtendVerdict | undefined> {
  const [verdict] = await extend(database, [extension], LEASE_MS);
  return verdict;
}

test("renews the lease of the attempt that owns the task", async () => {
  const id = await createTask(database, { state: "running", leaseInMs: 1_000 });
  expect(await extendOne(attemptOf(id))).toBe("extended");
  const row = await readTask(database, id);
  expect(row).toMatchObject({ state: "running", attempt: 1, worker: "worker-1" });
  expect(row.lease_in_ms).toBeGreaterThan(25_000);
});

test("renews a lease that has expired as long as nobody reaped it", async () => {
  const id = await createTask(database, { state: "running", leaseInMs: -60_000 });
  expect(await extendOne(attemptOf(id))).toBe("extended");
  expect((await readTask(database, id)).lease_in_ms).toBeGreaterThan(25_000);
});

test("stores progress, and keeps what was stored where it has not changed", async () => {
  const id = await createTask(database, { state: "running" });
  await extendOne({ ...attemptOf(id), progress: 0.25, progressMessage: "reading" });
  await extendOne(attemptOf(id));
  expect(await readTask(database, id)).toMatchObject({ progress: 0.25, progress_message: "reading" });
  await extendOne({ ...attemptOf(id), progress: 0.5 });
  expect(await readTask(database, id)).toMatchObject({ progress: 0.5, progress_message: "reading" });
});

test("tells of a cancel that was asked for, and renews the lease all the same", async () => {
  const id = await createTask(database, { state: "running", cancelRequested: true, leaseInMs: 1_000 });
  expect(await extendOne(attemptOf(id))).toEqual({ cancelledMs: expect.any(Number) });
  expect((await readTask(database, id)).lease_in_ms).toBeGreaterThan(25_000);
});

describe("an attempt that does not own its task is lost and changes nothing:", () => {
  test.each([
    ["an older attempt", { attempt: 3 }, 2],
    ["an attempt that was never made", { attempt: 3 }, 4],
  ])("%s", async (_what, columns, attempt) => {
    const id = await createTask(database, { state: "running", leaseInMs: 1_000, ...columns });
    expect(await extendOne({ ...attemptOf(id, attempt), progress: 0.9 })).toBe("lost");
    const row = await readTask(database, id);
    expect(row).toMatchObject({ attempt: 3, progress: null });
    expect(row.lease_in_ms).toBeLessThanOrEqual(1_000);
  });

  test.each(TASK_STATES.filter((state) => state !== "running"))("a %s task with the same attempt", async (state) => {
    const id = await createTask(database, { state, attempt: 1 });
    expect(await extendOne({ ...attemptOf(id), progress: 0.9 })).toBe("lost");
    expect(await readTask(database, id)).toMatchObject({ state, progress: null, lease_in_ms: null });
  });

  test("a task that is gone", async () => {
    expect(await extendOne(attemptOf(randomUUID()))).toBe("lost");
  });
});

test("verdicts come in the order of the attempts", async () => {
  const [alive, over, flagged] = await createTasks(database, [
    { state: "running" },
    { state: "succeeded" },
    { state: "running", cancelRequested: true },
  ]);
  if (alive === undefined || over === undefined || flagged === undefined) throw new Error("expected three ids");
  const order = [flagged, over, alive].map((id) => attemptOf(id));
  expect(await extend(database, order, LEASE_MS)).toEqual([{ cancelledMs: expect.any(Number) }, "lost", "extended"]);
});

test("the same attempt twice in one call has one answer for both", async () => {
  const id = await createTask(database, { state: "running" });
  expect(await extend(database, [attemptOf(id), attemptOf(id)], LEASE_MS)).toEqual(["extended", "extended"]);
});

test("two attempts of one task in one call: the newer is extended, the older lost", async () => {
  const id = await createTask(database, { state: "running", attempt: 2 });
  expect(await extend(database, [attemptOf(id, 1), attemptOf(id, 2)], LEASE_MS)).toEqual(["lost", "extended"]);
});

test("none at all are no error", async () => {
  expect(await extend(database, [], LEASE_MS)).toEqual([]);
});

test("an attempt inside its own commit keeps its lease, and costs the others nothing", async () => {
  const [slow, other] = await createTasks(database, [
    { state: "running", leaseInMs: 1_000 },
    { state: "running", leaseInMs: 1_000 },
  ]);
  if (slow === undefined || other === undefined) throw new Error("expected two ids");
  const commit = await hold(database, (tx) => tx.query(LOCK_ATTEMPT, [slow, 1]));
  expect(await extend(database, [attemptOf(slow), attemptOf(other)], LEASE_MS)).toEqual(["extended", "extended"]);
  expect((await readTask(database, other)).lease_in_ms).toBeGreaterThan(25_000);
  expect((await readTask(database, slow)).lease_in_ms).toBeLessThanOrEqual(1_000);
  await complete(commit.tx, [{ id: slow, attempt: 1, resultText: null, resultRef: null }]);
  await commit.end();
  expect(await readTask(database, slow)).toMatchObject({ state: "succeeded" });
});

test("a row that another attempt has locked is lost for the older one", async () => {
  const id = await createTask(database, { state: "running", attempt: 2 });
  const commit = await hold(database, (tx) => tx.query(LOCK_ATTEMPT, [id, 2]));
  expect(await extendOne(attemptOf(id, 1))).toBe("lost");
  await commit.end("undo");
});

test("every progress that a context takes can be stored: one bad value would cost the whole process its leases", async () => {
  const [odd, other] = await createTasks(database, [
    { state: "running", leaseInMs: 1_000 },
    { state: "running", leaseInMs: 1_000 },
  ]);
  if (odd === undefined || other === undefined) throw new Error("expected two ids");
  for (const progress of [Number.MIN_VALUE, 1e-46, 1 - Number.EPSILON, -0, 1]) {
    const extensions = [{ ...attemptOf(odd), progress }, attemptOf(other)];
    expect(await extend(database, extensions, LEASE_MS), String(progress)).toEqual(["extended", "extended"]);
  }
});

test("no index names a column that a beat writes: it would end HOT updates", async () => {
  const indexes = await ask<{ definition: string }>(
    database,
    "select pg_get_indexdef(indexrelid) as definition from pg_index where indrelid = 'taskiq.task'::regclass",
  );
  expect(indexes.length).toBeGreaterThan(0);
  const named = indexes.filter(({ definition }) => /lease_until|progress/.test(definition));
  expect(named).toEqual([]);
});

test("the same attempts in shuffled order from 8 connections: no deadlock", async () => {
  const ids = await createTasks(
    database,
    Array.from({ length: 200 }, () => ({ state: "running" as const })),
  );
  const rounds = await Promise.all(
    Array.from({ length: 40 }, (_, round) =>
      extend(
        database,
        shuffled(ids, round).map((id) => attemptOf(id)),
        LEASE_MS,
      ),
    ),
  );
  expect(new Set(rounds.flat())).toEqual(new Set(["extended"]));
});
