import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { ClaimOptions } from "../../runtime/flow/claim.ts";
import { claimBest } from "../../runtime/flow/claim-best.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { clearTasks, createTask, createTasks, readTask } from "../support/tasks.ts";

const OPTIONS: ClaimOptions = {
  queue: "urgent",
  worker: "worker-2",
  leaseMs: 30_000,
  knownTasks: ["demo"],
  unknownTaskAfterMs: 3_600_000,
};
const ROW = { queue: "urgent", byRank: true };
const MINUTE_MS = 60_000;

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 12, applicationName: "claim-best test" });
});

beforeEach(async () => {
  await clearTasks(database);
});

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

const idsOf = async (limit: number) => (await claimBest(database, limit, OPTIONS)).map(({ id }) => id);

test("the highest priority starts first, and of equal ones the one that has waited longest", async () => {
  const [low, later, earlier, high] = await createTasks(database, [
    { ...ROW, priority: -1, dueInMs: -5_000 },
    { ...ROW, priority: 0, dueInMs: -1_000 },
    { ...ROW, priority: 0, dueInMs: -2_000 },
    { ...ROW, priority: 9 },
  ]);
  expect(await idsOf(2)).toEqual([high, earlier]);
  expect(await idsOf(5)).toEqual([later, low]);
});

test("a level of priority is worth a minute of waiting, so nothing starves", async () => {
  const [high, waited] = await createTasks(database, [
    { ...ROW, priority: 9 },
    { ...ROW, priority: 0, dueInMs: -9 * MINUTE_MS - 1_000 },
  ]);
  expect(await idsOf(2)).toEqual([waited, high]);
});

test("a stream of priority 9 passes a task of priority 0 for nine minutes of its waiting, not longer", async () => {
  const waiting = await createTask(database, { ...ROW, priority: 0, dueInMs: -9 * MINUTE_MS + 5_000 });
  await createTasks(
    database,
    Array.from({ length: 50 }, () => ({ ...ROW, priority: 9 })),
  );
  expect(await idsOf(50)).not.toContain(waiting);
  await createTasks(
    database,
    Array.from({ length: 50 }, () => ({ ...ROW, priority: 9, dueInMs: 0 })),
  );
  // Ten seconds later in its life.
  await clearTasks(database);
  const ripe = await createTask(database, { ...ROW, priority: 0, dueInMs: -9 * MINUTE_MS - 5_000 });
  await createTasks(
    database,
    Array.from({ length: 50 }, () => ({ ...ROW, priority: 9 })),
  );
  expect(await idsOf(1)).toEqual([ripe]);
});

test("what is not due, not known here, or of another queue is left alone", async () => {
  const others = await createTasks(database, [
    { ...ROW, dueInMs: 60_000, priority: 100 },
    { ...ROW, name: "unknown" },
    { ...ROW, queue: "default" },
    { ...ROW, byRank: false },
    { ...ROW, state: "running" },
  ]);
  expect(await idsOf(10)).toEqual([]);
  for (const id of others) expect(await readTask(database, id)).not.toMatchObject({ worker: "worker-2" });
});

test("ten claims at once share the queue without waiting, each task to one of them", async () => {
  const ids = await createTasks(
    database,
    Array.from({ length: 200 }, (_, index) => ({ ...ROW, priority: index % 7 })),
  );
  const won = await Promise.all(Array.from({ length: 10 }, () => idsOf(20)));
  expect(won.flat().toSorted()).toEqual(ids.toSorted());
});
