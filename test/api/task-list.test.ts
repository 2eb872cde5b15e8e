/** The list against what a list must be: whatever the rows, the filter and the bounds, its pages are all that match, once, newest first. */
import fc from "fast-check";
import { v4, v7 } from "uuid";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { TaskFilter } from "../../runtime/api/task-filter.ts";
import { listTasks } from "../../runtime/api/task-list.ts";
import { decodeCursor, encodeCursor, type Position } from "../../runtime/api/task-position.ts";
import { systemClock } from "../../runtime/clock.ts";
import { TASK_STATES, type TaskState } from "../../runtime/model/task.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { clearTasks, createTasks } from "../support/tasks.ts";

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 4, applicationName: "list test" });
});
beforeEach(() => clearTasks(database));
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

const ALL: TaskFilter = { states: null, task: null, queue: null, labels: [], createdAfter: null, createdBefore: null };

async function pagesOf(filter: Partial<TaskFilter>, limit: number, examine: number): Promise<string[]> {
  const ids: string[] = [];
  let position: Position | null = null;
  do {
    const request = { tenant: "default", filter: { ...ALL, ...filter }, position, limit, examine, clock: systemClock };
    const page = await listTasks(database, request);
    expect(page.rows.length).toBeLessThanOrEqual(limit);
    ids.push(...page.rows.map(({ id }) => id));
    // As it goes to the caller and back.
    position = page.next === null ? null : (decodeCursor(encodeCursor(page.next)) ?? null);
    expect(position).toEqual(page.next);
  } while (position !== null);
  return ids;
}

type Made = {
  readonly timed: boolean;
  readonly state: TaskState;
  readonly name: string;
  readonly queue: string;
  readonly label: string | null;
  readonly tenant: string;
};

const LABELS = ["x", "\u0000", "\ud800", 'a","team":"x', "😀", "ü"];
const made: fc.Arbitrary<Made> = fc.record({
  timed: fc.boolean(),
  state: fc.constantFrom(...TASK_STATES),
  name: fc.constantFrom("a", "b"),
  queue: fc.constantFrom("default", "other"),
  label: fc.constantFrom(null, ...LABELS),
  tenant: fc.constantFrom("default", "default", "theirs"),
});
const some = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null, freq: 2 });

test("the pages of any list are the tasks that match, each once, newest first", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(made, { maxLength: 40 }),
      some(fc.uniqueArray(fc.constantFrom(...TASK_STATES), { minLength: 1, maxLength: 4 })),
      some(fc.constantFrom("a", "b")),
      some(fc.constantFrom("default", "other")),
      some(fc.constantFrom(...LABELS)),
      fc.integer({ min: 1, max: 7 }),
      fc.integer({ min: 1, max: 9 }),
      async (tasks, states, task, queue, label, limit, examine) => {
        await clearTasks(database);
        const nowMs = Date.now();
        // A second lies between any two, so that the two orders, by id and by time of creation, are one.
        const rows = tasks.map(({ timed, label: text, ...rest }, at) => ({
          ...rest,
          id: timed ? v7({ msecs: nowMs - at * 1_000 }) : v4(),
          createdMsAgo: at * 1_000,
          labels: text === null ? null : JSON.stringify({ other: "1", team: text }),
          text,
        }));
        await createTasks(
          database,
          rows.map(({ text: _text, ...row }) => row),
        );
        const expected = rows.filter(
          (row) =>
            row.tenant === "default" &&
            (states === null || states.includes(row.state)) &&
            (task === null || row.name === task) &&
            (queue === null || row.queue === queue) &&
            (label === null || row.text === label),
        );
        const labels = label === null ? [] : [{ name: "team", value: label }];
        expect(await pagesOf({ states, task, queue, labels }, limit, examine)).toEqual(expected.map(({ id }) => id));
      },
    ),
    { numRuns: 150 },
  );
});

test("a cursor is a position and back, to the microsecond", () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.uuid(), (atUs, id) => {
      expect(decodeCursor(encodeCursor({ atUs, id }))).toEqual({ atUs, id });
    }),
  );
});

describe("filters", () => {
  const age = (seconds: number, more = {}) => ({
    createdMsAgo: seconds * 1_000,
    id: v7({ msecs: Date.now() - seconds * 1_000 }),
    ...more,
  });

  test("created_after takes its own time in, created_before does not", async () => {
    const [, middle = ""] = await createTasks(database, [age(30), age(20), age(10)]);
    const [row] = (
      await listTasks(database, { tenant: "default", filter: ALL, position: null, limit: 9, clock: systemClock })
    ).rows.slice(1);
    const at = row?.created_at as Date;
    expect(row?.id).toBe(middle);
    // Dates have milliseconds where the row has microseconds.
    const next = new Date(Number(at) + 1);
    expect(await pagesOf({ createdAfter: at, createdBefore: next }, 9, 99)).toEqual([middle]);
    expect(await pagesOf({ createdAfter: at }, 9, 99)).toHaveLength(2);
    expect(await pagesOf({ createdBefore: at }, 9, 99)).toHaveLength(1);
    expect(await pagesOf({ createdAfter: at, createdBefore: next, states: ["queued"] }, 9, 99)).toEqual([middle]);
  });

  test("all labels have to match, and a name is matched as a whole", async () => {
    const labels = (value: object) => ({ labels: JSON.stringify(value) });
    const [both = ""] = await createTasks(database, [
      labels({ a: "1", b: "2" }),
      labels({ a: "1" }),
      labels({ 'x"a': "1", b: "2" }),
      labels({ a: '1","b":"2' }),
      // As a producer of another language writes it.
      { labels: '{"a": 3, "b": "2"}' },
      {},
    ]);
    const wanted = [
      { name: "a", value: "1" },
      { name: "b", value: "2" },
    ];
    expect(await pagesOf({ labels: wanted }, 9, 99)).toEqual([both]);
    expect(await pagesOf({ labels: [{ name: "a", value: "3" }] }, 9, 99)).toHaveLength(1);
  });

  test("tasks submitted between two pages appear in neither and shift nothing", async () => {
    const ids = (await createTasks(database, [age(40), age(30), age(20)])).toReversed();
    const base = { tenant: "default", filter: ALL, limit: 1, clock: systemClock };
    const first = await listTasks(database, { ...base, position: null });
    await createTasks(database, [age(0), { id: v4() }]);
    const second = await listTasks(database, { ...base, position: first.next });
    const third = await listTasks(database, { ...base, position: second.next });
    expect([first, second, third].flatMap(({ rows }) => rows.map(({ id }) => id))).toEqual(ids);
    expect(third.next).toBeNull();
  });

  test("looks for what is rare over many statements, and gives up in time with a place to go on from", async () => {
    const rows = Array.from({ length: 60 }, (_, at) => age(at, { name: at === 59 ? "rare" : "common" }));
    await createTasks(database, rows);
    let nowMs = 0;
    const clock = { ...systemClock, nowMs: () => (nowMs += 30) };
    const base = { tenant: "default", filter: { ...ALL, task: "rare" }, limit: 10, examine: 3, clock };
    const first = await listTasks(database, { ...base, position: null });
    expect(first.rows).toEqual([]);
    expect(first.next).not.toBeNull();
    const found: string[] = [];
    for (let next = first.next; next !== null; ) {
      const page = await listTasks(database, { ...base, position: next });
      found.push(...page.rows.map(({ name }) => name));
      next = page.next;
    }
    expect(found).toEqual(["rare"]);
  });
});
