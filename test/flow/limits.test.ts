import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Doorbell } from "../../runtime/flow/announce.ts";
import { cancel } from "../../runtime/flow/cancel.ts";
import { type ClaimOptions, claim } from "../../runtime/flow/claim.ts";
import { complete } from "../../runtime/flow/complete.ts";
import { fail } from "../../runtime/flow/fail.ts";
import { claimLimited, ensureLimits, leaving, sweepLimits } from "../../runtime/flow/limits.ts";
import { reap } from "../../runtime/flow/reap.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { ask, clearTasks, createTask, createTasks, readOutbox, readTask, SAMPLE_ERROR } from "../support/tasks.ts";

const OPTIONS: ClaimOptions = {
  queue: "default",
  worker: "worker-2",
  leaseMs: 30_000,
  knownTasks: ["demo"],
  unknownTaskAfterMs: 3_600_000,
};

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 16, applicationName: "limits test" });
});

beforeEach(async () => {
  await clearTasks(database);
  await ask(database, "delete from taskiq.limit_key");
});

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

const limitTo = (key: string, max: number | null, intervalMs: number | null = null) =>
  ensureLimits(database, [{ key, max, intervalMs }]);

/** Rows with limits, the first one the best. */
async function createLimited(count: number, keys: readonly string[]): Promise<string[]> {
  return await createTasks(
    database,
    Array.from({ length: count }, (_, nth) => ({ limitKeys: keys, dueInMs: nth - 10_000 })),
  );
}

/** Doorbells to be sent at once, of the last change. */
let heard: readonly Doorbell[] = [];
const ring = (doorbells: readonly Doorbell[]) => {
  heard = doorbells;
};
const start = async (ids: readonly string[]) => (await claimLimited(database, ids, OPTIONS, ring)).map(({ id }) => id);
const finish = (ids: readonly string[]) =>
  leaving(
    database,
    ids.map((id) => ({ id, attempt: 1, limited: true, resultText: null, resultRef: null })),
    async (on, some) => (await complete(on, some)).map((accepted) => (accepted ? "succeeded" : null)),
    ring,
  );
const keyRow = async (key: string) =>
  (
    await ask<{ running: number; max: number }>(database, "select running, max from taskiq.limit_key where key = $1", [
      key,
    ])
  )[0];
const parked = async () =>
  (await ask<{ id: string }>(database, "select id from taskiq.task where parked_on is not null order by rank, id")).map(
    ({ id }) => id,
  );
const rung = async () =>
  (await readOutbox(database)).filter(({ kind }) => kind === "doorbell").map(({ task_id: id }) => id);

describe("a key with a maximum", () => {
  test("lets so many run, and parks the others without a doorbell", async () => {
    await limitTo("mail", 2);
    const ids = await createLimited(4, ["mail"]);
    expect(await start(ids)).toEqual(expect.arrayContaining(ids.slice(0, 2)));
    expect(await parked()).toEqual(ids.slice(2));
    expect(await keyRow("mail")).toEqual({ running: 2, max: 2 });
    expect(await rung()).toEqual([]);
    expect((await readTask(database, ids[3]!)).announced_ms_ago).toBe(Number.NEGATIVE_INFINITY);
  });

  test("is not for the ordinary claim, which names the verdict", async () => {
    await limitTo("mail", 1);
    const [id] = await createLimited(1, ["mail"]);
    expect((await claim(database, [id!], OPTIONS)).get(id!)).toEqual({ kind: "limited" });
    expect(await readTask(database, id!)).toMatchObject({ state: "queued" });
  });

  test("rings for the best waiter when one ends, whichever way", async () => {
    await limitTo("mail", 1);
    const [first, second, third, fourth] = await createLimited(4, ["mail"]);
    await start([first!, second!, third!, fourth!]);
    expect(await finish([first!])).toEqual(["succeeded"]);
    expect(await rung()).toEqual([second]);
    const [row] = await readOutbox(database, second!);
    expect(heard).toEqual([
      { outboxId: row?.id, id: second, name: "demo", queue: "default", tenant: "default", group: null, priority: 0 },
    ]);
    expect(await keyRow("mail")).toMatchObject({ running: 0 });
    await start([second!]);
    await leaving(
      database,
      [{ id: second!, attempt: 1, limited: true, error: SAMPLE_ERROR, retryAfterMs: null, deadLetter: false }],
      fail,
      ring,
    );
    expect(await rung()).toContain(third);
    expect(heard.map(({ id }) => id)).toEqual([third]);
    await start([third!]);
    await ask(database, "update taskiq.task set lease_until = now() - interval '1 second' where id = $1", [third]);
    expect(await reap(database, 10)).toMatchObject([{ id: third, state: "queued" }]);
    expect(await rung()).toEqual(expect.arrayContaining([third, fourth]));
    expect(await keyRow("mail")).toMatchObject({ running: 0 });
  });

  test("frees nothing for an attempt that was refused", async () => {
    await limitTo("mail", 1);
    const [first, second] = await createLimited(2, ["mail"]);
    await start([first!, second!]);
    const stale = [{ id: first!, attempt: 7, limited: true, resultText: null, resultRef: null }];
    const answer = await leaving(
      database,
      stale,
      async (on, some) => (await complete(on, some)).map((accepted) => (accepted ? "succeeded" : null)),
      ring,
    );
    expect(answer).toEqual([null]);
    expect(await keyRow("mail")).toMatchObject({ running: 1 });
    expect(await rung()).toEqual([]);
    expect(heard).toEqual([]);
  });

  test("cannot be exceeded: the table itself refuses", async () => {
    await limitTo("mail", 1);
    const update = ask(database, "update taskiq.limit_key set running = 2 where key = 'mail'");
    await expect(update).rejects.toMatchObject({ constraint: "never_more_than_max" });
  });

  test("that is lowered below what runs goes down as they end", async () => {
    await limitTo("mail", 3);
    const ids = await createLimited(3, ["mail"]);
    await start(ids);
    await limitTo("mail", 1);
    expect(await keyRow("mail")).toEqual({ running: 3, max: 3 });
    await finish(ids.slice(0, 2));
    await limitTo("mail", 1);
    expect(await keyRow("mail")).toEqual({ running: 1, max: 1 });
  });
});

describe("several keys", () => {
  test("a task that was rung for one and waits at another passes the place on", async () => {
    await limitTo("a", 1);
    await limitTo("b", 1);
    const [both] = await createTasks(database, [{ limitKeys: ["a", "b"], dueInMs: -9_000 }]);
    const [holdsA, holdsB, wantsA] = await createTasks(database, [
      { limitKeys: ["a"], dueInMs: -10_000 },
      { limitKeys: ["b"], dueInMs: -10_000 },
      { limitKeys: ["a"], dueInMs: -1_000 },
    ]);
    await start([holdsA!, holdsB!]);
    await start([both!, wantsA!]);
    expect(await parked()).toEqual([both, wantsA]);
    await finish([holdsA!]);
    expect(await rung()).toEqual([both]);
    await start([both!]);
    // Parked at b now; the room at a is for the next one.
    expect(await rung()).toContain(wantsA);
    expect(await start([wantsA!])).toEqual([wantsA]);
  });
});

describe("a rate", () => {
  test("starts one, and gives the others their turns in order, with a doorbell then", async () => {
    await limitTo("api", null, 1_000);
    const ids = await createLimited(3, ["api"]);
    expect(await start(ids)).toEqual([ids[0]]);
    const due = await Promise.all(ids.map(async (id) => (await readTask(database, id)).due_in_ms));
    expect(due[1]).toBeGreaterThan(500);
    expect(due[1]).toBeLessThanOrEqual(1_000);
    const [gap] = await ask(
      database,
      "select extract(epoch from max(not_before) - min(not_before))::float8 as s from taskiq.task where has_token",
    );
    expect(gap).toEqual({ s: 1 });
    expect((await readOutbox(database)).map(({ task_id: id }) => id)).toEqual(ids.slice(1));
    // Its turn has come: another that arrives now is behind it.
    await ask(database, "update taskiq.task set not_before = now() where id = $1", [ids[1]]);
    const [late] = await createLimited(1, ["api"]);
    expect(await start([late!, ids[1]!])).toEqual([ids[1]]);
    expect((await readTask(database, late!)).due_in_ms).toBeGreaterThan(1_500);
  });
});

describe("what was forgotten", () => {
  test("is found by the sweep: a waiter behind one that was cancelled after it was rung", async () => {
    await limitTo("mail", 1);
    const [first, second, third] = await createLimited(3, ["mail"]);
    await start([first!, second!, third!]);
    await finish([first!]);
    await cancel(database, [second!], { tenant: null, reason: null });
    expect(await parked()).toEqual([third]);
    expect(await sweepLimits(database, 10)).toBe(1);
    expect(await rung()).toEqual([third]);
    expect(await sweepLimits(database, 10)).toBe(0);
  });

  test("is not rung for while the key is full", async () => {
    await limitTo("mail", 1);
    await start(await createLimited(3, ["mail"]));
    expect(await sweepLimits(database, 10)).toBe(0);
  });
});

test("a task that is parked and cancelled is gone from the waiters", async () => {
  await limitTo("mail", 1);
  const [first, second] = await createLimited(2, ["mail"]);
  await start([first!, second!]);
  expect(await cancel(database, [second!], { tenant: null, reason: null })).toMatchObject([{ state: "cancelled" }]);
  expect(await parked()).toEqual([]);
});

test("parking against releasing, 100 rounds: nobody is left waiting at a key with room, and none is exceeded", async () => {
  await limitTo("k", 3);
  for (let round = 0; round < 100; round++) {
    const ids = await createLimited(6, ["k"]);
    const running = await start(ids.slice(0, 3));
    await Promise.all([finish(running), start(ids.slice(3)), start(ids.slice(3).toReversed())]);
    for (let guard = 0; guard < 10; guard++) {
      const ready = await ask<{ id: string }>(
        database,
        "select id from taskiq.task where state = 'queued' and parked_on is null order by id",
      );
      const inside = await ask<{ id: string }>(
        database,
        "select id from taskiq.task where state = 'running' order by id",
      );
      if (ready.length + inside.length === 0) break;
      await Promise.all([start(ready.map(({ id }) => id)), finish(inside.map(({ id }) => id))]);
    }
    const [left] = await ask(database, "select count(*)::int as n from taskiq.task where state <> 'succeeded'");
    expect(left, `round ${round}`).toEqual({ n: 0 });
    expect(await keyRow("k")).toMatchObject({ running: 0 });
  }
}, 60_000);

test("a task without limits is none of this", async () => {
  const id = await createTask(database);
  expect(await start([id])).toEqual([]);
  expect(await readTask(database, id)).toMatchObject({ state: "queued" });
});
