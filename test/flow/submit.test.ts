/** Longer than most: every answer that submit can give, and who else must not feel it, on one set of real services. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { chainMiddlewares, type Middleware } from "../../runtime/define/middleware.ts";
import { createRegistry } from "../../runtime/define/registry.ts";
import { defineTask } from "../../runtime/define/task.ts";
import { TaskiqError } from "../../runtime/errors.ts";
import { type Announcer, createAnnouncer } from "../../runtime/flow/announce.ts";
import { createSubmitter, type Submitted, type Submitter, type TaskRequest } from "../../runtime/flow/submit.ts";
import { nthId } from "../../runtime/flow/write-submissions.ts";
import { openLog } from "../../runtime/log.ts";
import { openPayloadStore, type S3PayloadStore } from "../../runtime/payload/s3.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { loadSql } from "../../runtime/postgres/sql.ts";
import { createQueueSet } from "../../runtime/queue/queue-set.ts";
import { openQueues, type SqsQueues } from "../../runtime/queue/sqs.ts";
import { decodeMessage } from "../../runtime/wire/message.ts";
import { startTestAws, type TestAws } from "../support/aws.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { ask, clearTasks, readOutbox, readTask, readTasks } from "../support/tasks.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import { shuffled } from "./shuffled.ts";
import { hold, untilStuck, untilWaiting } from "./waiting.ts";

const SUBMIT = loadSql(import.meta.url, "../../runtime/flow/submit.sql");
const TTL_MS = 86_400_000;
const INLINE_BYTES = 1_000;
const MAX_BYTES = 100_000;

const demo = defineTask({ name: "demo", input: z.unknown(), run: () => null });
const resize = defineTask({
  name: "images.resize",
  input: z.object({ sizes: z.array(z.number()).max(5) }),
  queue: "slow",
  priority: 3,
  retry: { maxAttempts: 7, backoffMs: 11, maxBackoffMs: 13 },
  timeoutMs: 17,
  graceMs: 19,
  maxLosses: 2,
  onLost: "fail",
  run: () => null,
});

let testDatabase: TestDatabase;
let database: Database;
let aws: TestAws;
let queues: SqsQueues;
let payloads: S3PayloadStore;
let announcer: Announcer;
let submitter: Submitter;
let lines: { event: string }[] = [];
const log = openLog({ level: "debug", format: "json", service: "test", write: (line) => lines.push(JSON.parse(line)) });

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 10, applicationName: "submit test" });
  aws = await startTestAws({ queues: ["default", "slow"] });
  const { endpoint, region, credentials, bucket } = aws;
  queues = openQueues({ endpoint, region, credentials, queues: JSON.parse(aws.env.TASKIQ_QUEUES ?? "") });
  payloads = openPayloadStore({ endpoint, region, credentials, bucket, maxBytes: MAX_BYTES });
  announcer = createAnnouncer({ database, queues, payloads, log });
});

beforeEach(async () => {
  await announcer.idle();
  await clearTasks(database);
  for (const name of queues.names) await empty(name);
  lines = [];
  submitter = submitterOn(database);
});

afterAll(async () => {
  await announcer.idle();
  payloads.close();
  queues.close();
  await aws.stop();
  await database.close();
  await testDatabase.drop();
});

function submitterOn(on: Database, middlewares: readonly Middleware[] = [], ringing = announcer): Submitter {
  return createSubmitter({
    database: on,
    payloads,
    announcer: ringing,
    registry: createRegistry([demo, resize]),
    middlewares: chainMiddlewares(middlewares, log),
    queues,
    inlinePayloadBytes: INLINE_BYTES,
    maxPayloadBytes: MAX_BYTES,
    idempotencyTtlMs: TTL_MS,
    groupCommitMs: 2,
  });
}

async function empty(name: string): Promise<void> {
  const queue = queues.get(name);
  while (queue !== undefined && aws.inspectQueue(`taskiq-${name}`).ready.length > 0) {
    const messages = await queue.receive({ max: 10, waitMs: 0 });
    await queue.remove(messages.map((message) => message.receiptHandle));
  }
}

function submitOne(request: Partial<TaskRequest> = {}, idempotencyKey?: string): Promise<Submitted> {
  return submitter.submit([{ task: "demo", input: null, ...request }], { tenant: "default", idempotencyKey });
}

async function createdId(request: Partial<TaskRequest> = {}): Promise<string> {
  const { ids } = await submitOne(request);
  return ids[0] ?? "";
}

async function rungOn(queue: string): Promise<string[]> {
  await announcer.idle();
  return aws
    .inspectQueue(`taskiq-${queue}`)
    .ready.map(({ body }) => decodeMessage(body).id ?? body)
    .sort();
}

describe("a task that is accepted", () => {
  test("is a queued row with the policy of its definition, due now, and is rung at once", async () => {
    const { kind, ids } = await submitter.submit([{ task: "images.resize", input: { sizes: [1] } }], {
      tenant: "acme",
    });
    expect(kind).toBe("created");
    const row = await readTask(database, ids[0] ?? "");
    expect(row).toMatchObject({
      state: "queued",
      name: "images.resize",
      queue: "slow",
      tenant: "acme",
      priority: 3,
      attempt: 0,
      failures: 0,
      losses: 0,
      input: '{"sizes":[1]}',
      labels: null,
      trace_context: null,
      timeout_ms: 17,
      grace_ms: 19,
      max_attempts: 7,
      backoff_ms: 11,
      max_backoff_ms: 13,
      max_losses: 2,
      isolation: "inline",
      on_lost: "fail",
    });
    expect(row.due_in_ms).toBeLessThanOrEqual(0);
    expect(await rungOn("slow")).toEqual(ids);
    expect(await readOutbox(database)).toEqual([]);
  });

  test("takes queue, priority, labels and trace context of the request", async () => {
    const id = await createdId({
      queue: "slow",
      priority: -100,
      labels: { a: "\u0000", b: "\ud800" },
      traceContext: "00-a-b-01",
    });
    expect(await readTask(database, id)).toMatchObject({
      queue: "slow",
      priority: -100,
      labels: String.raw`{"a":"\u0000","b":"\ud800"}`,
      trace_context: "00-a-b-01",
    });
  });

  test.each<[string, unknown, string | null]>([
    ["nothing", undefined, null],
    ["null", null, null],
    [
      "U+0000, half a surrogate pair and minus zero",
      { u: "\u0000\ud800", z: -0 },
      String.raw`{"u":"\u0000\ud800","z":-0.0}`,
    ],
  ])("keeps the input exactly: %s", async (_what, input, text) => {
    expect(await readTask(database, await createdId({ input }))).toMatchObject({ input: text, input_ref: null });
  });

  test("has a large input in the payload store before its row", async () => {
    const input = { text: "é".repeat(INLINE_BYTES / 2) };
    const row = await readTask(database, await createdId({ input }));
    expect(row.input).toBeNull();
    expect(JSON.parse(await payloads.get(row.input_ref ?? ""))).toEqual(input);
  });

  test("stays in the outbox where it cannot be rung, due five seconds later", async () => {
    const mute = createAnnouncer({ database, queues: createQueueSet([]), payloads, log });
    const { ids } = await submitterOn(database, [], mute).submit([{ task: "demo", input: null }], {
      tenant: "default",
    });
    await mute.idle();
    const [row] = await readOutbox(database, ids[0] ?? null);
    expect(row?.send_in_ms).toBeGreaterThan(3_000);
    expect(row?.send_in_ms).toBeLessThanOrEqual(5_000);
  });
});

describe("a delay", () => {
  test("leaves the doorbell in the outbox until the task is due", async () => {
    const id = await createdId({ delayMs: 60_000 });
    const row = await readTask(database, id);
    expect(row.due_in_ms).toBeGreaterThan(55_000);
    const [bell] = await readOutbox(database, id);
    expect(bell?.send_in_ms).toBeCloseTo(row.due_in_ms, -2);
    expect(await rungOn("default")).toEqual([]);
  });

  test("shorter than the submitter's own time to ring is kept as well: not rung early, not late", async () => {
    const id = await createdId({ delayMs: 3_000 });
    expect(await rungOn("default")).toEqual([]);
    const [bell] = await readOutbox(database, id);
    expect(bell?.send_in_ms).toBeGreaterThan(1_000);
    expect(bell?.send_in_ms).toBeLessThanOrEqual(3_000);
  });
});

describe("a batch", () => {
  test("of 1,000 is one statement, all of it rung, with ids that follow from the first", async () => {
    const before = database.statements;
    const requests = Array.from({ length: 1_000 }, (_, index) => ({ task: "demo", input: { index } }));
    const { ids } = await submitter.submit(requests, { tenant: "default" });
    const statements = database.statements - before;
    expect(new Set(ids).size).toBe(1_000);
    expect(ids.every((id, index) => id === nthId(ids[0] ?? "", index))).toBe(true);
    const rows = new Map((await readTasks(database)).map((row) => [row.id, row.input]));
    expect(ids.every((id, index) => rows.get(id) === `{"index":${index}}`)).toBe(true);
    expect(await rungOn("default")).toEqual([...ids].sort());
    expect(statements).toBeLessThanOrEqual(3);
  });

  test("is accepted whole or not at all", async () => {
    const requests = [
      { task: "demo", input: 1 },
      { task: "images.resize", input: { sizes: ["x"] } },
    ];
    await expect(submitter.submit(requests, { tenant: "default" })).rejects.toMatchObject({ code: "input_invalid" });
    expect(await readTasks(database)).toEqual([]);
  });

  test("of no task is refused by itself", async () => {
    const [nothing, other] = await Promise.allSettled([
      submitter.submit([], { tenant: "default" }),
      submitOne({ input: "other" }),
    ]);
    expect(other).toMatchObject({ status: "fulfilled" });
    expect(nothing.status === "rejected" && nothing.reason).toBeInstanceOf(TaskiqError);
  });

  test("of several concurrent requests shares statements, and each has its own ids", async () => {
    const before = database.statements;
    const answers = await Promise.all(Array.from({ length: 300 }, (_, input) => submitOne({ input })));
    expect(database.statements - before).toBeLessThan(20);
    const inputs = new Map((await readTasks(database)).map((row) => [row.id, row.input]));
    expect(answers.map(({ ids }) => inputs.get(ids[0] ?? ""))).toEqual(answers.map((_, input) => String(input)));
  });
});

describe("a request that is refused", () => {
  test.each<[string, TaskRequest, object]>([
    [
      "an unknown task",
      { task: "nope", input: null },
      { code: "unknown_task", details: { issues: [{ path: "task", message: "unknown task" }] } },
    ],
    [
      "an unknown queue",
      { task: "demo", input: null, queue: "nope" },
      { code: "unknown_queue", details: { issues: [{ path: "queue", message: "unknown queue" }] } },
    ],
    [
      "an input that does not fit the schema",
      { task: "images.resize", input: { sizes: [1, "x"] } },
      { code: "input_invalid", details: { issues: [{ path: "input.sizes.1" }] } },
    ],
    ["a cycle", { task: "demo", input: cycle() }, { code: "input_not_storable" }],
    ["a bigint", { task: "demo", input: [2n ** 64n] }, { code: "input_not_storable" }],
    ["NaN", { task: "demo", input: Number.NaN }, { code: "input_not_storable" }],
    ["100,000 levels", { task: "demo", input: nested(100_000) }, { code: "input_not_storable" }],
    ["too many bytes", { task: "demo", input: "x".repeat(MAX_BYTES) }, { code: "payload_too_large" }],
    [
      "too many bytes in fewer characters",
      { task: "demo", input: "é".repeat(MAX_BYTES / 2) },
      { code: "payload_too_large" },
    ],
    [
      "U+0000 in the trace context",
      { task: "demo", input: null, traceContext: "\u0000" },
      { code: "input_not_storable" },
    ],
    ["a priority that does not exist", { task: "demo", input: null, priority: 101 }, { code: "input_not_storable" }],
  ])("for %s says why, writes nothing and costs its neighbours nothing", async (_what, request, error) => {
    for (const idempotencyKey of [undefined, "key"]) {
      const [refused, neighbour] = await Promise.allSettled([
        submitter.submit([request], { tenant: "default", idempotencyKey }),
        submitOne({ input: "neighbour" }),
      ]);
      expect(neighbour).toMatchObject({ status: "fulfilled", value: { kind: "created" } });
      expect(refused.status === "rejected" && refused.reason).toBeInstanceOf(TaskiqError);
      expect(refused).toMatchObject({ reason: error });
    }
    expect((await readTasks(database)).map((row) => row.input)).toEqual(['"neighbour"', '"neighbour"']);
    expect(await ask(database, "select key from taskiq.idempotency")).toEqual([]);
  });

  test("for one value does not keep a hundred others of the same statement from being accepted", async () => {
    const answers = await Promise.allSettled(
      Array.from({ length: 101 }, (_, input) => submitOne({ input, traceContext: input === 50 ? "a\u0000" : null })),
    );
    expect(answers.flatMap((answer, index) => (answer.status === "rejected" ? [index] : []))).toEqual([50]);
    expect(await readTasks(database)).toHaveLength(100);
    expect(await rungOn("default")).toHaveLength(100);
  });

  test("in a batch is named by its place", async () => {
    const requests = [
      { task: "demo", input: 1 },
      { task: "images.resize", input: {} },
    ];
    await expect(submitter.submit(requests, { tenant: "default" })).rejects.toMatchObject({
      details: { issues: [{ path: "tasks.1.input.sizes" }] },
    });
  });
});

describe("an idempotency key", () => {
  test("used again with the same request gives the same task", async () => {
    const first = await submitOne({ input: { a: 1, b: [2] } }, "key");
    const second = await submitOne({ input: { b: [2], a: 1 } }, "key");
    expect(first.kind).toBe("created");
    expect(second).toEqual({ kind: "replayed", ids: first.ids });
    expect(await readTasks(database)).toHaveLength(1);
    expect(await rungOn("default")).toHaveLength(1);
  });

  test("of a batch gives all its ids again", async () => {
    const requests = Array.from({ length: 50 }, (_, input) => ({ task: "demo", input }));
    const options = { tenant: "default", idempotencyKey: "key" };
    const first = await submitter.submit(requests, options);
    expect(await submitter.submit(requests, options)).toEqual({ kind: "replayed", ids: first.ids });
    expect(await readTasks(database)).toHaveLength(50);
  });

  test.each<[string, Partial<TaskRequest>]>([
    ["another input", { input: 2 }],
    ["another task", { task: "images.resize", input: { sizes: [] } }],
    ["another delay", { delayMs: 1 }],
    ["another queue", { queue: "slow" }],
    ["other labels", { labels: { a: "b" } }],
    ["minus zero as text", { input: "-0" }],
  ])("used again with %s is refused and changes nothing", async (_what, other) => {
    const first = await submitOne({ input: -0 }, "key");
    await expect(submitOne({ input: -0, ...other }, "key")).rejects.toMatchObject({ code: "idempotency_mismatch" });
    expect((await readTasks(database)).map((row) => row.id)).toEqual(first.ids);
  });

  test("used again in another trace gives the same task: every try of a client has a trace of its own", async () => {
    const first = await submitOne({ traceContext: "00-aaaa-1111-01" }, "key");
    const second = await submitOne({ traceContext: "00-aaaa-2222-01" }, "key");
    expect(second).toEqual({ kind: "replayed", ids: first.ids });
  });

  test("belongs to its tenant", async () => {
    const options = (tenant: string) => ({ tenant, idempotencyKey: "key" });
    const first = await submitter.submit([{ task: "demo", input: 1 }], options("a"));
    const second = await submitter.submit([{ task: "demo", input: 1 }], options("b"));
    expect(second.kind).toBe("created");
    expect(second.ids).not.toEqual(first.ids);
  });

  test("that has expired is free again, also for another request", async () => {
    const first = await submitOne({ input: 1 }, "key");
    await ask(database, "update taskiq.idempotency set expires_at = now() - interval '1 second'");
    const second = await submitOne({ input: 2 }, "key");
    expect(second.kind).toBe("created");
    expect(second.ids).not.toEqual(first.ids);
    expect(await submitOne({ input: 2 }, "key")).toEqual({ kind: "replayed", ids: second.ids });
  });

  test("lives for its time to live", async () => {
    await submitOne({}, "key");
    const [row] = await ask<{ hours: number }>(
      database,
      "select (extract(epoch from expires_at - now()) / 3600)::float8 as hours from taskiq.idempotency",
    );
    expect(row?.hours).toBeCloseTo(24, 2);
  });

  test("used by 50 requests at once is one statement, one task and one answer", async () => {
    const before = database.statements;
    const answers = await Promise.all(Array.from({ length: 50 }, () => submitOne({ input: 1 }, "key")));
    await announcer.idle();
    expect(new Set(answers.flatMap(({ ids }) => ids)).size).toBe(1);
    expect(answers.filter(({ kind }) => kind === "created")).toHaveLength(1);
    expect(database.statements - before).toBeLessThanOrEqual(2);
    expect(await readTasks(database)).toHaveLength(1);
  });

  test("used at once with another request: the first is accepted, the other refused", async () => {
    const [first, second] = await Promise.allSettled([submitOne({ input: 1 }, "key"), submitOne({ input: 2 }, "key")]);
    expect(first.status).toBe("fulfilled");
    expect(second).toMatchObject({ reason: { code: "idempotency_mismatch" } });
    expect((await readTasks(database)).map((row) => row.input)).toEqual(["1"]);
  });

  test("used at once in several processes is one task and one answer", async () => {
    const others = Array.from({ length: 4 }, (_, index) =>
      openDatabase({ connectionString: testDatabase.url, max: 2, applicationName: `process ${index}` }),
    );
    const submitters = others.map((other) => submitterOn(other));
    for (let round = 0; round < 10; round++) {
      const options = { tenant: "default", idempotencyKey: `key ${round}` };
      const answers = await Promise.all(
        submitters.map((each) => each.submit([{ task: "demo", input: round }], options)),
      );
      expect(new Set(answers.flatMap(({ ids }) => ids)).size).toBe(1);
      expect(answers.filter(({ kind }) => kind === "created")).toHaveLength(1);
    }
    expect(await readTasks(database)).toHaveLength(10);
    await Promise.all(others.map((other) => other.close()));
  });

  test("used at once in two processes with different requests: one is accepted, the other refused", async () => {
    const other = openDatabase({ connectionString: testDatabase.url, max: 2, applicationName: "other process" });
    const elsewhere = submitterOn(other);
    for (let round = 0; round < 10; round++) {
      const options = { tenant: "default", idempotencyKey: `key ${round}` };
      const answers = await Promise.allSettled([
        submitter.submit([{ task: "demo", input: 1 }], options),
        elsewhere.submit([{ task: "demo", input: 2 }], options),
      ]);
      expect(answers.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
      const refused = answers.find((answer) => answer.status === "rejected");
      expect(refused?.reason).toMatchObject({ code: "idempotency_mismatch" });
    }
    expect(await readTasks(database)).toHaveLength(10);
    await other.close();
  });

  test("waits for the process that is using it, and reads what that one made", async () => {
    const racing = openDatabase({ connectionString: testDatabase.url, max: 2, applicationName: "racing" });
    const { ids } = await submitOne({ input: 1 }, "key");
    const [held] = await ask(database, "delete from taskiq.idempotency returning *");
    const holder = await hold(database, (tx) =>
      tx.raw.query("insert into taskiq.idempotency values ('default', 'key', $1, $2, now() + interval '1 hour')", [
        held?.request_hash,
        held?.task_id,
      ]),
    );
    const waiting = submitterOn(racing).submit([{ task: "demo", input: 1 }], {
      tenant: "default",
      idempotencyKey: "key",
    });
    await untilWaiting(database, "racing");
    await holder.end();
    expect(await waiting).toEqual({ kind: "replayed", ids });
    await racing.close();
  });

  test("is free when the process that was using it gave up", async () => {
    const racing = openDatabase({ connectionString: testDatabase.url, max: 2, applicationName: "racing" });
    const holder = await hold(database, (tx) =>
      tx.raw.query(
        "insert into taskiq.idempotency values ('default', 'key', 'other', gen_random_uuid(), now() + interval '1 hour')",
      ),
    );
    const waiting = submitterOn(racing).submit([{ task: "demo", input: 1 }], {
      tenant: "default",
      idempotencyKey: "key",
    });
    await untilWaiting(database, "racing");
    await holder.end("undo");
    expect(await waiting).toMatchObject({ kind: "created" });
    await racing.close();
  });

  test("that another process holds for too long fails its own request only, as unavailable", async () => {
    const racing = openDatabase({
      connectionString: testDatabase.url,
      max: 4,
      applicationName: "racing",
      lockTimeoutMs: 200,
    });
    const holder = await hold(database, (tx) =>
      tx.raw.query(
        "insert into taskiq.idempotency values ('default', 'held', 'other', gen_random_uuid(), now() + interval '1 hour')",
      ),
    );
    const elsewhere = submitterOn(racing);
    const [held, other] = await Promise.allSettled([
      elsewhere.submit([{ task: "demo", input: 1 }], { tenant: "default", idempotencyKey: "held" }),
      elsewhere.submit([{ task: "demo", input: 2 }], { tenant: "default" }),
    ]);
    await holder.end("undo");
    await racing.close();
    expect(other).toMatchObject({ status: "fulfilled", value: { kind: "created" } });
    expect(held).toMatchObject({ status: "rejected", reason: { code: "database_unavailable" } });
  });

  test("that cannot be read does not take back the tasks accepted in the same statement", async () => {
    const racing = openDatabase({
      connectionString: testDatabase.url,
      max: 4,
      applicationName: "racing",
      lockTimeoutMs: 300,
    });
    const locking = openDatabase({ connectionString: testDatabase.url, max: 1, applicationName: "locking" });
    const holder = await hold(database, (tx) =>
      tx.raw.query(
        "insert into taskiq.idempotency values ('default', 'held', 'other', gen_random_uuid(), now() + interval '1 hour')",
      ),
    );
    const elsewhere = submitterOn(racing);
    const both = Promise.allSettled([
      elsewhere.submit([{ task: "demo", input: 1 }], { tenant: "default", idempotencyKey: "held" }),
      elsewhere.submit([{ task: "demo", input: 2 }], { tenant: "default" }),
    ]);
    await untilWaiting(database, "racing");
    // Queued behind the statement that accepts; in front of the one that reads.
    const lock = hold(locking, (tx) => tx.raw.query("lock table taskiq.idempotency in access exclusive mode"));
    await untilWaiting(database, "locking");
    await holder.end();
    const [held, other] = await both;
    await (await lock).end();
    await locking.close();
    await racing.close();
    expect(await readTasks(database)).toHaveLength(1);
    expect(other).toMatchObject({ status: "fulfilled", value: { kind: "created" } });
    expect(held).toMatchObject({ status: "rejected", reason: { code: "database_unavailable" } });
  });

  test("and many more in shuffled order from several processes: no deadlock, one task a key", async () => {
    const others = Array.from({ length: 4 }, (_, index) =>
      openDatabase({ connectionString: testDatabase.url, max: 4, applicationName: `process ${index}` }),
    );
    const submitters = others.map((other) => submitterOn(other));
    const keys = Array.from({ length: 40 }, (_, index) => `key ${index}`);
    const answers = await Promise.all(
      submitters.flatMap((each, seed) =>
        shuffled(keys, seed).map(async (idempotencyKey) => {
          const { ids } = await each.submit([{ task: "demo", input: idempotencyKey }], {
            tenant: "default",
            idempotencyKey,
          });
          return `${idempotencyKey} ${ids[0]}`;
        }),
      ),
    );
    expect(new Set(answers).size).toBe(keys.length);
    expect(await readTasks(database)).toHaveLength(keys.length);
    await Promise.all(others.map((other) => other.close()));
  });
});

test("statements that share keys in different orders wait for each other, and never in a circle", async () => {
  const racing = openDatabase({ connectionString: testDatabase.url, max: 4, applicationName: "racing" });
  for (let round = 0; round < 5; round++) {
    const [a, b] = [`a ${round}`, `b ${round}`];
    const holder = await hold(database, (tx) =>
      tx.raw.query(
        "insert into taskiq.idempotency values ('default', $1, 'other', gen_random_uuid(), now() + interval '1 hour')",
        [a],
      ),
    );
    const statements = [
      [a, b],
      [b, a],
    ].map((keys) => racing.query<{ id: string }>(SUBMIT, keyed(keys)));
    await untilStuck(database, "racing", statements);
    await holder.end("undo");
    const created = (await Promise.all(statements)).flat();
    expect(created).toHaveLength(2);
  }
  await racing.close();
});

/** One task a key, as the statement takes them; the submitter would repeat it after a deadlock. */
function keyed(keys: readonly string[]): unknown[] {
  const ids = keys.map(() => randomUUID());
  const all = (value: unknown) => keys.map(() => value);
  const place = [all(null), all("demo"), all("default"), all("default"), all(0), all(0), all(null)];
  const content = [all(null), all(null), all("1"), all(null), all(null)];
  const policy = [all(1), all(1), all(1), all(1), all(1), all(1), all("inline"), all("requeue")];
  return [
    ids,
    ...place,
    ...content,
    ...policy,
    ids,
    keys,
    all(Buffer.from("hash")),
    TTL_MS,
    5_000,
    all(null),
    all(false),
    all(null),
  ];
}

describe("a connection that is lost while the answer is on its way", () => {
  test.each([[undefined], ["key"]])("makes one task, and the caller hears of it (key: %s)", async (idempotencyKey) => {
    const target = new URL(testDatabase.url);
    const proxy = await startTcpProxy({ host: target.hostname, port: Number(target.port) });
    target.hostname = proxy.host;
    target.port = String(proxy.port);
    const through = openDatabase({ connectionString: target.href, max: 1, applicationName: "through proxy" });
    await through.ping(5_000);
    proxy.silence("to_client");
    const answer = submitterOn(through).submit(
      [
        { task: "demo", input: 1 },
        { task: "demo", input: 2 },
      ],
      { tenant: "default", idempotencyKey },
    );
    await until(async () => (await readTasks(database)).length === 2);
    proxy.cut();
    proxy.restore();
    const { kind, ids } = await answer;
    expect(kind).toBe("created");
    expect((await readTasks(database)).map((row) => row.id)).toEqual([...ids].sort());
    await through.close();
    await proxy.close();
  });
});

test("while the database is away says so, with a code that tells the caller to repeat", async () => {
  const away = openDatabase({
    connectionString: "postgres://postgres@127.0.0.1:9/postgres",
    max: 1,
    applicationName: "away",
    connectTimeoutMs: 500,
  });
  const refused = submitterOn(away).submit([{ task: "demo", input: 1 }], { tenant: "default", idempotencyKey: "key" });
  await expect(refused).rejects.toMatchObject({ code: "database_unavailable" });
  await away.close();
});

describe("hooks", () => {
  test("see each task on its way, pre in order, post reversed; preSend may change labels and trace context", async () => {
    const calls: string[] = [];
    const middleware = (name: string): Middleware => ({
      name,
      preSend(task) {
        calls.push(`preSend ${name}`);
        task.labels[name] = "seen";
        task.traceContext = `trace ${name}`;
      },
      postSend: () => void calls.push(`postSend ${name}`),
    });
    const { ids } = await submitterOn(database, [middleware("a"), middleware("b")]).submit(
      [{ task: "demo", input: null, labels: { own: "1" } }],
      { tenant: "default" },
    );
    expect(calls).toEqual(["preSend a", "preSend b", "postSend b", "postSend a"]);
    expect(await readTask(database, ids[0] ?? "")).toMatchObject({
      labels: '{"own":"1","a":"seen","b":"seen"}',
      trace_context: "trace b",
    });
  });

  test("that throw, in every position, do not lose the task", async () => {
    const broken: Middleware = {
      name: "broken",
      preSend: () => Promise.reject(null),
      postSend() {
        throw new Error("no metrics");
      },
    };
    const calm: Middleware = {
      name: "calm",
      preSend(task) {
        task.labels.calm = "1";
      },
    };
    for (const middlewares of [
      [broken, calm],
      [calm, broken],
    ]) {
      const { ids } = await submitterOn(database, middlewares).submit([{ task: "demo", input: 1 }], {
        tenant: "default",
      });
      expect(await readTask(database, ids[0] ?? "")).toMatchObject({ labels: '{"calm":"1"}' });
    }
    expect(lines.filter((line) => line.event === "hook.failed")).toHaveLength(4);
  });

  test("that write what the database cannot store cost their own task only", async () => {
    const odd: Middleware = {
      name: "odd",
      preSend(task) {
        if (task.labels.odd !== undefined) task.traceContext = "\u0000";
      },
    };
    const withHook = submitterOn(database, [odd]);
    const [refused, accepted] = await Promise.allSettled([
      withHook.submit([{ task: "demo", input: 1, labels: { odd: "1" } }], { tenant: "default" }),
      withHook.submit([{ task: "demo", input: 2 }], { tenant: "default" }),
    ]);
    expect([refused.status, accepted.status]).toEqual(["rejected", "fulfilled"]);
  });

  test("postSend is not told of a task that was not made: a replay sends nothing", async () => {
    const sent: string[] = [];
    const ear: Middleware = { name: "ear", postSend: (task) => void sent.push(task.id) };
    const options = { tenant: "default", idempotencyKey: "key" };
    const { ids } = await submitterOn(database, [ear]).submit([{ task: "demo", input: 1 }], options);
    await submitterOn(database, [ear]).submit([{ task: "demo", input: 1 }], options);
    expect(sent).toEqual(ids);
  });
});

test("idle resolves when every submission taken so far is answered", async () => {
  const answers = Array.from({ length: 20 }, (_, input) => submitOne({ input }));
  let answered = 0;
  for (const answer of answers) void answer.then(() => answered++);
  await Promise.all(answers);
  await submitter.idle();
  expect(answered).toBe(20);
});

function cycle(): unknown {
  const value: Record<string, unknown> = {};
  value.self = value;
  return value;
}

function nested(levels: number): unknown {
  let value: unknown = [];
  for (let level = 1; level < levels; level++) value = [value];
  return value;
}

describe("tags", () => {
  const tagged = (labels: Record<string, string>, more: Partial<TaskRequest> = {}) => submitOne({ labels, ...more });
  const placed = async ({ ids }: Submitted) => {
    const { queue, priority } = await readTask(database, ids[0] ?? "");
    return { queue, priority };
  };

  test("say where a task goes, and a field of its own says more", async () => {
    const tags = { "taskiq/queue": "slow", "taskiq/priority": "-7" };
    expect(await placed(await tagged(tags))).toEqual({ queue: "slow", priority: -7 });
    const said = await tagged(tags, { queue: "default", priority: 3 });
    expect(await placed(said)).toEqual({ queue: "default", priority: 3 });
  });

  test.each(["101", "-101", "1.5", "high", "", " 1"])("with the priority %j are refused", async (text) => {
    await expect(tagged({ "taskiq/priority": text })).rejects.toMatchObject({
      code: "request_invalid",
      message: expect.stringContaining("labels.taskiq/priority: expected a whole number from -100 to 100"),
    });
  });

  test("with a queue that there is not are refused", async () => {
    await expect(tagged({ "taskiq/queue": "nowhere" })).rejects.toMatchObject({ code: "unknown_queue" });
  });
});
