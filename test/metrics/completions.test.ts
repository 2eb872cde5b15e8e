import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type CompletionGroup, type Completions, readCompletions } from "../../runtime/metrics/completions.ts";
import { addUp, percentile } from "../../runtime/metrics/histogram.ts";
import type { TerminalState } from "../../runtime/model/task.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { hold } from "../flow/waiting.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { ask, clearTasks, createTask, createTasks } from "../support/tasks.ts";
import { until } from "../support/until.ts";

const HOUR_MS = 3_600_000;
const NOTHING_BEFORE = { sinceUs: null, maxAgeMs: HOUR_MS } as const;

let testDatabase: TestDatabase;
let database: Database;
/** Another process. */
let other: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 4, applicationName: "completions test" });
  other = openDatabase({ connectionString: testDatabase.url, max: 4, applicationName: "other completions test" });
});

beforeEach(() => clearTasks(database));

afterAll(async () => {
  await Promise.all([database.close(), other.close()]);
  await testDatabase.drop();
});

const END_IT =
  "update taskiq.task set state = 'cancelled', lease_until = null, worker = null, finished_at = now() where id = $1";

const total = ({ groups }: Completions) => groups.reduce((sum, { count }) => sum + count, 0);
const sizes = (groups: readonly CompletionGroup[], kind: "wait" | "run") =>
  [...addUp(groups.map((group) => group[kind])).values()].reduce((sum, count) => sum + count, 0);

/** Looks until so many ends were seen: what ended within the last milliseconds is left to a later look. */
async function countedSince(sinceUs: number, count: number): Promise<number> {
  let counted = 0;
  let fromUs = sinceUs;
  await until(
    async () => {
      const look = await readCompletions(database, { sinceUs: fromUs, maxAgeMs: HOUR_MS });
      fromUs = look.untilUs;
      counted += total(look);
      return counted >= count;
    },
    { what: `${count} ends that are counted` },
  );
  // One more look: nothing comes twice.
  return counted + total(await readCompletions(database, { sinceUs: fromUs, maxAgeMs: HOUR_MS }));
}

/** A task that became due, started and ended so long ago. */
const ended = (state: TerminalState, dueMsAgo: number, startedMsAgo: number, finishedMsAgo: number) =>
  ({ state, dueInMs: -dueMsAgo, createdMsAgo: dueMsAgo, startedMsAgo, finishedMsAgo }) as const;

test("counts each group of ends by tenant, queue, task and outcome", async () => {
  await createTasks(database, [
    ...Array.from({ length: 3 }, () => ({ ...ended("succeeded", 3_000, 2_000, 1_000), name: "a" })),
    { ...ended("failed", 3_000, 2_000, 1_000), name: "a" },
    { ...ended("succeeded", 3_000, 2_000, 1_000), name: "a", queue: "fast" },
    { ...ended("succeeded", 3_000, 2_000, 1_000), name: "a", tenant: "acme" },
    { ...ended("cancelled", 3_000, 2_000, 1_000), name: "b", startedMsAgo: null },
    { state: "queued", name: "a" },
    { state: "running", name: "a" },
  ]);
  const { groups } = await readCompletions(database, { ...NOTHING_BEFORE, intervalMs: HOUR_MS });
  const shown = new Map<string, number>();
  for (const { tenant, queue, task, outcome, count } of groups) {
    const name = `${tenant} ${queue} ${task} ${outcome}`;
    shown.set(name, (shown.get(name) ?? 0) + count);
  }
  expect(Object.fromEntries(shown)).toEqual({
    "default default a succeeded": 3,
    "default default a failed": 1,
    "default fast a succeeded": 1,
    "acme default a succeeded": 1,
    "default default b cancelled": 1,
  });
});

test("counts an end in one look only, whatever ends between two", async () => {
  await createTasks(database, [ended("succeeded", 3_000, 2_000, 1_000), ended("failed", 3_000, 2_000, 500)]);
  const first = await readCompletions(database, NOTHING_BEFORE);
  expect(total(first)).toBe(2);
  const again = await readCompletions(database, { sinceUs: first.untilUs, maxAgeMs: HOUR_MS });
  expect(total(again)).toBe(0);
  expect(again.untilUs).toBeGreaterThanOrEqual(first.untilUs);
  await ask(database, "update taskiq.task set finished_at = clock_timestamp() - interval '5 milliseconds'");
  expect(await countedSince(again.untilUs, 2)).toBe(2);
});

test("does not pass by an end that is not committed yet", async () => {
  const id = await createTask(database, { state: "running" });
  const holder = await hold(other, (tx) => tx.raw.query(END_IT, [id]));
  const meanwhile = await readCompletions(database, NOTHING_BEFORE);
  expect(total(meanwhile)).toBe(0);
  await holder.end();
  expect(await countedSince(meanwhile.untilUs, 1)).toBe(1);
});

test("marks where counting begins without counting what was before", async () => {
  await createTask(database, ended("succeeded", 3_000, 2_000, 1_000));
  const mark = await readCompletions(database, { sinceUs: null, maxAgeMs: 0 });
  expect(mark.groups).toEqual([]);
  expect(mark.untilUs / 1_000).toBeGreaterThan(0);
  expect(total(await readCompletions(database, { sinceUs: mark.untilUs, maxAgeMs: HOUR_MS }))).toBe(0);
});

test("leaves out what ended longer ago than asked for, and steps that a repeated run kept", async () => {
  await createTasks(database, [
    ended("succeeded", 9_000, 8_000, 7_000),
    { ...ended("succeeded", 3_000, 2_000, 1_000), createdMsAgo: 500 },
    ended("succeeded", 3_000, 2_000, 1_000),
  ]);
  expect(total(await readCompletions(database, { sinceUs: null, maxAgeMs: 5_000 }))).toBe(1);
});

test("puts ends into the intervals they lie in", async () => {
  const nowMs = Date.now();
  await createTasks(
    database,
    [500, 1_500, 2_500, 2_600].map((finishedMsAgo) => ended("succeeded", 5_000, 4_000, finishedMsAgo)),
  );
  const { groups } = await readCompletions(database, { ...NOTHING_BEFORE, intervalMs: 1_000 });
  expect(groups.length).toBeGreaterThanOrEqual(3);
  for (const { intervalMs } of groups) {
    expect(intervalMs % 1_000).toBe(0);
    expect(intervalMs).toBeGreaterThan(nowMs - 5_000);
    expect(intervalMs).toBeLessThan(nowMs + 1_000);
  }
});

test("tells how long tasks waited and ran, and nothing of those that were never started", async () => {
  await createTasks(database, [
    ...Array.from({ length: 99 }, () => ended("succeeded", 3_000, 2_900, 1_900)),
    ended("succeeded", 60_000, 31_000, 1_000),
    { ...ended("cancelled", 3_000, 2_000, 1_000), startedMsAgo: null },
  ]);
  const { groups } = await readCompletions(database, NOTHING_BEFORE);
  expect(sizes(groups, "wait")).toBe(100);
  expect(sizes(groups, "run")).toBe(100);
  const [wait, run] = [addUp(groups.map((group) => group.wait)), addUp(groups.map((group) => group.run))];
  expect(between(percentile(wait, 0.5), 80, 125)).toBe(true);
  expect(between(percentile(run, 0.5), 800, 1_250)).toBe(true);
  expect(between(percentile(wait, 1), 24_000, 36_000)).toBe(true);
  expect(percentile(new Map(), 0.5)).toBeNull();
});

const between = (value: number | null, least: number, most: number) =>
  value !== null && value >= least && value <= most;
