/** There are two ways to write a task, the API's statement and the function for SQL: no column of the rows they make may differ. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { systemClock as clock } from "../../runtime/clock.ts";
import { chainMiddlewares } from "../../runtime/define/middleware.ts";
import { createRegistry } from "../../runtime/define/registry.ts";
import { defineTask } from "../../runtime/define/task.ts";
import { type EnqueueOptions, enqueue } from "../../runtime/enqueue/index.ts";
import { publish } from "../../runtime/enqueue/publish.ts";
import type { Announcer } from "../../runtime/flow/announce.ts";
import { createSubmitter, type Submitter } from "../../runtime/flow/submit.ts";
import { openLog } from "../../runtime/log.ts";
import { DEFAULT_QUEUE_OPTIONS, type QueueOptions } from "../../runtime/model/queue.ts";
import type { PayloadStore } from "../../runtime/payload/payload.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import type { Queue } from "../../runtime/queue/queue.ts";
import { createQueueSet } from "../../runtime/queue/queue-set.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { ask } from "../support/tasks.ts";

const resize = defineTask({
  name: "images.resize",
  input: z.unknown(),
  queue: "ranked",
  priority: 3,
  retry: { maxAttempts: 7, backoffMs: 11, maxBackoffMs: 13 },
  timeoutMs: 17,
  graceMs: 19,
  maxLosses: 2,
  onLost: "fail",
  run: () => null,
});
const limited = defineTask({
  name: "limited",
  input: z.unknown(),
  limits: [
    { key: "all", maxRunning: 2, perSecond: 4 },
    { key: "b", maxRunning: 3 },
  ],
  run: () => null,
});
const QUEUES: readonly { readonly name: string; readonly options: QueueOptions }[] = [
  { name: "default", options: DEFAULT_QUEUE_OPTIONS },
  { name: "ranked", options: { ...DEFAULT_QUEUE_OPTIONS, order: "priority" } },
  { name: "narrow", options: { ...DEFAULT_QUEUE_OPTIONS, maxRunning: 5, perSecond: 2 } },
  { name: "ordered", options: { ...DEFAULT_QUEUE_OPTIONS, type: "fifo" } },
];

let testDatabase: TestDatabase;
let database: Database;
let submitter: Submitter;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 3, applicationName: "same row test" });
  const limits = { inlinePayloadBytes: 65_536, maxDelayMs: 86_400_000, idempotencyTtlMs: 60_000 };
  const registry = createRegistry([resize, limited]);
  await publish(database, { registry, queues: QUEUES, ...limits }, clock);
  const log = openLog({ level: "error", format: "json", service: "test", write: () => {} });
  // Only rows are compared: nothing is sent, and nothing is so large that it is stored elsewhere.
  const announcer = { ring: () => {} } as unknown as Announcer;
  const queueOf = (name: string) => ({ name }) as unknown as Queue;
  submitter = createSubmitter({
    database,
    payloads: {} as PayloadStore,
    announcer,
    registry,
    middlewares: chainMiddlewares([], log),
    queues: createQueueSet(QUEUES.map(({ name, options }) => ({ queue: queueOf(name), deadLetter: null, options }))),
    maxPayloadBytes: 1_000_000,
    groupCommitMs: 0,
    ...limits,
  });
});

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

/** The row, with times as distances from its creation and the id left out wherever it stands. */
async function rowOf(id: string): Promise<{ readonly limitKeys: readonly string[] }> {
  const [found] = await ask<{ task: Record<string, unknown>; outbox: Record<string, unknown> }>(
    database,
    `select to_jsonb(t) as task, to_jsonb(o) - 'id' - 'send_at' - 'created_at' as outbox
       from taskiq.task t join taskiq.outbox o on o.task_id = t.id where t.id = $1`,
    [id],
  );
  const task = found?.task;
  const from = Date.parse(String(task?.created_at));
  const distances = Object.entries(task ?? {}).map(([name, value]) => {
    if (typeof value !== "string" || !/^\d{4}-\d\d-\d\dT/.test(value)) return [name, value];
    return [name, Math.round((Date.parse(value) - from) / 1_000)];
  });
  // Sorted, as the table is read.
  const limitKeys = ((task?.limit_keys ?? []) as string[]).toSorted();
  return JSON.parse(JSON.stringify({ ...found, limitKeys, task: Object.fromEntries(distances) }).replaceAll(id, "ID"));
}

test.each<[string, EnqueueOptions, unknown, typeof resize?]>([
  ["nothing but the task", {}, { a: 1 }],
  ["no input", {}, null],
  ["a plain queue", { queue: "default", priority: -100 }, 0],
  ["a FIFO queue", { queue: "ordered" }, [1]],
  ["an ordering key", { queue: "ordered", orderingKey: "key" }, [1]],
  ["a long ordering key of another tenant", { queue: "ordered", orderingKey: "ä".repeat(200), tenant: "acme" }, [1]],
  ["a delay", { delayMs: 3_600_000 }, "x"],
  [
    "labels and a trace",
    { labels: { z: "1", a: "\"ä'" }, traceContext: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" },
    "x",
  ],
  ["no labels in an object of labels", { labels: {} }, "x"],
  ["a queue with limits", { queue: "narrow" }, "x"],
  ["limits of its own", {}, "x", limited],
  ["limits on a queue with limits", { queue: "narrow" }, "x", limited],
])("a task with %s is the same row, whoever writes it", async (_name, options, input, task = resize) => {
  const { tenant = "default", ...request } = options;
  const { ids } = await submitter.submit([{ task: task.name, input, ...request }], { tenant });
  const submitted = await rowOf(String(ids[0]));
  const byDefinition = await database.transaction((tx) => enqueue(tx.raw, task, input, options));
  expect(await rowOf(byDefinition)).toEqual(submitted);
  const byName = await database.transaction((tx) => enqueue(tx.raw, task.name, input, options));
  expect(await rowOf(byName)).toEqual(submitted);
  const limits = await ask(database, "select key, max, interval_ms from taskiq.limit_key order by key");
  await ask(database, "delete from taskiq.limit_key");
  await database.transaction((tx) => enqueue(tx.raw, task.name, input, options));
  const again = await ask(database, "select key, max, interval_ms from taskiq.limit_key order by key");
  for (const limit of again) expect(limits).toContainEqual(limit);
  expect(again.map(({ key }) => key)).toEqual(submitted.limitKeys);
});
