/** What became of tasks and runs, from their rows: each end once, whichever process counts it. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { createCompletionMetrics } from "../../runtime/metrics/completion-metrics.ts";
import type { MetricValues } from "../../runtime/metrics/emf.ts";
import { createMeters } from "../../runtime/metrics/meters.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { parseMetrics, sumOf } from "../support/metrics-text.ts";
import { clearRuns, createRun } from "../support/runs.ts";
import { ask, clearTasks, createTasks } from "../support/tasks.ts";
import { until } from "../support/until.ts";

const INTERVAL_MS = 20_000;
const KNOWN = { queues: new Set(["default"]), tasks: new Set(["demo"]), jobs: new Set(["etl"]) };

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 4, applicationName: "completions test" });
});

afterEach(async () => {
  await clearTasks(database);
  await clearRuns(database);
  await ask(database, "delete from taskiq.turn");
});

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

/** One process that may count. */
function counting(emf: ((values: MetricValues) => void) | null = null) {
  const meters = createMeters(["executor"]);
  const parts = { emf: emf === null ? null : { put: emf }, meters, database, known: KNOWN, intervalMs: INTERVAL_MS };
  return { meters, loop: createCompletionMetrics(parts) };
}

type Counting = ReturnType<typeof counting>;

/** Looks whether or not it is time to. */
async function look({ loop }: Counting): Promise<void> {
  await ask(database, "update taskiq.turn set taken_at = now() - interval '1 hour'");
  await loop.step();
}

async function completed(...of: readonly Counting[]): Promise<Record<string, number>> {
  const families = (await Promise.all(of.map(({ meters }) => meters.text()))).flatMap(parseMetrics);
  const samples = families.flatMap(({ name, samples }) => (name === "taskq_tasks_completed_total" ? samples : []));
  const sums: Record<string, number> = {};
  for (const { labels, value } of samples) {
    const series = `${labels.queue} ${labels.type} ${labels.outcome}`;
    sums[series] = (sums[series] ?? 0) + value;
  }
  return sums;
}

/** Looks until so many ends are counted: the newest are left to a later look, because others may still be written. */
async function untilCounted(count: number, ...of: readonly Counting[]): Promise<void> {
  const counted = async () => {
    for (const one of of) await look(one);
    return Object.values(await completed(...of)).reduce((sum, value) => sum + value, 0) >= count;
  };
  await until(counted, { what: `${count} ends to be counted` });
}

test("tasks are counted by their queue, name and outcome, with how long they waited and ran", async () => {
  const one = counting();
  await look(one);
  await createTasks(database, [
    { state: "succeeded", dueInMs: -2_100, startedMsAgo: 100 },
    { state: "succeeded", dueInMs: -2_100, startedMsAgo: 100 },
    { state: "failed", dueInMs: -400, startedMsAgo: 400 },
    // Never started: neither waited nor ran.
    { state: "cancelled" },
    { state: "running" },
  ]);
  await untilCounted(4, one);
  expect(await completed(one)).toEqual({
    "default demo succeeded": 2,
    "default demo failed": 1,
    "default demo cancelled": 1,
  });
  const shown = parseMetrics(await one.meters.text());
  const waits = (labels: Record<string, string>) => sumOf(shown, "taskq_task_queue_wait_seconds_bucket", labels);
  expect([waits({ le: "1" }), waits({ le: "2.5" }), waits({ le: "+Inf" })]).toEqual([1, 3, 3]);
  const runs = (labels: Record<string, string>) => sumOf(shown, "taskq_task_run_seconds_bucket", labels);
  expect(runs({ outcome: "succeeded", le: "0.05" })).toBe(0);
  expect(runs({ outcome: "succeeded", le: "0.25" })).toBe(2);
  expect(runs({ outcome: "failed", le: "0.25" })).toBe(0);
  expect(runs({ outcome: "failed", le: "0.5" })).toBe(1);
  const seconds = sumOf(shown, "taskq_task_run_seconds_sum", { outcome: "failed" });
  expect(Math.abs(seconds - 0.4)).toBeLessThan(0.04);
});

test("names that are not configured or defined are counted together", async () => {
  const one = counting();
  await look(one);
  await createTasks(database, [
    { state: "succeeded", queue: "gone", name: "demo" },
    { state: "succeeded", queue: "default", name: "removed" },
    { state: "succeeded", queue: "default", name: "renamed" },
  ]);
  await untilCounted(3, one);
  expect(await completed(one)).toEqual({ "other demo succeeded": 1, "default other succeeded": 2 });
});

test("any number of processes count each end once, also when one of them is gone", async () => {
  const [first, second, third] = [counting(), counting(), counting()];
  await look(first);
  await createTasks(database, [{ state: "succeeded" }, { state: "failed" }]);
  await untilCounted(2, first, second);
  await createTasks(database, [{ state: "succeeded" }, { state: "skipped" }]);
  await untilCounted(4, first, second, third);
  for (const one of [first, second, third, third]) await look(one);
  expect(await completed(first, second, third)).toEqual({
    "default demo succeeded": 2,
    "default demo failed": 1,
    "default demo skipped": 1,
  });
});

test("one of many that ask at the same time counts", async () => {
  const all = Array.from({ length: 6 }, () => counting());
  await look(all[0] as Counting);
  await ask(database, "update taskiq.turn set taken_at = now() - interval '1 hour'");
  const [before] = await ask(database, "select number from taskiq.turn where name = 'completions'");
  await Promise.all(all.map(({ loop }) => loop.step()));
  const [after] = await ask(database, "select number from taskiq.turn where name = 'completions'");
  expect(Number(after?.number)).toBe(Number(before?.number) + 1);
});

test("a process that was overtaken while it looked counts nothing: another one does", async () => {
  const [slow, other] = [counting(), counting()];
  await look(other);
  await createTasks(database, [{ state: "succeeded" }]);
  const overtaken = createCompletionMetrics({
    emf: null,
    meters: slow.meters,
    database: {
      ...database,
      async query(statement, params) {
        const rows = await database.query(statement, params);
        if (statement.name === "read-completions") await untilCounted(1, other);
        return rows as never; // Whatever the statement gives.
      },
    },
    known: KNOWN,
    intervalMs: INTERVAL_MS,
  });
  await ask(database, "update taskiq.turn set taken_at = now() - interval '1 hour'");
  await overtaken.step();
  expect(await completed(slow)).toEqual({});
  expect(await completed(other)).toEqual({ "default demo succeeded": 1 });
});

test("the first process of all counts from its start on", async () => {
  await createTasks(database, [{ state: "succeeded", finishedMsAgo: 5_000, createdMsAgo: 6_000 }]);
  const one = counting();
  await look(one);
  await createTasks(database, [{ state: "failed" }]);
  await untilCounted(1, one);
  expect(await completed(one)).toEqual({ "default demo failed": 1 });
});

test("runs are counted by their job and outcome", async () => {
  const one = counting();
  await look(one);
  const graph = { steps: [{ key: "only", task: "demo" }] };
  await createRun(database, graph, {}, { job: "etl", state: "succeeded" });
  await createRun(database, graph, {}, { job: "removed", state: "failed" });
  await createRun(database, graph, {}, { state: "succeeded" });
  await createRun(database, graph, {}, { job: "etl", state: "running" });
  await untilCounted(3, one);
  const shown = parseMetrics(await one.meters.text());
  const runs = shown.find(({ name }) => name === "taskq_runs_completed_total")?.samples ?? [];
  expect(runs.map(({ labels, value }) => ({ ...labels, value }))).toEqual(
    expect.arrayContaining([
      { job: "etl", outcome: "succeeded", value: 1 },
      { job: "other", outcome: "failed", value: 1 },
      { job: "none", outcome: "succeeded", value: 1 },
    ]),
  );
  expect(runs).toHaveLength(3);
});

test("CloudWatch is given values that stand for all, at most a hundred", async () => {
  const lines: MetricValues[] = [];
  const one = counting((values) => lines.push(values));
  await look(one);
  const tasks = Array.from({ length: 1_000 }, (_, nth) => ({
    state: "succeeded" as const,
    startedMsAgo: nth < 900 ? 100 : 10_000,
    dueInMs: -20_000,
    createdMsAgo: 20_000,
  }));
  await createTasks(database, tasks);
  lines.length = 0;
  await untilCounted(1_000, one);
  const { RunSeconds: runs, QueueWaitSeconds: waits } = lines.at(-1) ?? {};
  if (!Array.isArray(runs) || !Array.isArray(waits)) throw new Error("expected lists");
  expect([runs.length, waits.length]).toEqual([100, 100]);
  expect(runs.filter((seconds) => seconds > 9 && seconds < 11)).toHaveLength(10);
  expect(runs.filter((seconds) => seconds > 0.09 && seconds < 0.11)).toHaveLength(90);
});
