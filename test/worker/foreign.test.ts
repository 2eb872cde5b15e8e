/** Tasks that come as messages of other producers, from the queue to the result where these look for it. */
import { createHash, randomUUID } from "node:crypto";
import { GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import type { Context } from "../../runtime/define/context.ts";
import type { AnyTask } from "../../runtime/define/registry.ts";
import { defineTask } from "../../runtime/define/task.ts";
import { TaskiqError } from "../../runtime/errors.ts";
import { createAnnouncer } from "../../runtime/flow/announce.ts";
import type { AcceptOptions } from "../../runtime/model/queue.ts";
import type { Database } from "../../runtime/postgres/pool.ts";
import type { Queue } from "../../runtime/queue/queue.ts";
import { encodeLabel, type Label, type LabelValue } from "../../runtime/wire/label.ts";
import { encodeMessage } from "../../runtime/wire/message.ts";
import { type DecodedResult, decodeResult } from "../../runtime/wire/result.ts";
import { taskIdOf } from "../../runtime/wire/task-id.ts";
import { ask, readTask, readTasks, type TaskRow } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { useRig } from "./rig.ts";

const ACCEPTS: AcceptOptions = { tasks: null, tenant: "python", extendedPrefix: "big/" };
const RESULTS = { basePath: "results/of/python" };

const rig = useRig({
  queues: [
    { name: "default", accepts: ACCEPTS, results: RESULTS },
    { name: "closed" },
    { name: "some", accepts: { ...ACCEPTS, tasks: ["echo"] } },
    { name: "lines", type: "fifo", accepts: ACCEPTS, results: RESULTS },
    { name: "tenants", fair: true, accepts: ACCEPTS, results: RESULTS },
    { name: "best", order: "priority", accepts: ACCEPTS, results: RESULTS },
    { name: "few", maxRunning: 1, accepts: ACCEPTS, results: RESULTS },
  ],
});

/** What ran, in order. */
let ran: { readonly id: string; readonly input: unknown; readonly ctx: Context }[] = [];
let s3: S3Client;

beforeAll(() => {
  const { endpoint, region, credentials } = rig.aws;
  s3 = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
});
beforeEach(() => {
  ran = [];
});
afterAll(() => s3.destroy());

const seen = <Input>(input: Input, ctx: Context): Input => {
  ran.push({ id: ctx.taskId, input, ctx });
  return input;
};

const TASKS: readonly AnyTask[] = [
  defineTask({
    name: "add",
    input: z.object({ a: z.coerce.number(), b: z.coerce.number().default(1) }),
    run: (input, ctx) => seen(input, ctx).a + input.b,
  }),
  defineTask({ name: "echo", input: z.unknown(), run: seen }),
  defineTask({
    name: "fail",
    input: z.object({ why: z.string() }),
    retry: { backoffMs: 0, maxBackoffMs: 0 },
    run: (input, ctx) => {
      seen(input, ctx);
      throw new RangeError(input.why);
    },
  }),
  defineTask({ name: "command", input: z.unknown(), run: seen }),
  defineTask({
    name: "hang",
    input: z.unknown(),
    run: (input, ctx) => {
      seen(input, ctx);
      return new Promise((_, reject) => ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason)));
    },
  }),
];

type Call = {
  readonly id?: string;
  readonly task: string;
  readonly args?: readonly unknown[];
  readonly kwargs?: object;
  readonly labels?: Readonly<Record<string, LabelValue>>;
};

function messageOf({ id = hex(), task, args = [], kwargs = {}, labels = {} }: Call) {
  const coded = new Map<string, Label>(Object.entries(labels).map(([name, value]) => [name, encodeLabel(value)]));
  return {
    id,
    rowId: taskIdOf(id).id,
    body: encodeMessage({
      taskId: id,
      taskName: task,
      labels: coded,
      argsText: JSON.stringify(args),
      kwargsText: JSON.stringify(kwargs),
    }),
  };
}

/** Messages in the queue, received or not. */
const held = (): number => rig.held().inflight.length + rig.held().ready.length;

/** What is given back for later comes back at once. */
function hurried(queue: Queue): Queue {
  return {
    ...queue,
    receive: (options) => queue.receive({ ...options, waitMs: 40 }),
    changeVisibility: (changes) => queue.changeVisibility(changes.map((change) => ({ ...change, visibilityMs: 0 }))),
  };
}

const hex = () => randomUUID().replaceAll("-", "");

async function send(call: Call, queue = "default") {
  const message = messageOf(call);
  const groupId = queue === "default" ? undefined : "g";
  await rig.send([{ body: message.body, ...(groupId && queue !== "best" && queue !== "few" && { groupId }) }], queue);
  return message;
}

const start = (settings = {}) => rig.start({ tasks: TASKS, settings });

async function ended(rowId: string): Promise<TaskRow> {
  return await until(
    async () => {
      await announce();
      const row = await readTask(rig.database, rowId).catch(() => null);
      return row?.finished === true && row;
    },
    { what: `the end of ${rowId}` },
  );
}

/** As the executor's loop does it: rings again for retries, writes results. */
async function announce(): Promise<void> {
  const { database, queues, payloads, log } = rig;
  await createAnnouncer({ database, queues, payloads, log }).announceDue(100);
}

/** As Python's client reads it. */
async function resultOf(id: string): Promise<DecodedResult> {
  await announce();
  const object = await s3.send(new GetObjectCommand({ Bucket: rig.aws.bucket, Key: `${RESULTS.basePath}/${id}` }));
  return decodeResult((await object.Body?.transformToString()) ?? "");
}

describe("a call of another producer", () => {
  test("runs once, with its arguments by name, and its result is where the producer looks", async () => {
    const labels = { n: 7, f: 0.5, b: true, s: "x", big: 2n ** 70n };
    const { id, rowId } = await send({ task: "add", args: ["2"], kwargs: { b: 40 }, labels });
    start();
    expect(await ended(rowId)).toMatchObject({ state: "succeeded", attempt: 1, tenant: "python", queue: "default" });
    expect(ran).toMatchObject([{ id: rowId, input: { a: 2, b: 40 } }]);
    expect(ran[0]?.ctx.labels).toEqual({ n: "7", f: "0.5", b: "true", s: "x", big: String(2n ** 70n) });
    const result = await resultOf(id);
    expect(result).toMatchObject({ kind: "value", text: "42" });
    expect(result.kind === "value" && result.labels).toBe(`{"n":7,"f":0.5,"b":true,"s":"x","big":${2n ** 70n}}`);
    await until(() => held() === 0);
  });

  test.each<[string, Call, unknown]>([
    [
      "one positional argument is the input of a task without named members",
      { task: "echo", args: [[1, { a: null }]] },
      [1, { a: null }],
    ],
    ["named arguments are an object", { task: "echo", kwargs: { a: 1 } }, { a: 1 }],
    ["no arguments are none", { task: "echo" }, null],
    ["defaults of the schema hold", { task: "add", args: [1] }, { a: 1, b: 1 }],
  ])("%s", async (_what, call, input) => {
    const { rowId } = await send(call);
    start();
    expect(await ended(rowId)).toMatchObject({ state: "succeeded" });
    expect(ran.map((one) => one.input)).toEqual([input]);
  });

  test.each<[string, Call, RegExp]>([
    ["too many positional ones", { task: "add", args: [1, 2, 3] }, /takes 2 positional arguments \(a, b\) but 3/],
    ["one twice", { task: "add", args: [1], kwargs: { a: 2 } }, /multiple values for argument 'a'/],
    ["two where one is the input", { task: "echo", args: [1, 2] }, /takes one positional argument/],
    ["a number that would be rounded", { task: "echo", args: [{ n: 2 ** 53 }] }, /double holds exactly/],
  ])("whose arguments do not fit (%s) fails with Python's words, and never runs", async (_what, call, why) => {
    const message = messageOf(call);
    const body = message.body.replace("9007199254740992", "9007199254740993");
    await rig.send([{ body }]);
    start();
    const row = await ended(message.rowId);
    expect(row).toMatchObject({ state: "failed", attempt: 0 });
    expect(JSON.parse(row.error ?? "")).toMatchObject({
      code: "arguments_invalid",
      message: expect.stringMatching(why),
    });
    expect(await resultOf(message.id)).toMatchObject({ kind: "error", error: { type: "TypeError" } });
    expect(ran).toEqual([]);
    expect(rig.events("task.failed")).toMatchObject([{ taskId: message.rowId, code: "arguments_invalid" }]);
  });

  test("whose input the schema refuses fails with the reason", async () => {
    const { id, rowId } = await send({ task: "add", args: ["two"] });
    start();
    expect(await ended(rowId)).toMatchObject({ state: "failed" });
    const result = await resultOf(id);
    expect(result).toMatchObject({ kind: "error", error: { message: expect.stringContaining("input.a") } });
  });

  test("is tried as often as max_retries says, and its error comes back with the count", async () => {
    const { id, rowId } = await send({ task: "fail", kwargs: { why: "no luck" }, labels: { max_retries: 2 } });
    start();
    expect(await ended(rowId)).toMatchObject({ state: "failed", failures: 2, max_attempts: 2 });
    const result = await resultOf(id);
    expect(result).toMatchObject({ kind: "error", error: { type: "RangeError", message: "no luck" } });
    expect(result.kind === "error" && JSON.parse(result.labels)).toEqual({ max_retries: 2, _retries: 2 });
  });

  test("is stopped after the seconds of its label timeout, as Python's own TimeoutError", async () => {
    const { id, rowId } = await send({ task: "hang", labels: { timeout: 0.05, max_retries: 1 } });
    start({ graceMs: 50 });
    expect(await ended(rowId)).toMatchObject({ state: "failed", timeout_ms: 50 });
    expect(await resultOf(id)).toMatchObject({ kind: "error", error: { type: "TimeoutError" } });
  });

  test.each<[string, Record<string, LabelValue>]>([
    ["timeout", { timeout: "soon" }],
    ["max_retries", { max_retries: "often" }],
    ["priority", { priority: 1.5 }],
  ])("with a label %s that says nothing fails, and says so", async (name, labels) => {
    const { rowId } = await send({ task: "echo", labels });
    start();
    const row = await ended(rowId);
    expect(JSON.parse(row.error ?? "")).toMatchObject({
      code: "label_invalid",
      message: expect.stringContaining(name),
    });
  });

  test("that is doubled, in one batch and after its end, runs once", async () => {
    const { id, rowId, body } = messageOf({ task: "echo", args: [1] });
    await rig.send([{ body }, { body }, { body }]);
    start();
    await ended(rowId);
    await rig.send([{ body }, { body: messageOf({ id, task: "echo", args: [2] }).body }]);
    await until(() => held() === 0);
    expect(ran).toHaveLength(1);
    expect(await readTasks(rig.database)).toHaveLength(1);
    expect(rig.heldDead().ready).toHaveLength(0);
  });

  test("keeps an id that is no UUID: its result is under exactly that text", async () => {
    const id = `order ${hex()}/ü`;
    const { rowId } = await send({ id, task: "echo", args: ["x"] });
    start();
    await ended(rowId);
    expect(await resultOf(id)).toMatchObject({ kind: "value", text: '"x"' });
  });

  test("that was cancelled before it came does not run, and its producer hears of it", async () => {
    const { id, rowId, body } = messageOf({ task: "echo" });
    await ask(rig.database, "insert into taskiq.tombstone (id, reason) values ($1, 'too late')", [rowId]);
    await rig.send([{ body }]);
    start();
    expect(await ended(rowId)).toMatchObject({ state: "cancelled", attempt: 0 });
    expect(await resultOf(id)).toMatchObject({ kind: "error", error: { type: "CancelledError" } });
    expect(ran).toEqual([]);
  });

  test("waits for the database when that is away, and nothing is lost", async () => {
    let asked = 0;
    const database: Database = {
      ...rig.database,
      query: (statement, params) => {
        if (!statement.text.includes("reply_labels") || ++asked > 1) return rig.database.query(statement, params);
        return Promise.reject(Object.assign(new Error("connection reset"), { code: "ECONNRESET" }));
      },
    };
    const { rowId } = await send({ task: "echo", args: [1] });
    rig.start({ tasks: TASKS, database, queues: [hurried(rig.queue())] });
    expect(await ended(rowId)).toMatchObject({ state: "succeeded", attempt: 1 });
    expect(ran).toHaveLength(1);
    expect(asked).toBe(2);
  });
});

describe("is not accepted:", () => {
  test.each<[string, Call, string, string]>([
    ["anything on a queue that accepts nothing", { task: "echo" }, "closed", "foreign_not_supported"],
    ["a task that the queue does not name", { task: "add" }, "some", "not_accepted"],
    ["a task that nobody defined", { task: "theirs" }, "default", "not_accepted"],
    ["a task of the system", { task: "taskiq.start_run" }, "default", "not_accepted"],
  ])("%s", async (_what, call, queue, reason) => {
    await rig.send([{ body: messageOf(call).body }], queue);
    start();
    const [dead] = await until(async () => {
      const letters = await rig.takeDeadLetters(queue);
      return letters.length > 0 && letters;
    });
    expect(dead?.attributes).toMatchObject({ reason, source_queue: queue });
    expect(await readTasks(rig.database)).toEqual([]);
    expect(ran).toEqual([]);
  });
});

describe("a message that is too large for SQS", () => {
  const call = { task: "echo", args: ["x".repeat(300_000)] };
  const place = (key: string, bucket = rig.aws.bucket) => ({ s3_bucket: bucket, s3_key: key });
  const put = (key: string, body: string) =>
    s3.send(new PutObjectCommand({ Bucket: rig.aws.bucket, Key: key, Body: body }));

  test.each([
    ["TaskIQ", (key: string) => ({ body: JSON.stringify(place(key)), attributes: { s3_extended_message: "True" } })],
    [
      "AWS",
      (key: string) => ({
        body: JSON.stringify([
          "software.amazon.payloadoffloading.PayloadS3Pointer",
          { s3BucketName: rig.aws.bucket, s3Key: key },
        ]),
        attributes: { ExtendedPayloadSize: "300000" },
      }),
    ],
  ])("is fetched from where %s's pointer says, and its input is kept in the payload store", async (_form, pointer) => {
    const { id, rowId, body } = messageOf(call);
    await put(`big/${id}.json`, body);
    await rig.send([pointer(`big/${id}.json`)]);
    start();
    const row = await ended(rowId);
    expect(row).toMatchObject({ state: "succeeded", input: null });
    expect(row.input_ref).toMatch(/^v1\//);
    expect(createHash("sha256").update(String(ran[0]?.input)).digest("hex")).toBe(
      createHash("sha256").update(String(call.args[0])).digest("hex"),
    );
    expect(await resultOf(id)).toMatchObject({ kind: "value", text: JSON.stringify(call.args[0]) });
  });

  test.each<[string, () => object, string]>([
    ["another bucket", () => place("big/x.json", "somebody-elses"), "foreign_pointer"],
    ["a key outside the prefix", () => place("x.json"), "foreign_pointer"],
    ["a payload of a task", () => place(`v1/2026-01-01/${randomUUID()}/${"0".repeat(64)}`), "foreign_pointer"],
    ["an object that is not there", () => place("big/gone.json"), "payload_missing"],
  ])("is poison when it points to %s, and says why", async (_what, body, reason) => {
    await rig.send([{ body: JSON.stringify(body()), attributes: { s3_extended_message: "True" } }]);
    start();
    const [dead] = await until(async () => {
      const letters = await rig.takeDeadLetters();
      return letters.length > 0 && letters;
    });
    expect(dead?.attributes).toMatchObject({ reason, s3_extended_message: "True" });
    expect(ran).toEqual([]);
  });

  test("comes back later when S3 does not answer", async () => {
    const { id, rowId, body } = messageOf(call);
    await put(`big/${id}.json`, body);
    let asked = 0;
    const away = {
      ...rig.payloads,
      getFrom: (...where: Parameters<typeof rig.payloads.getFrom>) =>
        ++asked === 1
          ? Promise.reject(new TaskiqError("payload_unavailable", "expected S3 to answer"))
          : rig.payloads.getFrom(...where),
    };
    await rig.send([{ body: JSON.stringify(place(`big/${id}.json`)), attributes: { s3_extended_message: "True" } }]);
    rig.start({ tasks: TASKS, payloads: away, queues: [hurried(rig.queue())] });
    expect(await ended(rowId)).toMatchObject({ state: "succeeded" });
    expect(asked).toBe(2);
  });
});

describe("on a queue that is", () => {
  test("FIFO, the calls of one group run one after the other, in the order they were sent", async () => {
    const messages = Array.from({ length: 6 }, (_, n) => messageOf({ task: "echo", args: [n] }));
    await rig.send(
      messages.map(({ body, id }) => ({ body, groupId: "g", deduplicationId: id })),
      "lines",
    );
    start();
    for (const { rowId } of messages) await ended(rowId);
    expect(ran.map(({ input }) => input)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test("fair, a message stays in flight until its task is over", async () => {
    const { rowId } = await send({ task: "hang", labels: { max_retries: 1, timeout: 30 } }, "tenants");
    start();
    await until(() => ran.length === 1);
    expect(rig.held("tenants").inflight).toHaveLength(1);
    await ask(rig.database, "update taskiq.task set cancel_requested_at = now() where id = $1", [rowId]);
    await ended(rowId);
    await until(() => rig.held("tenants").inflight.length === 0);
  });

  test("ordered by priority, the best of those that are there starts first", async () => {
    const calls = [0, 5, -5].map((priority) => messageOf({ task: "echo", args: [priority], labels: { priority } }));
    await rig.send(
      calls.map(({ body }) => ({ body })),
      "best",
    );
    start({ slots: 1 });
    for (const { rowId } of calls) await ended(rowId);
    expect(new Set(ran.map(({ input }) => input))).toEqual(new Set([0, 5, -5]));
    expect((await readTasks(rig.database)).map(({ priority }) => priority).sort((a, b) => a - b)).toEqual([-5, 0, 5]);
  });

  test("limited, no more run at once than allowed", async () => {
    const calls = Array.from({ length: 4 }, (_, n) => messageOf({ task: "echo", args: [n] }));
    await rig.send(
      calls.map(({ body }) => ({ body })),
      "few",
    );
    start();
    for (const { rowId } of calls) await ended(rowId);
    expect(ran).toHaveLength(4);
    const [key] = await ask<{ max: number; running: number }>(
      rig.database,
      "select max, running from taskiq.limit_key",
    );
    expect(key).toEqual({ max: 1, running: 0 });
  });
});
