import { createHash, randomUUID } from "node:crypto";
import { beforeEach, describe, expect, test } from "vitest";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import type { ClaimedTask } from "../../runtime/flow/claim.ts";
import type { TaskState } from "../../runtime/model/task.ts";
import type { Queryable } from "../../runtime/postgres/pool.ts";
import type { Delivery, Outgoing } from "../../runtime/queue/queue.ts";
import { encodeDoorbell, encodeMessage } from "../../runtime/wire/message.ts";
import { createBreaker } from "../../runtime/worker/breaker.ts";
import { createClaimer } from "../../runtime/worker/claimer.ts";
import { deliver } from "../../runtime/worker/deliver.ts";
import { createSlots, type Slots } from "../../runtime/worker/slots.ts";
import { takeNothingIn } from "../../runtime/worker/take-in.ts";
import { hold } from "../flow/waiting.ts";
import { createOutboxRow, createTask, createTasks, readOutbox, readTask, type TaskColumns } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { type QueueTap, type QueueWays, tapQueue, useRig } from "./rig.ts";

const HOUR_MS = 3_600_000;

const rig = useRig();
let queue: QueueTap;
let started: ClaimedTask[] = [];
let slots: Slots;

beforeEach(() => {
  queue = tapQueue(rig.queue());
  slots = createSlots(10);
  started = [];
});

type Setup = {
  readonly stopping?: boolean;
  readonly database?: Queryable;
  readonly deadLetter?: QueueWays;
  readonly clock?: Clock;
};

/** Receives so many messages and delivers them in one batch. */
async function deliverNext(messages: number, setup: Setup = {}): Promise<void> {
  await deliverAll(await receive(messages), setup);
}

async function receive(messages: number): Promise<Delivery[]> {
  const received: Delivery[] = [];
  await until(
    async () => {
      received.push(...(await queue.receive({ max: 10, waitMs: 0 })));
      return received.length >= messages;
    },
    { deadlineMs: 3_000, what: `${messages} messages` },
  );
  return received;
}

async function deliverAll(deliveries: readonly Delivery[], setup: Setup = {}): Promise<void> {
  const { stopping = false, database = rig.database, deadLetter = {}, clock = systemClock } = setup;
  const breaker = createBreaker({ database: rig.database, log: rig.log, clock: systemClock, probeIntervalMs: 5 });
  const options = {
    queue: "default",
    worker: "worker-1",
    leaseMs: 30_000,
    knownTasks: ["demo"],
    unknownTaskAfterMs: HOUR_MS,
  };
  await deliver(deliveries, {
    stopped: () => stopping,
    queue,
    deadLetter: tapQueue(rig.queues.deadLetter("default"), deadLetter),
    claimer: createClaimer({
      ring: () => {},
      database: { transaction: rig.database.transaction, query: database.query },
      breaker,
      options,
      byRank: false,
      holds: () => false,
    }),
    takeIn: takeNothingIn,
    slots,
    log: rig.log,
    clock,
    keeper: null,
    async start(task) {
      started.push(task);
    },
  });
  breaker.stop();
}

/** What the queue holds in the end, and what became of the slots. */
function left(): { ready: number; hidden: number; dead: number; free: number } {
  const { ready, inflight } = rig.held();
  const dead = rig.heldDead();
  return { ready: ready.length, hidden: inflight.length, dead: dead.ready.length, free: slots.free };
}

const GONE = { ready: 0, hidden: 0, dead: 0, free: 10 };

const doorbell = (taskId: string) => encodeDoorbell({ taskId, taskName: "demo" });

describe("a message whose task can run", () => {
  test("starts its attempt in a slot, and is deleted when the claim has committed", async () => {
    const id = await createTask(rig.database, { input: '{"n":1}', attempt: 2, failures: 1 });
    const states: TaskState[] = [];
    queue = tapQueue(rig.queue(), {
      async remove(_handles, remove) {
        states.push((await readTask(rig.database, id)).state);
        return await remove();
      },
    });
    await rig.ring([id]);
    await deliverNext(1);
    expect(started).toHaveLength(1);
    expect(started[0]).toMatchObject({ id, attempt: 3, failures: 1, queue: "default", inputText: '{"n":1}' });
    expect(states).toEqual(["running"]);
    expect(left()).toEqual({ ...GONE, free: 9 });
  });

  test("that comes twice in one batch starts one attempt, and both messages are deleted", async () => {
    const id = await createTask(rig.database);
    await rig.ring([id, id]);
    await deliverNext(2);
    expect(started.map((task) => task.id)).toEqual([id]);
    expect(left()).toEqual({ ...GONE, free: 9 });
  });

  test("that comes twice over two polls at once starts one attempt, and both messages are deleted", async () => {
    const ids = await createTasks(rig.database, [{}, {}, {}]);
    await rig.ring([...ids, ...ids]);
    const messages = await receive(6);
    await Promise.all([deliverAll(messages.slice(0, 3)), deliverAll(messages.slice(3))]);
    expect(started.map((task) => task.id).toSorted()).toEqual(ids.toSorted());
    await until(() => rig.held().inflight.length === 0);
    expect(left()).toEqual({ ...GONE, free: 7 });
  });
});

describe("a message that did not win is deleted, and nothing is started:", () => {
  test.each<[string, TaskColumns]>([
    ["the task succeeded", { state: "succeeded" }],
    ["the task failed", { state: "failed" }],
    ["the task was cancelled", { state: "cancelled" }],
    ["the task was skipped", { state: "skipped" }],
    ["the task runs", { state: "running", attempt: 4 }],
    ["the task runs and its lease has expired: the reaper rings", { state: "running", attempt: 4, leaseInMs: -60_000 }],
  ])("%s", async (_what, columns) => {
    const id = await createTask(rig.database, columns);
    const before = await readTask(rig.database, id);
    await rig.ring([id]);
    await deliverNext(1);
    expect(started).toEqual([]);
    expect(left()).toEqual(GONE);
    const { lease_in_ms: _, ...after } = await readTask(rig.database, id);
    expect(before).toMatchObject({ state: after.state, attempt: after.attempt, losses: after.losses });
    expect(await readOutbox(rig.database)).toEqual([]);
    expect(rig.events("task.duplicate").map(({ level, taskId }) => [level, taskId])).toEqual([["debug", id]]);
  });

  test("the task was pruned, and the message is ours", async () => {
    await rig.ring([randomUUID()]);
    await deliverNext(1);
    expect([left(), started]).toEqual([GONE, []]);
    expect(rig.lines.filter((line) => line.level !== "debug")).toEqual([]);
  });

  test("the task is not due, and its outbox row rings when it is", async () => {
    const id = await createTask(rig.database, { dueInMs: 60_000 });
    await createOutboxRow(rig.database, { taskId: id, sendInMs: 60_000 });
    await rig.ring([id]);
    await deliverNext(1);
    expect([left(), started]).toEqual([GONE, []]);
    const [row, ...more] = await readOutbox(rig.database, id);
    expect([row?.kind, more.length]).toEqual(["doorbell", 0]);
    expect(row?.send_in_ms).toBeGreaterThan(50_000);
  });

  test("the task is not due and its outbox row is gone, and one is made", async () => {
    const id = await createTask(rig.database, { dueInMs: 60_000 });
    await rig.ring([id]);
    await deliverNext(1);
    expect(left()).toEqual(GONE);
    const [row] = await readOutbox(rig.database, id);
    expect(row?.send_in_ms).toBeGreaterThan(50_000);
    expect(row?.send_in_ms).toBeLessThanOrEqual(60_000);
  });

  test("no worker here knows the task, and it is rung again in 30 s", async () => {
    const id = await createTask(rig.database, { name: "of another version", dueInMs: -60_000 });
    await rig.ring([id]);
    await deliverNext(1);
    expect([left(), started]).toEqual([GONE, []]);
    expect(await readTask(rig.database, id)).toMatchObject({ state: "queued", attempt: 0 });
    const [row] = await readOutbox(rig.database, id);
    expect(row?.send_in_ms).toBeGreaterThan(25_000);
    expect(row?.send_in_ms).toBeLessThanOrEqual(30_000);
  });

  test("nobody has known the task for an hour, and it fails with a copy for the dead-letter queue", async () => {
    const id = await createTask(rig.database, { name: "of no version", dueInMs: -HOUR_MS - 1_000 });
    await rig.ring([id]);
    await deliverNext(1);
    expect([left(), started]).toEqual([GONE, []]);
    const row = await readTask(rig.database, id);
    expect(row.state).toBe("failed");
    expect(JSON.parse(row.error ?? "")).toMatchObject({ code: "unknown_task" });
    expect((await readOutbox(rig.database, id)).map((one) => one.kind)).toEqual(["dead_letter"]);
    expect(rig.events("task.failed")).toMatchObject([{ level: "error", taskId: id, code: "unknown_task" }]);
  });
});

test("a message whose row another claim holds at this moment comes back after 5 s", async () => {
  const id = await createTask(rig.database);
  const other = await hold(rig.database, (tx) =>
    tx.raw.query("select from taskiq.task where id = $1 for update", [id]),
  );
  await rig.ring([id]);
  await deliverNext(1);
  await other.end();
  expect(queue.hidden).toEqual([{ body: doorbell(id), visibilityMs: 5_000 }]);
  expect(queue.removed).toEqual([]);
  expect([left(), started]).toEqual([{ ...GONE, hidden: 1 }, []]);
  expect(await readTask(rig.database, id)).toMatchObject({ state: "queued", attempt: 0 });
});

test("slots that no message won are free again before the messages are deleted", async () => {
  const [runnable, done] = (await createTasks(rig.database, [{}, { state: "succeeded" }])) as [string, string];
  const free: number[] = [];
  queue = tapQueue(rig.queue(), {
    remove(_handles, remove) {
      free.push(slots.free);
      return remove();
    },
  });
  await rig.ring([runnable, done]);
  await deliverNext(2);
  expect(free).toEqual([9]);
});

test("one batch may hold every kind, and each gets its own verdict", async () => {
  const ids = await createTasks(rig.database, [
    {},
    { state: "succeeded" },
    { state: "running" },
    { dueInMs: 60_000 },
    { name: "of another version" },
    {},
  ]);
  const [runnable, done, running, later, unknown, contended] = ids as [string, string, string, string, string, string];
  const other = await hold(rig.database, (tx) =>
    tx.raw.query("select from taskiq.task where id = $1 for update", [contended]),
  );
  await rig.ring(ids);
  await rig.send([{ body: "no message" }, { body: doorbell(randomUUID()) }]);
  await deliverNext(8);
  await other.end();
  expect(started.map((task) => task.id)).toEqual([runnable]);
  expect(queue.hidden.map((one) => one.body)).toEqual([doorbell(contended)]);
  const removed = [runnable, done, running, later, unknown].map(doorbell);
  expect(queue.removed).toEqual(expect.arrayContaining([...removed, "no message"]));
  expect(left()).toEqual({ ready: 0, hidden: 1, dead: 1, free: 9 });
});

describe("poison goes to the dead-letter queue with its reason:", () => {
  const foreign = encodeMessage({
    taskId: randomUUID().replaceAll("-", ""),
    taskName: "their.task",
    labels: new Map(),
    argsText: "[1.0]",
    kwargsText: "{}",
  });

  test.each<[string, string, string, string | RegExp]>([
    ["no JSON", "no message", "unreadable", /^not_json: /],
    ["an empty object", "{}", "unreadable", /^not_a_task: task_id/],
    ["JSON that is no object", "[1]", "unreadable", /^not_a_task: body/],
    ["a number for an id", '{"task_id":7}', "unreadable", /^not_a_task: task_id/],
    ["no arguments", '{"task_id":"a","task_name":"b","labels":{}}', "unreadable", /^not_a_task: args/],
    [
      "a label of an unknown type",
      '{"task_id":"a","task_name":"b","labels":{"x":"1"},"labels_types":{"x":99},"args":[],"kwargs":{}}',
      "unreadable",
      /^bad_label: /,
    ],
    [
      "arguments nested too deeply",
      `{"task_id":"a","task_name":"b","labels":{},"args":[${"[".repeat(2_000)}${"]".repeat(2_000)}],"kwargs":{}}`,
      "unreadable",
      /^too_deep: /,
    ],
    ["a task of another producer", foreign, "foreign_not_supported", /another producer/],
  ])("%s", async (_what, body, reason, detail) => {
    await rig.send([{ body }]);
    await deliverNext(1);
    expect(left()).toEqual({ ...GONE, dead: 1 });
    const [dead] = await rig.takeDeadLetters();
    expect(dead?.body).toBe(body);
    const { failed_at: failedAt, message_id: messageId, ...said } = dead?.attributes ?? {};
    expect(said).toMatchObject({ reason, detail: expect.stringMatching(detail), source_queue: "default" });
    expect(Math.abs(Date.parse(failedAt ?? "") - systemClock.wallMs())).toBeLessThan(60_000);
    expect(rig.events("message.poison")).toMatchObject([{ messageId }]);
    expect(rig.events("message.poison")).toMatchObject([
      {
        level: "error",
        queue: "default",
        messageId: expect.any(String),
        reason,
        detail: expect.stringMatching(detail),
      },
    ]);
    expect(started).toEqual([]);
  });

  const POINTER = '{"s3_bucket":"taskiq-payloads","s3_key":"someone/else"}';
  const AWS_POINTER = '["software.amazon.payloadoffloading.PayloadS3Pointer",{"s3BucketName":"b","s3Key":"k"}]';

  test.each<[string, Outgoing, string]>([
    ["TaskIQ's pointer", { body: POINTER, attributes: { s3_extended_message: "True" } }, "foreign_not_supported"],
    ["AWS's pointer", { body: AWS_POINTER, attributes: { ExtendedPayloadSize: "300000" } }, "foreign_not_supported"],
    ["AWS's older one", { body: AWS_POINTER, attributes: { SQSLargePayloadSize: "300000" } }, "foreign_not_supported"],
    [
      "a pointer without a key",
      { body: '{"s3_bucket":"b"}', attributes: { s3_extended_message: "True" } },
      "unreadable",
    ],
    ["a promise of a pointer", { body: "no JSON", attributes: { ExtendedPayloadSize: "1" } }, "unreadable"],
  ])("%s, which is not followed", async (_what, message, reason) => {
    await rig.send([message]);
    await deliverNext(1);
    expect(left()).toEqual({ ...GONE, dead: 1 });
    const [dead] = await rig.takeDeadLetters();
    expect(dead?.body).toBe(message.body);
    expect(dead?.attributes).toMatchObject({ reason, source_queue: "default" });
  });

  test("and what makes a body a pointer is still there for whoever looks at it", async () => {
    await rig.send([{ body: POINTER, attributes: { s3_extended_message: "True", trace: "abc" } }]);
    await deliverNext(1);
    const [dead] = await rig.takeDeadLetters();
    expect(dead?.attributes).toMatchObject({ s3_extended_message: "True", trace: "abc" });
  });

  test("a message of the greatest size too", async () => {
    await rig.send([{ body: "x".repeat(1_048_576) }]);
    await deliverNext(1);
    expect(left()).toEqual({ ...GONE, dead: 1 });
  });
});

describe("when the dead-letter queue takes", () => {
  test("nothing, the poison stays and the others of its batch are settled", async () => {
    const id = await createTask(rig.database);
    await rig.send([{ body: "no message" }, { body: doorbell(id) }]);
    await deliverNext(2, {
      deadLetter: {
        send: async (messages) =>
          messages.map(() => ({ kind: "failed", code: "Throttled", message: "slow down", senderFault: false })),
      },
    });
    expect(queue.removed).toEqual([doorbell(id)]);
    expect(left()).toEqual({ ready: 0, hidden: 1, dead: 0, free: 9 });
    expect(rig.events("queue.send_failed")).toMatchObject([
      {
        level: "warn",
        queue: rig.queues.deadLetter("default").name,
        count: 1,
        code: "Throttled",
        message: "slow down",
      },
    ]);
  });

  test("one message only, the other stays", async () => {
    await rig.send([{ body: "first" }, { body: "second" }]);
    await deliverNext(2, {
      deadLetter: {
        async send(messages, send) {
          const outcomes = await send();
          return outcomes.map((outcome, index) =>
            messages[index]?.body === "first"
              ? { kind: "failed", code: "InternalError", message: "no", senderFault: false }
              : outcome,
          );
        },
      },
    });
    expect(queue.removed).toEqual(["second"]);
    expect(left().hidden).toBe(1);
  });
});

describe("a message whose id has a row is never poison:", () => {
  const hex = (id: string) => id.replaceAll("-", "");

  test.each<[string, (id: string) => Outgoing]>([
    [
      "a doorbell without labels",
      (id) => ({ body: `{"task_id":"${hex(id)}","task_name":"demo","labels":{},"args":[],"kwargs":{}}` }),
    ],
    ["without arguments", (id) => ({ body: `{"task_id":"${hex(id)}","task_name":"demo","labels":{}}` })],
    ["without a name", (id) => ({ body: `{"task_id":"${hex(id)}"}` })],
    [
      "with a bad label",
      (id) => ({
        body: `{"task_id":"${hex(id)}","task_name":"demo","labels":{"x":{}},"labels_types":{"x":99},"args":[],"kwargs":{}}`,
      }),
    ],
    [
      "with arguments nested too deeply",
      (id) => ({
        body: `{"task_id":"${hex(id)}","task_name":"demo","labels":{},"args":${"[".repeat(2_000)}${"]".repeat(2_000)},"kwargs":{}}`,
      }),
    ],
    [
      "with arguments, as another producer's",
      (id) => ({ body: `{"task_id":"${hex(id)}","task_name":"demo","labels":{},"args":[1],"kwargs":{"a":1}}` }),
    ],
    [
      "with the mark of TaskIQ's pointer",
      (id) => ({ body: doorbell(id), attributes: { s3_extended_message: "True" } }),
    ],
    ["with the mark of AWS's pointer", (id) => ({ body: doorbell(id), attributes: { ExtendedPayloadSize: "300000" } })],
    [
      "that is a pointer as well",
      (id) => ({
        body: `{"task_id":"${hex(id)}","s3_bucket":"b","s3_key":"k"}`,
        attributes: { s3_extended_message: "True" },
      }),
    ],
  ])("%s", async (_what, messageOf) => {
    const id = await createTask(rig.database);
    await rig.send([messageOf(id)]);
    await deliverNext(1);
    expect(left()).toEqual({ ...GONE, free: 9 });
    expect(started.map((task) => task.id)).toEqual([id]);
    expect(rig.events("message.poison")).toEqual([]);
  });

  test("under an id of another producer's making", async () => {
    const wire = "order-4711";
    // RFC 9562, by hand: version 5 of the id in the namespace of wire ids.
    const namespace = Buffer.from("a29591001b9e56f5b5794e5a08b46103", "hex");
    const digest = createHash("sha1").update(namespace).update(wire).digest().subarray(0, 16);
    digest[6] = (digest[6]! & 0x0f) | 0x50;
    digest[8] = (digest[8]! & 0x3f) | 0x80;
    const id = digest.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
    await createTask(rig.database, { id, state: "succeeded", wireId: wire });
    await rig.send([{ body: `{"task_id":"${wire}"}` }]);
    await deliverNext(1);
    expect(left()).toEqual(GONE);
  });
});

describe("while the database is away", () => {
  /** Fails the way a lost connection does. */
  const away: Queryable = { query: () => Promise.reject(new Error("Connection terminated unexpectedly")) };

  test("messages come back in 30 s, poison as well: nothing is deleted, dead-lettered or started", async () => {
    const id = await createTask(rig.database);
    await rig.send([{ body: doorbell(id) }, { body: `{"task_id":"${randomUUID().replaceAll("-", "")}"}` }]);
    await deliverNext(2, { database: away });
    expect(queue.hidden.map((one) => one.visibilityMs)).toEqual([30_000, 30_000]);
    expect([queue.removed, started]).toEqual([[], []]);
    expect(left()).toEqual({ ready: 0, hidden: 2, dead: 0, free: 10 });
  });

  test("a batch of nothing but unreadable messages needs no database", async () => {
    await rig.send([{ body: "no message" }]);
    await deliverNext(1, { database: away });
    expect(left()).toEqual({ ...GONE, dead: 1 });
  });
});

test("when something is wrong with the claim itself the messages stay as they are, and no slot is lost", async () => {
  const broken: Queryable = { query: () => Promise.reject(new Error("relation does not exist")) };
  await rig.send([{ body: doorbell(randomUUID()) }]);
  await deliverNext(1, { database: broken });
  expect(left()).toEqual({ ready: 0, hidden: 1, dead: 0, free: 10 });
  expect(rig.events("process.failed")).toMatchObject([
    { level: "error", error: { message: "relation does not exist" } },
  ]);
});

test("what could not be deleted is said, and comes again as a duplicate", async () => {
  const id = await createTask(rig.database);
  queue = tapQueue(rig.queue(), { remove: async (handles) => handles.length });
  await rig.ring([id]);
  await deliverNext(1);
  expect(started).toHaveLength(1);
  expect(rig.events("queue.delete_failed")).toMatchObject([{ level: "warn", queue: "default", count: 1 }]);
});

test("a worker that stops gives everything back at once, unclaimed", async () => {
  const ids = await createTasks(rig.database, [{}, {}]);
  await rig.ring(ids);
  await deliverNext(2, { stopping: true });
  expect(queue.hidden.map((one) => one.visibilityMs)).toEqual([0, 0]);
  expect(left()).toEqual({ ready: 2, hidden: 0, dead: 0, free: 10 });
  expect((await readTask(rig.database, ids[0]!)).state).toBe("queued");
});

describe("more messages than slots", () => {
  test("the surplus waits for a slot and runs when one is free in time", async () => {
    slots = createSlots(2);
    const ids = await createTasks(rig.database, [{}, {}, {}]);
    await rig.ring(ids);
    const delivering = deliverNext(3);
    await until(() => started.length === 2);
    slots.release();
    await delivering;
    expect(started).toHaveLength(3);
    expect(queue.hidden).toEqual([]);
    expect([left().ready, left().hidden, slots.free]).toEqual([0, 0, 0]);
  });

  test("the surplus goes back unclaimed when none is free within a second", async () => {
    slots = createSlots(1);
    const waits: number[] = [];
    const clock: Clock = {
      ...systemClock,
      async after(ms, signal) {
        waits.push(ms);
        await systemClock.after(0, signal);
      },
    };
    const ids = await createTasks(rig.database, [{}, {}, {}]);
    await rig.ring(ids);
    await deliverNext(3, { clock });
    expect(started).toHaveLength(1);
    expect(queue.hidden.map((one) => one.visibilityMs)).toEqual([0, 0]);
    expect(left()).toEqual({ ready: 2, hidden: 0, dead: 0, free: 0 });
    expect(waits).toHaveLength(1);
    expect(waits[0]).toBeGreaterThan(500);
    expect(waits[0]).toBeLessThanOrEqual(1_000);
  });

  test("two batches that wait for one slot: one gets it, the other goes back", async () => {
    slots = createSlots(1);
    slots.take(1);
    const ids = await createTasks(rig.database, [{}, {}]);
    await rig.ring(ids);
    const [first, second] = (await receive(2)) as [Delivery, Delivery];
    const both = Promise.all([deliverAll([first]), deliverAll([second])]);
    slots.release();
    await both;
    expect(started).toHaveLength(1);
    expect([left().ready, slots.free]).toEqual([1, 0]);
  });
});

describe("a message that is given back again and again is not counted out by SQS, which takes five deliveries:", () => {
  const hasty: Clock = { ...systemClock, after: (_ms, signal) => systemClock.after(0, signal) };
  const away: Queryable = { query: () => Promise.reject(new Error("Connection terminated unexpectedly")) };

  /** As often as that, as soon as it is there again. */
  async function eightTimes(id: string, setup: Setup): Promise<void> {
    await rig.ring([id]);
    for (let round = 1; round <= 8; round++) {
      const messages = await receive(1);
      await deliverAll(messages, { clock: hasty, ...setup });
    }
  }

  test("no slot was free", async () => {
    slots = createSlots(1);
    slots.take(1);
    const id = await createTask(rig.database);
    await eightTimes(id, {});
    expect([rig.held().ready.map((message) => message.body), rig.heldDead().ready]).toEqual([[doorbell(id)], []]);
  });

  test("the worker stopped", async () => {
    const id = await createTask(rig.database);
    await eightTimes(id, { stopping: true });
    expect([rig.held().ready.map((message) => message.body), rig.heldDead().ready]).toEqual([[doorbell(id)], []]);
  });

  test("the database was away", async () => {
    const id = await createTask(rig.database);
    await rig.ring([id]);
    for (let round = 1; round <= 8 && rig.held().delayed.length === 0; round++) {
      const messages = await receive(1);
      await deliverAll(messages, { database: away });
      await rig.queue().changeVisibility(messages.map(({ receiptHandle }) => ({ receiptHandle, visibilityMs: 0 })));
    }
    const { ready, delayed } = rig.held();
    expect([[...ready, ...delayed].map((message) => message.body), rig.heldDead().ready]).toEqual([[doorbell(id)], []]);
  });
});
