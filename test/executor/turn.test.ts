import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { storeMemory, type Turn, takeTurn } from "../../runtime/executor/turn.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { loadSql } from "../../runtime/postgres/sql.ts";
import { hold, untilWaiting } from "../flow/waiting.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { ask } from "../support/tasks.ts";

const TAKE_TURN = loadSql(new URL("../../runtime/", import.meta.url).href, "./executor/take-turn.sql");

let testDatabase: TestDatabase;
let database: Database;
/** Another process. */
let other: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 4, applicationName: "turn test" });
  other = openDatabase({ connectionString: testDatabase.url, max: 4, applicationName: "other turn test" });
});

beforeEach(() => ask(database, "delete from taskiq.turn"));

afterAll(async () => {
  await Promise.all([database.close(), other.close()]);
  await testDatabase.drop();
});

const HOUR_MS = 3_600_000;

/** As if the last turn had been taken so much earlier (or, when negative, later). */
const pass = (ms: number) =>
  ask(database, "update taskiq.turn set taken_at = taken_at - $1::float8 * interval '1 millisecond'", [ms]);

async function taken(from: Database, everyMs = HOUR_MS, name = "step"): Promise<Turn> {
  const turn = await takeTurn(from, name, everyMs);
  if (turn === null) throw new Error("expected the turn to be free");
  return turn;
}

test("the first to ask has the first turn, which knows of nothing, and the time of the database", async () => {
  const turn = await taken(database);
  expect(turn).toMatchObject({ name: "step", number: 1, memory: null });
  const [row] = await ask<{ ms: number }>(
    database,
    "select (extract(epoch from taken_at) * 1000)::float8 as ms from taskiq.turn",
  );
  expect(turn.nowMs).toBe(row?.ms);
});

test("there is no other turn before the interval is over, and one when it is", async () => {
  await taken(database);
  expect(await takeTurn(database, "step", HOUR_MS)).toBe(null);
  expect(await takeTurn(other, "step", HOUR_MS)).toBe(null);
  await pass(HOUR_MS - 10_000);
  expect(await takeTurn(other, "step", HOUR_MS)).toBe(null);
  await pass(10_000);
  expect(await taken(other)).toMatchObject({ number: 2 });
  expect(await takeTurn(database, "step", HOUR_MS)).toBe(null);
});

test("of many who ask at once one has the turn, the first and every later one", async () => {
  for (let number = 1; number <= 10; number++) {
    const asked = [database, other].flatMap((from) =>
      Array.from({ length: 20 }, () => takeTurn(from, "step", HOUR_MS)),
    );
    const turns = (await Promise.all(asked)).filter((turn) => turn !== null);
    expect(turns.map((turn) => turn.number)).toEqual([number]);
    await pass(HOUR_MS);
  }
});

test.each([0, 1])("who waited for the winner's row does not take a second turn (turns before: %i)", async (before) => {
  if (before > 0) await taken(database);
  await pass(HOUR_MS);
  const winner = await hold(database, (tx) => tx.query(TAKE_TURN, ["step", HOUR_MS]));
  const waiting = takeTurn(other, "step", HOUR_MS);
  await untilWaiting(database, "other turn test");
  await winner.end();
  expect(await waiting).toBe(null);
});

test("a winner that dies in its statement leaves the turn to the one who waited", async () => {
  await taken(database);
  await pass(HOUR_MS);
  const winner = await hold(database, (tx) => tx.query(TAKE_TURN, ["step", HOUR_MS]));
  const waiting = takeTurn(other, "step", HOUR_MS);
  await untilWaiting(database, "other turn test");
  await winner.end("undo");
  expect(await waiting).toMatchObject({ number: 2 });
});

test("what a turn stored is given to the next one, whichever process takes it", async () => {
  const memory = { lastOutAtMs: 1_795_000_000_000.25, names: ["a"], none: null };
  expect(await storeMemory(database, await taken(database), memory)).toBe(true);
  await pass(HOUR_MS);
  expect((await taken(other)).memory).toEqual(memory);
  await pass(HOUR_MS);
  expect((await taken(database)).memory).toEqual(memory);
});

test("a turn may store again while it lasts, and not after another process took the next one", async () => {
  const first = await taken(database);
  expect(await storeMemory(database, first, 1)).toBe(true);
  expect(await storeMemory(database, first, 2)).toBe(true);
  await pass(HOUR_MS);
  const second = await taken(other);
  expect(second.memory).toBe(2);
  expect(await storeMemory(database, first, 3)).toBe(false);
  expect(await storeMemory(other, second, 4)).toBe(true);
  expect(await storeMemory(database, first, 5)).toBe(false);
  await pass(HOUR_MS);
  expect((await taken(database)).memory).toBe(4);
});

test("steps with other names take turns of their own", async () => {
  const scaling = await taken(database, HOUR_MS, "scaling");
  const metrics = await taken(other, HOUR_MS, "metrics");
  await storeMemory(database, scaling, "of scaling");
  await pass(HOUR_MS);
  expect((await taken(other, HOUR_MS, "metrics")).memory).toBe(null);
  expect(metrics.number).toBe(1);
});

test("a clock that was set back does not hold up the turns, and the little that clocks differ by gives no extra one", async () => {
  await taken(database);
  await pass(-30_000);
  expect(await takeTurn(other, "step", 10)).toBe(null);
  await pass(-HOUR_MS);
  expect(await takeTurn(other, "step", 10)).toMatchObject({ number: 2 });
});
