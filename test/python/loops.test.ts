/** Tasks that workers of Python run, with a worker of TaskIQ that the test plays: it receives messages and writes results. */
import { GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { systemClock } from "../../runtime/clock.ts";
import { definePythonTask } from "../../runtime/define/python-task.ts";
import { createRegistry } from "../../runtime/define/registry.ts";
import type { ExecutorLoop } from "../../runtime/executor/loop.ts";
import type { Graph } from "../../runtime/model/graph.ts";
import type { TaskError } from "../../runtime/model/task.ts";
import { wireIdOfAttempt } from "../../runtime/python/call.ts";
import { createPythonLoops } from "../../runtime/python/loops.ts";
import type { QueueSet } from "../../runtime/queue/queue-set.ts";
import { decodeMessage, type TaskiqMessage } from "../../runtime/wire/message.ts";
import { encodeResult } from "../../runtime/wire/result.ts";
import { createRun, stepId } from "../support/runs.ts";
import { ask, createTask, readAttemptLog, readTask } from "../support/tasks.ts";
import { useRig } from "../worker/rig.ts";

const BASE = "results/ml";
const rig = useRig({ queues: ["default", { name: "ml", wire: "taskiq", results: { basePath: `${BASE}/` } }] });

const TASKS = createRegistry([
  definePythonTask({ name: "pkg.tasks:predict", input: z.unknown(), queue: "ml", retry: { backoffMs: 0 } }),
]);

let s3: S3Client;
let loops: readonly ExecutorLoop[];
let rung: string[];

beforeAll(() => {
  const { endpoint, region, credentials } = rig.aws;
  s3 = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
});
beforeEach(async () => {
  rung = [];
  loops = loopsWith(rig.queues);
  await ask(rig.database, "delete from taskiq.turn");
});
afterAll(() => s3.destroy());

function loopsWith(queues: QueueSet): readonly ExecutorLoop[] {
  return createPythonLoops({
    database: rig.database,
    payloads: rig.payloads,
    queues,
    registry: TASKS,
    ring: (doorbells) => void rung.push(...doorbells.map(({ id }) => id)),
    log: rig.log,
    clock: systemClock,
    inlinePayloadBytes: 1_000,
    maxPayloadBytes: 1_000_000,
    // Turns are taken as often as a test asks.
    intervalMs: 0,
  });
}

const [HAND_OUT, COLLECT] = [0, 1];
const handOut = () => loops[HAND_OUT]?.step();
const collect = () => loops[COLLECT]?.step();

type Received = { readonly message: TaskiqMessage; readonly key: string };

/** What the worker of Python gets: messages that are not doorbells, followed to S3 where they only point there. */
async function receive(): Promise<Received[]> {
  const deliveries = await rig.queue("ml").receive({ max: 10, waitMs: 0 });
  await rig.queue("ml").remove(deliveries.map(({ receiptHandle }) => receiptHandle));
  return await Promise.all(
    deliveries.map(async ({ body, attributes }) => {
      const place = attributes.s3_extended_message === undefined ? null : JSON.parse(body);
      const text = place === null ? body : await read(place.s3_bucket, place.s3_key);
      const decoded = decodeMessage(text);
      if (decoded.kind !== "foreign") throw new Error(`expected a task, got ${decoded.kind}`);
      return { message: decoded.message, key: `${BASE}/${decoded.message.taskId}` };
    }),
  );
}

async function read(bucket: string, key: string): Promise<string> {
  const object = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
  return (await object.Body?.transformToString()) ?? "";
}

const write = (key: string, body: string) =>
  s3.send(new PutObjectCommand({ Bucket: rig.aws.bucket, Key: key, Body: body }));
const value = (resultText: string) =>
  encodeResult({ outcome: "succeeded", resultText, error: null, executionMs: 10, labels: null });
const failure = (error: TaskError) =>
  encodeResult({ outcome: "failed", resultText: null, error, executionMs: 10, labels: null });

const create = (columns: object = {}) =>
  createTask(rig.database, { name: "pkg.tasks:predict", queue: "ml", backoffMs: 0, maxBackoffMs: 0, ...columns });

test("a task goes over as a whole message, and its result completes the row", async () => {
  const id = await create({ input: '{"x":1.0,"y":[2]}', labels: '{"team":"ml"}', timeoutMs: 90_000 });
  await handOut();
  expect(await readTask(rig.database, id)).toMatchObject({ state: "running", attempt: 1, worker: "python:ml" });
  const [call] = await receive();
  expect(call?.message).toMatchObject({
    taskId: wireIdOfAttempt({ id, attempt: 1 }),
    taskName: "pkg.tasks:predict",
    argsText: "[]",
    kwargsText: '{"x":1.0,"y":[2]}',
  });
  expect([...(call?.message.labels ?? [])].map(([name, label]) => [name, label.value])).toEqual([
    ["team", "ml"],
    ["timeout", 90],
  ]);
  await collect();
  expect(await readTask(rig.database, id)).toMatchObject({ state: "running" });
  await write(call?.key ?? "", value("18446744073709551616"));
  await collect();
  expect(await readTask(rig.database, id)).toMatchObject({ state: "succeeded", result: "18446744073709551616" });
  // Taken, and gone: the next look is not longer by it.
  expect(await rig.payloads.listAt(`${BASE}/`, 10)).toEqual([]);
  expect(await receive()).toEqual([]);
});

test.each([
  ["null", "[]"],
  ["[1,2]", "[[1,2]]"],
  ['"text"', '["text"]'],
])("an input that is no object (%s) is the one positional argument", async (input, args) => {
  await create({ input: input === "null" ? null : input });
  await handOut();
  const [call] = await receive();
  expect(call?.message).toMatchObject({ argsText: args, kwargsText: "{}" });
});

test("a large input goes by S3, and a large result comes back into the payload store", async () => {
  const text = JSON.stringify({ x: "y".repeat(250_000) });
  const id = await create({ inputRef: await rig.payloads.put("0199e1c0-5a5c-7000-8000-000000000009", text) });
  await handOut();
  const [call] = await receive();
  expect(call?.message.kwargsText).toBe(text);
  await write(call?.key ?? "", value(text));
  await collect();
  const [row] = await ask<{ result_ref: string | null }>(
    rig.database,
    "select result_ref from taskiq.task where id = $1 and state = 'succeeded'",
    [id],
  );
  expect(await rig.payloads.get(row?.result_ref ?? "")).toBe(text);
  expect(await rig.payloads.listAt(`${BASE}-extended/`, 10)).toEqual([]);
});

test("an error of Python is a failure by the task's policy, and each attempt has an id of its own", async () => {
  const id = await create({ input: "{}", maxAttempts: 2 });
  const keys: string[] = [];
  for (const attempt of [1, 2]) {
    await handOut();
    const [call] = await receive();
    keys.push(call?.key ?? "");
    await write(call?.key ?? "", failure({ code: "handler_error", type: "ValueError", message: `bad ${attempt}` }));
    await collect();
  }
  expect(new Set(keys).size).toBe(2);
  const row = await readTask(rig.database, id);
  expect(row).toMatchObject({ state: "failed", attempt: 2, failures: 2 });
  expect(JSON.parse(row.error ?? "")).toMatchObject({ code: "handler_error", type: "ValueError", message: "bad 2" });
});

test("an attempt without a result is over at its timeout, and its late result counts for nothing", async () => {
  const id = await create({ input: "{}", maxAttempts: 2, timeoutMs: 60_000 });
  await handOut();
  const [late] = await receive();
  await ask(rig.database, "update taskiq.task set started_at = now() - interval '61 seconds' where id = $1", [id]);
  await collect();
  expect(await readTask(rig.database, id)).toMatchObject({ state: "queued", attempt: 1, failures: 1 });
  await handOut();
  const [call] = await receive();
  await write(late?.key ?? "", value('"late"'));
  await collect();
  expect(await readTask(rig.database, id)).toMatchObject({ state: "running", attempt: 2 });
  await write(call?.key ?? "", value('"in time"'));
  await collect();
  expect(await readTask(rig.database, id)).toMatchObject({ state: "succeeded", result: '"in time"' });
  expect(await readAttemptLog(rig.database, id)).toMatchObject([{ attempt: 1, outcome: "retried" }]);
});

test("a cancelled one ends at once, whatever Python goes on with", async () => {
  const id = await create({ input: "{}" });
  await handOut();
  await ask(rig.database, "update taskiq.task set cancel_requested_at = now() where id = $1", [id]);
  await collect();
  expect(await readTask(rig.database, id)).toMatchObject({ state: "cancelled" });
});

test("a result that cannot be read is a failure that says so", async () => {
  const id = await create({ input: "{}", maxAttempts: 1 });
  await handOut();
  const [call] = await receive();
  await write(call?.key ?? "", '{"is_err": "perhaps"}');
  await collect();
  const row = await readTask(rig.database, id);
  expect(JSON.parse(row.error ?? "")).toMatchObject({
    code: "result_unreadable",
    message: expect.stringContaining("is_err"),
  });
});

test("a message that SQS does not take gives the attempt back at no cost", async () => {
  const id = await create({ input: "{}" });
  const refusing = {
    ...rig.queues,
    names: rig.queues.names,
    get: (name: string) => {
      const queue = rig.queues.get(name);
      return (
        queue && { ...queue, name, send: async () => [{ kind: "failed", code: "throttled", message: "slow" } as never] }
      );
    },
  };
  await loopsWith(refusing)[HAND_OUT]?.step();
  expect(await readTask(rig.database, id)).toMatchObject({ state: "queued", failures: 0, losses: 0 });
  await handOut();
  expect(await receive()).toHaveLength(1);
});

test("what is paused, not due, or no task of Python stays where it is", async () => {
  await create({ dueInMs: 60_000 });
  await create({ name: "demo" });
  await handOut();
  expect(await receive()).toEqual([]);
  await create();
  await ask(rig.database, "insert into taskiq.paused_queue (queue) values ('ml')");
  await handOut();
  expect(await receive()).toEqual([]);
  await ask(rig.database, "delete from taskiq.paused_queue");
  await handOut();
  expect(await receive()).toHaveLength(1);
});

test("a step gets what it refers to, and its result goes on in the graph", async () => {
  const graph: Graph = {
    steps: [
      { key: "load", task: "demo" },
      { key: "predict", task: "pkg.tasks:predict", queue: "ml", input: { rows: { $ref: "load.rows" } } },
      { key: "save", task: "demo", input: { $ref: "predict" } },
    ],
  };
  const plan = JSON.stringify({ refers: true });
  const runId = await createRun(rig.database, graph, {
    load: { state: "succeeded", result: '{"rows":[1,2]}' },
    predict: { queue: "ml", input: '{"rows":{"$ref":"load.rows"}}', step: plan },
    save: { state: "blocked", pendingParents: 1, input: '{"$ref":"predict"}', step: plan },
  });
  await ask(rig.database, "insert into taskiq.edge (parent, child) values ($1, $2)", [
    stepId(runId, "predict"),
    stepId(runId, "save"),
  ]);
  await handOut();
  const [call] = await receive();
  expect(call?.message.kwargsText).toBe('{"rows":[1,2]}');
  await write(call?.key ?? "", value("[0.5]"));
  await collect();
  expect(await readTask(rig.database, stepId(runId, "predict"))).toMatchObject({ state: "succeeded", result: "[0.5]" });
  expect(await readTask(rig.database, stepId(runId, "save"))).toMatchObject({ state: "queued" });
  expect(rung).toEqual([stepId(runId, "save")]);
});
