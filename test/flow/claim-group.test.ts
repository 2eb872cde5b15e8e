import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { ClaimOptions } from "../../runtime/flow/claim.ts";
import { claimGroups } from "../../runtime/flow/claim-group.ts";
import { complete } from "../../runtime/flow/complete.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { ask, clearTasks, createTask, createTasks, readTask } from "../support/tasks.ts";
import { hold } from "./waiting.ts";

const OPTIONS: ClaimOptions = {
  queue: "ordered",
  worker: "worker-2",
  leaseMs: 30_000,
  knownTasks: ["demo"],
  unknownTaskAfterMs: 3_600_000,
};
const ROW = { queue: "ordered", groupKey: "g" };

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 12, applicationName: "claim-group test" });
});

beforeEach(async () => {
  await clearTasks(database);
});

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

async function verdict(group = "g") {
  return (await claimGroups(database, [group], OPTIONS)).get(group);
}

describe("the first task of a group", () => {
  test("is the one that was due first, whichever doorbell rang", async () => {
    const [second, first] = await createTasks(database, [
      { ...ROW, dueInMs: -1_000 },
      { ...ROW, dueInMs: -2_000 },
    ]);
    expect(await verdict()).toMatchObject({ kind: "claimed", task: { id: first, attempt: 1, queue: "ordered" } });
    expect(await readTask(database, String(second))).toMatchObject({ state: "queued" });
  });

  test("of tasks due at one time is the one with the lowest id", async () => {
    const ids = await createTasks(database, [
      { ...ROW, dueInMs: -1_000 },
      { ...ROW, dueInMs: -1_000 },
    ]);
    await ask(database, "update taskiq.task set ordered_at = '2026-01-01', not_before = '2026-01-01'");
    expect(await verdict()).toMatchObject({ kind: "claimed", task: { id: ids.toSorted()[0] } });
  });

  test("holds up the group while it runs, for as long as its lease", async () => {
    await createTasks(database, [
      { ...ROW, dueInMs: -2_000, state: "running", leaseInMs: 20_000 },
      { ...ROW, dueInMs: -1_000 },
    ]);
    const found = await verdict();
    expect(found).toMatchObject({ kind: "running" });
    expect(found?.kind === "running" && found.waitMs).toBeGreaterThan(15_000);
  });

  test("holds up the group while it waits for its next attempt", async () => {
    await createTasks(database, [
      { ...ROW, dueInMs: 9_000, orderedInMs: -2_000, attempt: 1 },
      { ...ROW, dueInMs: -1_000 },
    ]);
    const found = await verdict();
    expect(found).toMatchObject({ kind: "not_due" });
    expect(found?.kind === "not_due" && found.waitMs).toBeGreaterThan(5_000);
  });

  test("does not hold it up before its time, when it has not begun", async () => {
    const [, due] = await createTasks(database, [
      { ...ROW, dueInMs: 60_000 },
      { ...ROW, dueInMs: -1_000 },
    ]);
    expect(await verdict()).toMatchObject({ kind: "claimed", task: { id: due } });
  });

  test("is held up by one that runs, also when it has turned up before it", async () => {
    await createTasks(database, [
      { ...ROW, dueInMs: -1_000, state: "running" },
      { ...ROW, dueInMs: -5_000 },
    ]);
    expect(await verdict()).toMatchObject({ kind: "running" });
  });
});

describe("other verdicts", () => {
  test("a group without unfinished tasks is empty", async () => {
    await createTask(database, { ...ROW, state: "succeeded" });
    expect(await verdict()).toEqual({ kind: "empty" });
    expect(await verdict("nobody")).toEqual({ kind: "empty" });
  });

  test("a group of another queue is another group", async () => {
    await createTask(database, { ...ROW, queue: "other" });
    expect(await verdict()).toEqual({ kind: "empty" });
  });

  test("a task that this worker does not know is named", async () => {
    const id = await createTask(database, { ...ROW, name: "unknown" });
    expect(await verdict()).toEqual({ kind: "unknown_task", taskId: id });
  });

  test("a row that somebody else holds is contended, at once", async () => {
    const id = await createTask(database, ROW);
    const holder = await hold(database, (tx) => tx.raw.query("select from taskiq.task where id = $1 for update", [id]));
    expect(await verdict()).toEqual({ kind: "contended" });
    await holder.end();
  });

  test("each group of a batch gets its own", async () => {
    const [a] = await createTasks(database, [
      { ...ROW, groupKey: "a" },
      { ...ROW, groupKey: "b", state: "running" },
    ]);
    const verdicts = await claimGroups(database, ["a", "b", "c"], OPTIONS);
    expect(verdicts.get("a")).toMatchObject({ kind: "claimed", task: { id: a } });
    expect(verdicts.get("b")).toMatchObject({ kind: "running" });
    expect(verdicts.get("c")).toEqual({ kind: "empty" });
  });
});

test("twelve claims at once never have two tasks of a group running, and all tasks get their turn in order", async () => {
  const groups = ["a", "b", "c"];
  const ids = new Map<string, string[]>();
  for (const groupKey of groups) {
    ids.set(
      groupKey,
      await createTasks(
        database,
        Array.from({ length: 20 }, (_, index) => ({ ...ROW, groupKey, dueInMs: index - 10_000 })),
      ),
    );
  }
  const order = new Map<string, string[]>(groups.map((group) => [group, []]));
  const worker = async () => {
    for (;;) {
      const verdicts = await claimGroups(database, groups, OPTIONS);
      for (const [group, found] of verdicts) {
        if (found.kind !== "claimed") continue;
        order.get(group)?.push(found.task.id);
        const { id, attempt } = found.task;
        while (!(await complete(database, [{ id, attempt, resultText: null, resultRef: null }]))[0]);
      }
      if ([...verdicts.values()].every(({ kind }) => kind === "empty")) return;
    }
  };
  await Promise.all(Array.from({ length: 6 }, worker));
  expect(order).toEqual(ids);
});

test("a second running task of a group is refused by the table itself", async () => {
  const insert = createTasks(database, [
    { ...ROW, state: "running" },
    { ...ROW, state: "running" },
  ]);
  await expect(insert).rejects.toThrow("one_running_task_per_group");
});
