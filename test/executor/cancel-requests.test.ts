import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { createCancelRequests } from "../../runtime/executor/cancel-requests.ts";
import { openLog } from "../../runtime/log.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import type { Queue } from "../../runtime/queue/queue.ts";
import { openQueue } from "../../runtime/queue/sqs.ts";
import { taskIdOf } from "../../runtime/wire/task-id.ts";
import { startTestAws, type TestAws } from "../support/aws.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { ask, clearTasks, createTask, createTasks, readTask } from "../support/tasks.ts";

let testDatabase: TestDatabase;
let database: Database;
let aws: TestAws;
let queue: Queue;
let lines: { event: string }[] = [];
const log = openLog({ level: "info", format: "json", service: "t", write: (line) => lines.push(JSON.parse(line)) });

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 4, applicationName: "cancel-requests test" });
  aws = await startTestAws({ queues: ["cancel"] });
  const { endpoint, region, credentials } = aws;
  queue = openQueue({ endpoint, region, credentials, name: "cancel", url: aws.queueUrl("cancel") });
});

beforeEach(async () => {
  await clearTasks(database);
  lines = [];
});

afterAll(async () => {
  await aws.stop();
  await database.close();
  await testDatabase.drop();
});

const send = (...bodies: unknown[]) =>
  queue.send(bodies.map((body) => ({ body: typeof body === "string" ? body : JSON.stringify(body) })));
const step = () => createCancelRequests({ queue, database, log }).step();
const left = () => aws.inspectQueue("taskiq-cancel");

test("a request cancels what waits, flags what runs, and refuses what has not come yet", async () => {
  const [waiting, running] = await createTasks(database, [{}, { state: "running" }]);
  const absent = randomUUID();
  await send({ task_id: waiting, reason: "not needed" }, { task_id: running }, { task_id: absent });
  await step();
  expect(await readTask(database, waiting!)).toMatchObject({ state: "cancelled" });
  expect(await readTask(database, running!)).toMatchObject({ state: "running", cancel_requested: true });
  expect(await ask(database, "select id from taskiq.tombstone")).toEqual([{ id: absent }]);
  expect(left()).toMatchObject({ ready: [], inflight: [] });
});

test("a task that came while its tombstone was made is cancelled by the next look", async () => {
  const id = await createTask(database);
  await ask(database, "insert into taskiq.tombstone (id, reason) values ($1, 'too early')", [id]);
  await send({ task_id: randomUUID() });
  await step();
  expect(await readTask(database, id)).toMatchObject({ state: "cancelled" });
  expect(await ask(database, "select id from taskiq.tombstone where id = $1", [id])).toEqual([]);
});

test("a producer may name the task by the id it chose itself", async () => {
  const chosen = "order 17/ü";
  const { id, wireId } = taskIdOf(chosen);
  await createTask(database, { id, wireId });
  await send({ task_id: chosen });
  await step();
  expect(await readTask(database, id)).toMatchObject({ state: "cancelled" });
});

test("a request that comes again, or twice in one batch, changes nothing", async () => {
  const id = await createTask(database, { state: "succeeded" });
  await send({ task_id: id }, { task_id: id });
  await step();
  await send({ task_id: id });
  await step();
  expect(await readTask(database, id)).toMatchObject({ state: "succeeded", cancel_requested: false });
});

test.each([
  ["no JSON", "stop it"],
  ["no id", {}],
  ["an id that is no text", { task_id: 17 }],
  ["another field", { task_id: randomUUID(), force: true }],
])("a message with %s is logged and deleted, and does not hold up the others", async (_name, body) => {
  const id = await createTask(database);
  await send(body, { task_id: id });
  await step();
  expect(await readTask(database, id)).toMatchObject({ state: "cancelled" });
  expect(lines.filter(({ event }) => event === "cancel.unreadable")).toHaveLength(1);
  expect(left()).toMatchObject({ ready: [], inflight: [] });
});

test("while the database is away the request stays in the queue", async () => {
  const id = await createTask(database);
  await send({ task_id: id });
  const failed = () => Promise.reject(new Error("Connection terminated unexpectedly"));
  const away = { query: failed, transaction: failed };
  await expect(createCancelRequests({ queue, database: away, log }).step()).rejects.toThrow("terminated");
  expect(left().inflight).toHaveLength(1);
});
