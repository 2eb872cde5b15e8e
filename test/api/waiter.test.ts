import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { createWaiter } from "../../runtime/api/waiter.ts";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import { type Database, openDatabase, type Queryable } from "../../runtime/postgres/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { ask, clearTasks, createTask, createTasks } from "../support/tasks.ts";
import { until } from "../support/until.ts";

const LONG_MS = 60_000;

let testDatabase: TestDatabase;
let database: Database;
let leaving: AbortController;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 4, applicationName: "waiter test" });
});
beforeEach(async () => {
  leaving = new AbortController();
  await clearTasks(database);
});
afterEach(() => leaving.abort());
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

/** Counts the polls, and can be told to fail them. */
function watched() {
  const polls: string[][] = [];
  let away = false;
  const watcher: Queryable = {
    query: async (statement, params) => {
      polls.push(params[0] as string[]);
      if (away) throw new Error("Connection terminated unexpectedly");
      return await database.query(statement, params);
    },
  };
  return { watcher, polls, setAway: (now: boolean) => (away = now) };
}

async function finish(ids: readonly string[]): Promise<void> {
  await ask(
    database,
    "update taskiq.task set state = 'succeeded', worker = null, lease_until = null, finished_at = now() where id = any($1)",
    [ids],
  );
}

test("ends the wait when the task has finished", async () => {
  const id = await createTask(database, { state: "running" });
  const { watcher, polls } = watched();
  const waiter = createWaiter({ database: watcher, clock: systemClock });
  const wait = waiter.finished(id, LONG_MS, leaving.signal);
  await until(() => polls.length > 0);
  await finish([id]);
  await wait;
});

test.each(["succeeded", "failed", "cancelled", "skipped"] as const)("takes %s for finished", async (state) => {
  const id = await createTask(database, { state });
  await createWaiter({ database, clock: systemClock }).finished(id, LONG_MS, leaving.signal);
});

test("ends the wait for a task that is gone", async () => {
  const id = await createTask(database, { state: "running" });
  const wait = createWaiter({ database, clock: systemClock }).finished(id, LONG_MS, leaving.signal);
  await clearTasks(database);
  await wait;
});

test("asks once for all who wait, and not at all when nobody does", async () => {
  const ids = await createTasks(database, Array(20).fill({ state: "running" }));
  const { watcher, polls } = watched();
  const waiter = createWaiter({ database: watcher, clock: systemClock });
  const waits = ids.flatMap((id) => [1, 2, 3].map(() => waiter.finished(id, LONG_MS, leaving.signal)));
  await until(() => polls.length >= 2);
  expect(polls[0]?.toSorted()).toEqual(ids.toSorted());
  await finish(ids);
  await Promise.all(waits);
  const count = polls.length;
  // Another waiter polls three times meanwhile; this one has nobody to poll for.
  const rest = watched();
  const other = createWaiter({ database: rest.watcher, clock: systemClock });
  const [id = ""] = await createTasks(database, [{ state: "running" }]);
  const wait = other.finished(id, LONG_MS, leaving.signal);
  await until(() => rest.polls.length >= 3);
  leaving.abort();
  await wait;
  expect(polls).toHaveLength(count);
});

test("goes on waiting for the others when one has finished", async () => {
  const [first = "", second = ""] = await createTasks(database, [{ state: "running" }, { state: "running" }]);
  const { watcher, polls } = watched();
  const waiter = createWaiter({ database: watcher, clock: systemClock });
  let secondOver = false;
  const wait = waiter.finished(second, LONG_MS, leaving.signal).then(() => (secondOver = true));
  const firstWait = waiter.finished(first, LONG_MS, leaving.signal);
  await finish([first]);
  await firstWait;
  const count = polls.length;
  await until(() => polls.length >= count + 2);
  expect(polls.at(-1)).toEqual([second]);
  expect(secondOver).toBe(false);
  await finish([second]);
  await wait;
});

test("ends the wait when the time is up, the caller leaves, or it is stopped", async () => {
  const id = await createTask(database, { state: "running" });
  const { watcher, polls } = watched();
  const waiter = createWaiter({ database: watcher, clock: systemClock });
  await waiter.finished(id, 20, leaving.signal);
  const left = new AbortController();
  const wait = waiter.finished(id, LONG_MS, left.signal);
  left.abort();
  await wait;
  await waiter.finished(id, LONG_MS, left.signal);
  const stopped = [1, 2].map(() => waiter.finished(id, LONG_MS, leaving.signal));
  waiter.stop();
  await Promise.all(stopped);
  const count = polls.length;
  await waiter.finished(id, LONG_MS, leaving.signal);
  expect(polls).toHaveLength(count);
});

test("outlives a database that is away", async () => {
  const id = await createTask(database, { state: "running" });
  const { watcher, polls, setAway } = watched();
  const waiter = createWaiter({ database: watcher, clock: systemClock });
  setAway(true);
  const wait = waiter.finished(id, LONG_MS, leaving.signal);
  await until(() => polls.length >= 1);
  setAway(false);
  await finish([id]);
  await wait;
});

/** A clock whose time passes as fast as it is waited for, except for the waits themselves. */
function quickClock() {
  const pauses: number[] = [];
  let nowMs = 0;
  const clock: Clock = {
    ...systemClock,
    nowMs: () => nowMs,
    after: async (ms, signal) => {
      if (ms === LONG_MS) return await systemClock.after(ms, signal);
      pauses.push(ms);
      nowMs += ms;
    },
  };
  return { clock, pauses };
}

test("polls quickly for whoever has just come, and slower after a second", async () => {
  const id = await createTask(database, { state: "running" });
  const { clock, pauses } = quickClock();
  const waiter = createWaiter({ database, clock });
  const wait = waiter.finished(id, LONG_MS, leaving.signal);
  await until(() => pauses.length >= 25);
  leaving.abort();
  await wait;
  expect(new Set(pauses.slice(0, 19))).toEqual(new Set([50]));
  expect(new Set(pauses.slice(21))).toEqual(new Set([200]));
});

test("whoever comes while it polls slowly does not wait for that", async () => {
  const [first = "", second = ""] = await createTasks(database, [{ state: "running" }, { state: "running" }]);
  const { clock, pauses } = quickClock();
  let slow = Promise.withResolvers<void>();
  const after: Clock["after"] = async (ms, signal) => {
    await clock.after(ms, signal);
    if (ms !== 200) return;
    // Would never end by itself.
    await new Promise((_resolve, reject) => {
      signal?.addEventListener("abort", () => reject(signal.reason));
      slow.resolve();
    });
  };
  const waiter = createWaiter({ database, clock: { ...clock, after } });
  const waits = [waiter.finished(first, LONG_MS, leaving.signal)];
  await slow.promise;
  slow = Promise.withResolvers();
  const count = pauses.length;
  waits.push(waiter.finished(second, LONG_MS, leaving.signal));
  await slow.promise;
  expect(pauses.slice(count)).toContain(50);
  leaving.abort();
  waits.push(waiter.finished(second, LONG_MS, new AbortController().signal));
  waiter.stop();
  await Promise.all(waits);
});
