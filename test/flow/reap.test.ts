import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { extend } from "../../runtime/flow/extend.ts";
import { reap } from "../../runtime/flow/reap.ts";
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
  type TaskColumns,
} from "../support/tasks.ts";
import { hold, within } from "./waiting.ts";

const SETTLE_OUTBOX = loadSql(import.meta.url, "../../runtime/flow/settle-outbox.sql");
const EXPIRED: TaskColumns = { state: "running", leaseInMs: -1_000 };

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 12, applicationName: "reap test" });
});

beforeEach(async () => {
  await clearTasks(database);
});

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

describe("a lease that has expired", () => {
  test("queues the task, counts a loss and rings at once", async () => {
    const id = await createTask(database, { ...EXPIRED, attempt: 2, failures: 1, rings: 3, name: "images.resize" });
    expect(await reap(database, 10)).toEqual([
      { id, attempt: 2, state: "queued", losses: 1, name: "images.resize", queue: "default", worker: "worker-1" },
    ]);
    const row = await readTask(database, id);
    expect(row).toMatchObject({
      state: "queued",
      attempt: 2,
      failures: 1,
      losses: 1,
      rings: 0,
      lease_in_ms: null,
      finished: false,
    });
    expect(row.due_in_ms).toBeLessThanOrEqual(0);
    const outbox = await readOutbox(database);
    expect(outbox).toMatchObject([{ kind: "doorbell", task_id: id, queue: "default" }]);
    expect(outbox[0]?.send_in_ms).toBeLessThanOrEqual(0);
    expect(await readAttemptLog(database, id)).toMatchObject([
      { attempt: 2, outcome: "lost", worker: "worker-1", has_start: true },
    ]);
  });

  test("a lost attempt is not written down with the error of an attempt before", async () => {
    const id = await createTask(database, { ...EXPIRED, attempt: 2, failures: 1, error: SAMPLE_ERROR });
    await reap(database, 10);
    const [entry] = await readAttemptLog(database, id);
    expect(entry?.error ?? "").not.toContain(SAMPLE_ERROR.message);
  });

  test("a task that ends cancelled does not show the error of an attempt before", async () => {
    const id = await createTask(database, { ...EXPIRED, attempt: 2, error: SAMPLE_ERROR, cancelRequested: true });
    await reap(database, 10);
    const { error } = await readTask(database, id);
    expect(error === null || JSON.parse(error).code === "cancelled").toBe(true);
  });

  test("of a task that asks not to be run again fails it as lost", async () => {
    const id = await createTask(database, { ...EXPIRED, onLost: "fail" });
    expect(await reap(database, 10)).toMatchObject([{ id, state: "failed", losses: 1 }]);
    const row = await readTask(database, id);
    expect(row).toMatchObject({ state: "failed", finished: true, lease_in_ms: null });
    expect(JSON.parse(row.error ?? "")).toMatchObject({ code: "lost", type: "WorkerLost" });
    expect(await readOutbox(database)).toMatchObject([{ kind: "dead_letter" }]);
  });

  test("is forgiven as often as the budget says, and then fails as a crash loop", async () => {
    const [within, spent] = await createTasks(database, [
      { ...EXPIRED, losses: 4, maxLosses: 5 },
      { ...EXPIRED, losses: 5, maxLosses: 5 },
    ]);
    if (within === undefined || spent === undefined) throw new Error("expected two ids");
    await reap(database, 10);
    expect(await readTask(database, within)).toMatchObject({ state: "queued", losses: 5 });
    const row = await readTask(database, spent);
    expect(row).toMatchObject({ state: "failed", losses: 6 });
    expect(JSON.parse(row.error ?? "")).toMatchObject({ code: "crash_loop" });
    expect(await readOutbox(database, spent)).toMatchObject([{ kind: "dead_letter" }]);
  });

  test("of a task without a budget of losses fails at once", async () => {
    const id = await createTask(database, { ...EXPIRED, maxLosses: 0 });
    await reap(database, 10);
    expect(await readTask(database, id)).toMatchObject({ state: "failed", losses: 1 });
  });

  test.each([{}, { onLost: "fail" }, { losses: 5 }])(
    "with a cancel flag ends cancelled, never queued or failed (%j)",
    async (columns) => {
      const id = await createTask(database, { ...EXPIRED, cancelRequested: true, replyKey: "results/1", ...columns });
      expect(await reap(database, 10)).toMatchObject([{ id, state: "cancelled" }]);
      expect(await readTask(database, id)).toMatchObject({ state: "cancelled", finished: true, lease_in_ms: null });
      expect(await readOutbox(database)).toMatchObject([{ kind: "result" }]);
      expect(await readAttemptLog(database, id)).toMatchObject([{ outcome: "cancelled" }]);
    },
  );

  test("a failed one tells the producer who waits for a reply; a queued one does not", async () => {
    const [fails, again] = await createTasks(database, [
      { ...EXPIRED, onLost: "fail", replyKey: "results/1" },
      { ...EXPIRED, replyKey: "results/2" },
    ]);
    if (fails === undefined || again === undefined) throw new Error("expected two ids");
    await reap(database, 10);
    expect((await readOutbox(database, fails)).map((row) => row.kind).sort()).toEqual(["dead_letter", "result"]);
    expect((await readOutbox(database, again)).map((row) => row.kind)).toEqual(["doorbell"]);
  });

  test("an old sender cannot settle the doorbell of the recovery", async () => {
    const id = await createTask(database, EXPIRED);
    const old = await createOutboxRow(database, { taskId: id, sendInMs: 5_000 });
    await reap(database, 10);
    expect(await database.query(SETTLE_OUTBOX, [[old]])).toEqual([]);
    expect(await readOutbox(database, id)).toHaveLength(1);
  });
});

test("a lease that has not expired is left alone", async () => {
  const id = await createTask(database, { state: "running", leaseInMs: 5_000 });
  expect(await reap(database, 10)).toEqual([]);
  expect(await readTask(database, id)).toMatchObject({ state: "running", losses: 0 });
});

test.each(TASK_STATES.filter((state) => state !== "running"))("a %s task is left alone", async (state) => {
  const id = await createTask(database, { state, dueInMs: -600_000, announcedMsAgo: 600_000 });
  expect(await reap(database, 10)).toEqual([]);
  expect(await readTask(database, id)).toMatchObject({ state, losses: 0 });
});

test("takes at most as many as it is asked for, and the rest the next time", async () => {
  const ids = await createTasks(
    database,
    Array.from({ length: 5 }, () => EXPIRED),
  );
  const turns = [await reap(database, 2), await reap(database, 2), await reap(database, 2), await reap(database, 2)];
  expect(turns.map((turn) => turn.length)).toEqual([2, 2, 1, 0]);
  expect(
    turns
      .flat()
      .map((task) => task.id)
      .sort(),
  ).toEqual([...ids].sort());
});

describe("two at once", () => {
  test("while one reaps, another finds nothing to do and does not wait", async () => {
    const ids = await createTasks(
      database,
      Array.from({ length: 3 }, () => EXPIRED),
    );
    const first = await hold(database, async (tx) => {
      expect(await reap(within(tx), 1)).toHaveLength(1);
    });
    expect(await reap(database, 10)).toEqual([]);
    await first.end();
    expect(await reap(database, 10)).toHaveLength(ids.length - 1);
  });

  test("a reaper that died leaves nothing locked", async () => {
    const id = await createTask(database, EXPIRED);
    const first = await hold(database, (tx) => reap(within(tx), 10));
    await first.end("undo");
    expect(await reap(database, 10)).toMatchObject([{ id, losses: 1 }]);
  });

  test("a reaper passes over rows that a beat holds, and takes the others", async () => {
    const [beating, silent] = await createTasks(database, [EXPIRED, EXPIRED]);
    if (beating === undefined || silent === undefined) throw new Error("expected two ids");
    const beat = await hold(database, (tx) =>
      extend(tx, [{ id: beating, attempt: 1, progress: null, progressMessage: null }], 30_000),
    );
    expect((await reap(database, 10)).map((task) => task.id)).toEqual([silent]);
    await beat.end();
    expect(await reap(database, 10)).toEqual([]);
    expect(await readTask(database, beating)).toMatchObject({ state: "running", losses: 0 });
  });

  test("rows locked elsewhere do not use up what one turn may take", async () => {
    const ids = await createTasks(
      database,
      Array.from({ length: 4 }, () => EXPIRED),
    );
    const locked = ids.slice(0, 2).sort();
    const holder = await hold(database, (tx) =>
      tx.raw.query("select from taskiq.task where id = any($1::uuid[]) order by id for update", [locked]),
    );
    expect((await reap(database, 2)).map((task) => task.id).sort()).toEqual(ids.slice(2).sort());
    await holder.end();
  });

  test("reapers from 8 connections count one loss a task", async () => {
    const ids = await createTasks(
      database,
      Array.from({ length: 100 }, () => EXPIRED),
    );
    const turns = await Promise.all(Array.from({ length: 16 }, () => reap(database, 10)));
    let reaped = turns.flat();
    for (let turn = 0; reaped.length < ids.length && turn < 10; turn++)
      reaped = reaped.concat(await reap(database, 100));
    expect(new Set(reaped.map((task) => task.id)).size).toBe(ids.length);
    expect(reaped.every((task) => task.losses === 1)).toBe(true);
  });
});
