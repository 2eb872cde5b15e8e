import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import type { MetricValues } from "../../runtime/metrics/emf.ts";
import { createExecutorMetrics } from "../../runtime/metrics/executor-metrics.ts";
import { createMeters, type Meters } from "../../runtime/metrics/meters.ts";
import type { Database } from "../../runtime/postgres/pool.ts";
import { openDatabase } from "../../runtime/postgres/pool.ts";
import type { Queue } from "../../runtime/queue/queue.ts";
import { createQueueSet, type QueueSet } from "../../runtime/queue/queue-set.ts";
import { beat } from "../../runtime/worker/registry.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { ask, clearTasks, createTasks } from "../support/tasks.ts";

const INTERVAL_MS = 20_000;

let testDatabase: TestDatabase;
let database: Database;
let lines: [MetricValues, string | undefined][] = [];
const emf = { put: (values: MetricValues, queue?: string) => void lines.push([values, queue]) };

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 4, applicationName: "metrics test" });
});

afterEach(async () => {
  await clearTasks(database);
  await ask(database, "delete from taskiq.worker");
  await ask(database, "delete from taskiq.turn");
  lines = [];
});

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

/** A queue of which only the depth is asked. */
function holding(name: string, depth: Queue["depth"]): Queue {
  return { name, url: `http://localhost/${name}`, depth } as Queue;
}

const empty = async () => ({ visible: 0, inFlight: 0, delayed: 0 });

function queuesWith(depth: Queue["depth"] = empty, dead: Queue["depth"] = empty): QueueSet {
  return createQueueSet([{ queue: holding("default", depth), deadLetter: holding("default-dead-letter", dead) }]);
}

function metricsOf(queues: QueueSet = queuesWith(), meters: Meters = createMeters(["executor"]), clock = systemClock) {
  return createExecutorMetrics({ emf, meters, database, queues, intervalMs: INTERVAL_MS, clock });
}

async function shown(meters: Meters): Promise<string[]> {
  return (await meters.text()).split("\n").filter((line) => /^taskq_(?!.*(total|retry|pool|http|payload))/.test(line));
}

async function worker(name: string, running: number, slots: number): Promise<void> {
  await beat(database, { name, version: "1", queues: ["default"], slots, running, draining: false, revision: null });
}

/** The last turn was so long ago. */
async function turnTakenAgo(ms: number): Promise<void> {
  await ask(database, "update taskiq.turn set taken_at = now() - make_interval(secs => $1)", [ms / 1_000]);
}

test("writes the whole system's metrics, and a line for each queue", async () => {
  await worker("w-1", 3, 5);
  await worker("w-2", 0, 5);
  await createTasks(database, [{ attempt: 3 }, {}]);
  const depth = async () => ({ visible: 7, inFlight: 2, delayed: 1 });
  const dead = async () => ({ visible: 4, inFlight: 0, delayed: 0 });
  expect(await metricsOf(queuesWith(depth, dead)).step()).toBe(false);
  expect(lines).toEqual([
    [
      {
        Backlog: expect.any(Number),
        OldestQueuedSeconds: expect.any(Number),
        Workers: 2,
        BusyRatio: 0.3,
        OutboxPending: 0,
        OutboxOldestSeconds: 0,
        StrugglingTasks: 1,
      },
      undefined,
    ],
    [{ Visible: 7, InFlight: 2, DeadLettered: 4 }, "default"],
  ]);
  expect(lines[0]?.[0].Backlog).toBeGreaterThanOrEqual(7);
  expect(lines[0]?.[0].OldestQueuedSeconds).toBeLessThan(60);
});

test("shows the same figures to Prometheus, until another process has newer ones", async () => {
  await worker("w-1", 3, 5);
  await createTasks(database, [{ attempt: 3 }, {}]);
  const depth = async () => ({ visible: 7, inFlight: 2, delayed: 1 });
  const [meters, clock] = [createMeters(["executor"]), createManualClock()];
  const metrics = metricsOf(queuesWith(depth), meters, clock);
  expect(await shown(meters)).toEqual([]);
  await metrics.step();
  expect(await shown(meters)).toEqual([
    expect.stringMatching(/^taskq_backlog_tasks [789]$/),
    expect.stringMatching(/^taskq_oldest_queued_seconds \d/),
    "taskq_workers_alive 1",
    "taskq_busy_ratio 0.6",
    "taskq_struggling_tasks 1",
    "taskq_outbox_pending 0",
    "taskq_outbox_lag_seconds 0",
    'taskq_queue_messages{queue="default",state="visible"} 7',
    'taskq_queue_messages{queue="default",state="in_flight"} 2',
    'taskq_dlq_messages{queue="default"} 0',
  ]);
  // The turn is another's from now on.
  await metrics.step();
  await clock.advance(1.4 * INTERVAL_MS);
  expect(await shown(meters)).toHaveLength(10);
  await clock.advance(0.2 * INTERVAL_MS);
  expect(await shown(meters)).toEqual([]);
});

test("says that workers are busy where there are none, and that nothing is old where nothing waits", async () => {
  await metricsOf().step();
  expect(lines[0]?.[0]).toMatchObject({ Workers: 0, BusyRatio: 1, OldestQueuedSeconds: 0, Backlog: 0 });
});

test("leaves out the depth of a dead-letter queue that does not answer", async () => {
  await metricsOf(queuesWith(empty, () => Promise.reject(new Error("no answer")))).step();
  expect(lines[1]).toEqual([{ Visible: 0, InFlight: 0, DeadLettered: undefined }, "default"]);
});

test("writes nothing when a queue does not answer: half a backlog would look like a small one", async () => {
  const silent = () => Promise.reject(new Error("no answer"));
  await expect(metricsOf(queuesWith(silent)).step()).rejects.toThrow("no answer");
  expect(lines).toEqual([]);
});

describe("of any number of processes", () => {
  test("one writes in an interval", async () => {
    await Promise.all(Array.from({ length: 8 }, () => metricsOf().step()));
    expect(lines).toHaveLength(2);
    await metricsOf().step();
    expect(lines).toHaveLength(2);
  });

  test("another goes on when that one is gone, before an interval is without a line", async () => {
    const [first, second] = [metricsOf(), metricsOf()];
    await first.step();
    await turnTakenAgo(0.7 * INTERVAL_MS);
    await second.step();
    expect(lines).toHaveLength(2);
    await turnTakenAgo(0.8 * INTERVAL_MS);
    await second.step();
    expect(lines).toHaveLength(4);
    // Asked so often that the next line comes before the interval is over.
    expect(second.intervalMs + 0.75 * INTERVAL_MS).toBeLessThan(INTERVAL_MS);
  });
});
