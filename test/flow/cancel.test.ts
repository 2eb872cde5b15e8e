import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { cancel, cancelAhead } from "../../runtime/flow/cancel.ts";
import { complete } from "../../runtime/flow/complete.ts";
import { fail } from "../../runtime/flow/fail.ts";
import { reap } from "../../runtime/flow/reap.ts";
import { release } from "../../runtime/flow/release.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import {
  ask,
  clearTasks,
  createOutboxRow,
  createTask,
  createTasks,
  readOutbox,
  readTask,
  SAMPLE_ERROR,
} from "../support/tasks.ts";
import { forgetMoves, violations, watchTasks } from "./audit.ts";

const ANYBODY = { tenant: null, reason: "not needed any more" };

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 12, applicationName: "cancel test" });
  await watchTasks(database);
});

beforeEach(async () => {
  await clearTasks(database);
  await forgetMoves(database);
});

afterEach(async () => {
  expect(await violations(database)).toEqual([]);
});

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

describe("a task that does not run", () => {
  test("is cancelled at once, and its doorbell does not ring", async () => {
    const id = await createTask(database, { dueInMs: 3_600_000 });
    await createOutboxRow(database, { taskId: id, sendInMs: 3_600_000 });
    expect(await cancel(database, [id], ANYBODY)).toEqual([{ id, was: "queued", state: "cancelled" }]);
    expect(await readTask(database, id)).toMatchObject({ state: "cancelled", finished: true, cancel_requested: true });
    expect(await readOutbox(database)).toEqual([]);
    const [row] = await ask(database, "select cancel_reason, error->>'code' as code from taskiq.task where id = $1", [
      id,
    ]);
    expect(row).toEqual({ cancel_reason: "not needed any more", code: "cancelled" });
  });

  test("tells a foreign producer", async () => {
    const id = await createTask(database, { replyKey: "results/1" });
    await cancel(database, [id], ANYBODY);
    expect(await readOutbox(database, id)).toMatchObject([{ kind: "result" }]);
  });

  test("is cancelled when it waits for parents", async () => {
    const id = await createTask(database, { state: "blocked" });
    expect(await cancel(database, [id], ANYBODY)).toEqual([{ id, was: "blocked", state: "cancelled" }]);
  });
});

describe("a task that runs", () => {
  test("goes on with its flag set, and the first reason is kept", async () => {
    const id = await createTask(database, { state: "running" });
    expect(await cancel(database, [id], ANYBODY)).toEqual([{ id, was: "running", state: "running" }]);
    await cancel(database, [id], { tenant: null, reason: "again" });
    expect(await readTask(database, id)).toMatchObject({ state: "running", cancel_requested: true, finished: false });
    const [row] = await ask(database, "select cancel_reason from taskiq.task where id = $1", [id]);
    expect(row).toEqual({ cancel_reason: "not needed any more" });
  });

  test.each([
    ["fails with a retry left", (id: string) => fail(database, [failure(id, 1_000)])],
    ["is given back by a drain", (id: string) => release(database, [{ id, attempt: 1 }])],
    [
      "loses its worker",
      async (id: string) => {
        await ask(database, "update taskiq.task set lease_until = now() - interval '1 second' where id = $1", [id]);
        await reap(database, 10);
      },
    ],
  ])("never goes back to the queue: it %s and ends cancelled", async (_how, end) => {
    const id = await createTask(database, { state: "running" });
    await cancel(database, [id], ANYBODY);
    await end(id);
    expect(await readTask(database, id)).toMatchObject({ state: "cancelled", finished: true });
    expect(await readOutbox(database, id)).toEqual([]);
  });

  test("may still succeed when its handler is done first", async () => {
    const id = await createTask(database, { state: "running" });
    await cancel(database, [id], ANYBODY);
    expect(await complete(database, [{ id, attempt: 1, resultText: '"done"', resultRef: null }])).toEqual([true]);
    expect(await readTask(database, id)).toMatchObject({ state: "succeeded" });
  });
});

describe("what cannot be cancelled", () => {
  test.each(["succeeded", "failed", "cancelled", "skipped"] as const)(
    "a task that has %s stays as it is",
    async (state) => {
      const id = await createTask(database, { state });
      const before = await readTask(database, id);
      expect(await cancel(database, [id], ANYBODY)).toEqual([{ id, was: state, state }]);
      expect({ ...(await readTask(database, id)), due_in_ms: 0, announced_ms_ago: 0, started_ms_ago: 0 }).toEqual({
        ...before,
        due_in_ms: 0,
        announced_ms_ago: 0,
        started_ms_ago: 0,
      });
    },
  );

  test("a task of another tenant is not found", async () => {
    const id = await createTask(database, { tenant: "theirs" });
    expect(await cancel(database, [id, randomUUID()], { tenant: "ours", reason: null })).toEqual([]);
    expect(await readTask(database, id)).toMatchObject({ state: "queued" });
  });
});

describe("a cancellation that comes before its task", () => {
  test("leaves a tombstone, once, and cancels those that are there", async () => {
    const here = await createTask(database);
    const absent = randomUUID();
    const first = await cancelAhead(database, [here, absent], "too late");
    expect(first).toEqual({ found: [{ id: here, was: "queued", state: "cancelled" }], buried: [absent] });
    expect(await cancelAhead(database, [absent], "again")).toEqual({ found: [], buried: [] });
    expect(await ask(database, "select id, reason from taskiq.tombstone")).toEqual([
      { id: absent, reason: "too late" },
    ]);
  });
});

test("a reason with U+0000 or of any length is stored", async () => {
  const id = await createTask(database);
  await cancel(database, [id], { tenant: null, reason: `a\0${"b".repeat(1_000)}` });
  const [row] = await ask<{ reason: string }>(
    database,
    "select cancel_reason as reason from taskiq.task where id = $1",
    [id],
  );
  expect(row?.reason).toHaveLength(501);
});

test("cancelling and completing 1,000 tasks at the same time gives each exactly one outcome", async () => {
  const ids = await createTasks(
    database,
    Array.from({ length: 1_000 }, () => ({ state: "running" as const })),
  );
  const completed: boolean[] = [];
  const states: string[] = [];
  await Promise.all(
    Array.from({ length: 100 }, async (_, index) => {
      const some = ids.slice(index * 10, index * 10 + 10);
      const finish = async () => {
        const outcomes = await complete(
          database,
          some.map((id) => ({ id, attempt: 1, resultText: null, resultRef: null })),
        );
        completed.push(...outcomes);
      };
      const stop = async () => {
        for (const outcome of await cancel(database, some.toReversed(), ANYBODY)) states.push(outcome.state);
      };
      await Promise.all(index % 2 === 0 ? [finish(), stop()] : [stop(), finish()]);
    }),
  );
  expect(states).toHaveLength(1_000);
  expect(states.filter((state) => state !== "running" && state !== "succeeded")).toEqual([]);
  const [rows] = await ask(
    database,
    "select count(*) filter (where state = 'succeeded')::int as succeeded, count(*) filter (where state = 'running')::int as running from taskiq.task",
  );
  // `skip locked`: a completion that met the cancel is tried again by the recorder.
  expect(rows).toEqual({
    succeeded: completed.filter(Boolean).length,
    running: completed.filter((accepted) => !accepted).length,
  });
});

function failure(id: string, retryAfterMs: number | null) {
  return { id, attempt: 1, error: SAMPLE_ERROR, retryAfterMs, deadLetter: true };
}
