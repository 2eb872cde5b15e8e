/** Enqueue from TypeScript, on a transaction of the test's own. */
import { randomUUID } from "node:crypto";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { systemClock as clock } from "../../runtime/clock.ts";
import { createRegistry } from "../../runtime/define/registry.ts";
import { defineTask } from "../../runtime/define/task.ts";
import { type EnqueueOptions, enqueue } from "../../runtime/enqueue/index.ts";
import { publish } from "../../runtime/enqueue/publish.ts";
import { TaskiqError } from "../../runtime/errors.ts";
import { DEFAULT_QUEUE_OPTIONS } from "../../runtime/model/queue.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { commitClient } from "../../runtime/worker/commit-client.ts";
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from "../support/database.ts";
import { ask, clearTasks, readOutbox, readTask, readTasks } from "../support/tasks.ts";
import { until } from "../support/until.ts";

const INLINE_BYTES = 1_000;

const receipt = defineTask({
  name: "orders.receipt",
  input: z.object({ order: z.int() }),
  queue: "slow",
  priority: 4,
  retry: { maxAttempts: 7, backoffMs: 11, maxBackoffMs: 13 },
  timeoutMs: 17,
  graceMs: 19,
  maxLosses: 2,
  onLost: "fail",
  run: () => null,
});
/** No process has made it known. */
const unpublished = defineTask({
  name: "unpublished",
  input: z.unknown(),
  priority: -3,
  timeoutMs: 99,
  run: () => null,
});

let testDatabase: TestDatabase;
let database: Database;
let client: pg.Client;
let other: pg.Client;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 3, applicationName: "enqueue test" });
  await publish(
    database,
    {
      registry: createRegistry([receipt]),
      queues: [
        { name: "default", options: DEFAULT_QUEUE_OPTIONS },
        { name: "slow", options: DEFAULT_QUEUE_OPTIONS },
        { name: "ordered", options: { ...DEFAULT_QUEUE_OPTIONS, type: "fifo" } },
      ],
      inlinePayloadBytes: INLINE_BYTES,
      maxDelayMs: 3_600_000,
      idempotencyTtlMs: 60_000,
    },
    clock,
  );
  client = new pg.Client({ connectionString: testDatabase.url });
  other = new pg.Client({ connectionString: testDatabase.url });
  await Promise.all([client.connect(), other.connect()]);
  await client.query("create table orders (id int primary key)");
});

beforeEach(async () => {
  // What a failed test has left open; only a warning where nothing is.
  await client.query("rollback");
  await clearTasks(database);
  await ask(database, "delete from taskiq.tombstone; delete from orders");
});

afterAll(async () => {
  await Promise.all([client.end(), other.end()]);
  await database.close();
  await testDatabase.drop();
});

async function refusal(promise: Promise<unknown>): Promise<TaskiqError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof TaskiqError)) throw new Error("expected a refusal", { cause: error });
  return error;
}

/** On the connection that waits: until Postgres says that it waits for a lock. */
async function untilWaiting(waiter: pg.Client): Promise<void> {
  // `processID` is set once connected, and not in the types.
  const pid = (waiter as unknown as { processID: number }).processID;
  await until(async () => {
    const [row] = await ask(database, "select wait_event_type as type from pg_stat_activity where pid = $1", [pid]);
    return row?.type === "Lock";
  });
}

describe("the transaction of the caller", () => {
  test("makes task and doorbell visible with its commit, and not before", async () => {
    await client.query("begin");
    await client.query("insert into orders values (1)");
    const id = await enqueue(client, receipt, { order: 1 });
    expect(await readTasks(database)).toEqual([]);
    await client.query("commit");
    expect(await readTask(database, id)).toMatchObject({
      state: "queued",
      name: "orders.receipt",
      queue: "slow",
      tenant: "default",
      priority: 4,
      input: '{"order":1}',
      timeout_ms: 17,
      grace_ms: 19,
      max_attempts: 7,
      backoff_ms: 11,
      max_backoff_ms: 13,
      max_losses: 2,
      on_lost: "fail",
      labels: null,
    });
    const [doorbell, ...more] = await readOutbox(database, id);
    expect(doorbell).toMatchObject({ kind: "doorbell", queue: "slow" });
    // Due at once: no submitter rings for it by itself.
    expect(doorbell?.send_in_ms).toBeLessThanOrEqual(0);
    expect(more).toEqual([]);
  });

  test("leaves nothing behind when it is rolled back", async () => {
    const id = randomUUID();
    await ask(database, "insert into taskiq.tombstone (id) values ($1)", [id]);
    await client.query("begin");
    await enqueue(client, receipt, { order: 1 }, { idempotencyKey: "once" });
    await enqueue(client, receipt, { order: 1 }, { id });
    await client.query("rollback");
    const [left] = await ask(
      database,
      `select (select count(*) from taskiq.task)::int as tasks, (select count(*) from taskiq.outbox)::int as outbox,
              (select count(*) from taskiq.idempotency)::int as keys, (select count(*) from taskiq.tombstone)::int as tombstones`,
    );
    expect(left).toEqual({ tasks: 0, outbox: 0, keys: 0, tombstones: 1 });
  });

  test("goes on after a bad input, which is found before anything is sent", async () => {
    await client.query("begin");
    const error = await refusal(enqueue(client, receipt, { order: 1.5 }));
    expect(error).toMatchObject({ code: "input_invalid", details: { issues: [{ path: "input.order" }] } });
    await client.query("insert into orders values (2)");
    await client.query("commit");
    expect((await client.query("select * from orders")).rows).toEqual([{ id: 2 }]);
  });

  test("goes on from a savepoint after a refusal", async () => {
    await client.query("begin");
    await client.query("savepoint before");
    expect((await refusal(enqueue(client, "absent", {}))).code).toBe("unknown_task");
    await client.query("rollback to before");
    await enqueue(client, receipt, { order: 3 });
    await client.query("commit");
    expect(await readTasks(database)).toHaveLength(1);
  });

  test("dates the task when it was enqueued, not when the transaction began", async () => {
    await client.query("begin");
    const id = await enqueue(client, receipt, { order: 1 });
    const { rows } = await client.query("select created_at > now() as late from taskiq.task where id = $1", [id]);
    await client.query("commit");
    expect(rows).toEqual([{ late: true }]);
  });
});

describe("the order", () => {
  test("within one transaction is that of the calls: by due time, and by id", async () => {
    await client.query("begin");
    const ids: string[] = [];
    for (let order = 0; order < 200; order++) {
      ids.push(await enqueue(client, receipt, { order }, { queue: "ordered", orderingKey: "one" }));
    }
    await client.query("commit");
    const rows = await ask<{ id: string }>(database, "select id from taskiq.task order by ordered_at, id");
    expect(rows.map(({ id }) => id)).toEqual(ids);
    expect(ids.toSorted()).toEqual(ids);
    const byDoorbell = await ask<{ task_id: string }>(database, "select task_id from taskiq.outbox order by id");
    expect(byDoorbell.map(({ task_id }) => task_id)).toEqual(ids);
  });

  test("without a key makes every task a group of its own", async () => {
    const id = await enqueue(client, receipt, { order: 1 }, { queue: "ordered" });
    expect(await ask(database, "select group_key from taskiq.task")).toEqual([{ group_key: `default/${id}` }]);
  });
});

describe("options", () => {
  test("reach the row", async () => {
    const id = randomUUID();
    const options: EnqueueOptions = {
      queue: "ordered",
      priority: -7,
      delayMs: 60_500,
      orderingKey: "key",
      labels: { b: "1", a: "ä" },
      tenant: "acme",
      id,
      traceContext: "00-trace",
    };
    expect(await enqueue(client, receipt, { order: 1 }, options)).toBe(id);
    const row = await readTask(database, id);
    expect(row).toMatchObject({
      queue: "ordered",
      priority: -7,
      tenant: "acme",
      labels: '{"b":"1","a":"ä"}',
      trace_context: "00-trace",
    });
    expect(row.due_in_ms).toBeGreaterThan(55_000);
    expect(row.due_in_ms).toBeLessThan(60_501);
    const [doorbell] = await readOutbox(database, id);
    expect(doorbell?.send_in_ms).toBeCloseTo(row.due_in_ms, -3);
  });

  test("take a time, and one that is past is now", async () => {
    const inAnHour = new Date(clock.wallMs() + 3_000_000);
    const later = await readTask(database, await enqueue(client, receipt, { order: 1 }, { notBefore: inAnHour }));
    expect(later.due_in_ms).toBeGreaterThan(2_900_000);
    const now = await readTask(database, await enqueue(client, receipt, { order: 1 }, { notBefore: new Date(0) }));
    expect(now.due_in_ms).toBeGreaterThan(-5_000);
  });

  test.each<[EnqueueOptions, string, RegExp]>([
    [
      { priority: 101 },
      "request_invalid",
      /options\.priority: expected an integer from -100 to 100, got 101\. Correct/,
    ],
    [{ priority: Number.NaN }, "request_invalid", /options: .*NaN/],
    [{ delayMs: -1 }, "request_invalid", /options\.delay_seconds: expected a number from 0 to 3600, got -0\.001/],
    [
      { delayMs: 3_600_001 },
      "request_invalid",
      /options\.delay_seconds: expected a number from 0 to 3600, got 3600\.001/,
    ],
    [
      { notBefore: new Date(Date.UTC(2999, 0)) },
      "request_invalid",
      /options\.not_before: expected at most 3600 seconds/,
    ],
    [{ notBefore: new Date(Number.NaN) }, "request_invalid", /options: /],
    [{ delayMs: 1, notBefore: new Date(0) }, "request_invalid", /expected delay_seconds or not_before, got both/],
    [{ queue: "absent" }, "unknown_queue", /queue: expected one of default, ordered, slow, got "absent"/],
    [
      { orderingKey: "key" },
      "request_invalid",
      /options\.ordering_key: expected none, as the queue slow is not a FIFO/,
    ],
    [{ queue: "ordered", orderingKey: "" }, "request_invalid", /options\.ordering_key: expected a text of 1 to 200/],
    [{ labels: { taskiq_aws: "x" } }, "request_invalid", /options\.labels\.taskiq_aws: expected another name/],
    [
      { labels: { a: "x".repeat(1_001) } },
      "request_invalid",
      /options\.labels\.a: expected at most 1000 characters, got 1001/,
    ],
    [{ labels: { a: "\u0000" } }, "request_invalid", /options: expected values that Postgres can store/],
    [{ tenant: "" }, "request_invalid", /options\.tenant: expected a text of 1 to 200 characters, got ""/],
    [{ idempotencyKey: "x".repeat(256) }, "request_invalid", /options\.idempotency_key: expected a text of 1 to 255/],
    [{ id: "not-a-uuid" }, "request_invalid", /options\.id: expected a uuid, got not-a-uuid/],
  ])("are refused with what to do: %o", async (options, code, message) => {
    const error = await refusal(enqueue(client, receipt, { order: 1 }, options));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(await readTasks(database)).toEqual([]);
  });
});

describe("a task", () => {
  test("whose definition is at hand need not be known to SQL", async () => {
    const id = await enqueue(client, unpublished, { any: "thing" });
    expect(await readTask(database, id)).toMatchObject({
      name: "unpublished",
      queue: "default",
      priority: -3,
      timeout_ms: 99,
      max_attempts: 3,
    });
  });

  test("may be named, and then has what the processes have made known", async () => {
    const id = await enqueue(client, "orders.receipt", { whatever: true });
    expect(await readTask(database, id)).toMatchObject({ queue: "slow", timeout_ms: 17, input: '{"whatever":true}' });
  });

  test("that nobody knows is refused with those that are known", async () => {
    const error = await refusal(enqueue(client, "orders.recipt"));
    expect(error.message).toMatch(
      /expected the name of a task, got "orders\.recipt". Known: orders\.receipt\. API and/,
    );
  });

  test("without input has none", async () => {
    const id = await enqueue(client, "orders.receipt");
    expect((await readTask(database, id)).input).toBeNull();
  });

  test("keeps the exact text of its input", async () => {
    const input = { zero: -0, text: 'U+0000 \u0000, 🚀, "quoted"', z: 1, a: [1e21, null] };
    const id = await enqueue(client, unpublished, input);
    const row = await readTask(database, id);
    expect(row.input).toContain("-0.0");
    expect(row.input).toContain("\\u0000");
    expect(JSON.parse(row.input ?? "")).toEqual(input);
  });

  test("with an input above the inline limit is refused with what to do instead", async () => {
    const most = "x".repeat(INLINE_BYTES - 2);
    await enqueue(client, unpublished, most);
    const error = await refusal(enqueue(client, unpublished, `${most}x`));
    expect(error).toMatchObject({
      code: "payload_too_large",
      message: expect.stringMatching(/input: expected at most 1000 bytes, got 1001\. Keep it in a row or an object/),
    });
  });

  test("with an input that is no JSON is refused before anything is sent", async () => {
    expect((await refusal(enqueue(client, unpublished, 1n))).code).toBe("input_not_storable");
  });
});

describe("an idempotency key", () => {
  const options = { idempotencyKey: "once" };

  test("makes one task, whatever the order of the options and the trace", async () => {
    const id = await enqueue(client, receipt, { order: 1 }, { ...options, priority: 1, traceContext: "a" });
    expect(await enqueue(client, receipt, { order: 1 }, { traceContext: "b", priority: 1, ...options })).toBe(id);
    expect(await readTasks(database)).toHaveLength(1);
    expect(await readOutbox(database)).toHaveLength(1);
  });

  test("is refused for another request, and belongs to its tenant", async () => {
    const id = await enqueue(client, receipt, { order: 1 }, options);
    const error = await refusal(enqueue(client, receipt, { order: 2 }, options));
    expect(error).toMatchObject({ code: "idempotency_mismatch", message: expect.stringContaining('"once"') });
    expect(await enqueue(client, receipt, { order: 2 }, { ...options, tenant: "acme" })).not.toBe(id);
  });

  test("stands for the same request after a deployment that changes the task's policy", async () => {
    const id = await enqueue(client, unpublished, 1, options);
    const changed = defineTask({
      name: "unpublished",
      input: z.unknown(),
      timeoutMs: 1_000,
      priority: 9,
      run: () => null,
    });
    expect(await enqueue(client, changed, 1, options)).toBe(id);
  });

  test("waits for a transaction that has it, and takes its task", async () => {
    await client.query("begin");
    const id = await enqueue(client, receipt, { order: 1 }, options);
    const second = enqueue(other, receipt, { order: 1 }, options);
    await untilWaiting(other);
    await client.query("commit");
    expect(await second).toBe(id);
  });

  test("waits for a transaction that has it, and is free after its rollback", async () => {
    await client.query("begin");
    const id = await enqueue(client, receipt, { order: 1 }, options);
    const second = enqueue(other, receipt, { order: 1 }, options);
    await untilWaiting(other);
    await client.query("rollback");
    expect(await second).not.toBe(id);
    expect(await readTasks(database)).toMatchObject([{ id: await second }]);
  });

  test("that has expired is taken over", async () => {
    const id = await enqueue(client, receipt, { order: 1 }, options);
    await ask(database, "update taskiq.idempotency set expires_at = now()");
    expect(await enqueue(client, receipt, { order: 2 }, options)).not.toBe(id);
  });

  test("makes one task for twenty callers at once", async () => {
    const clients = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const one = new pg.Client({ connectionString: testDatabase.url });
        await one.connect();
        return one;
      }),
    );
    const ids = await Promise.all(clients.map((one) => enqueue(one, receipt, { order: 1 }, options)));
    await Promise.all(clients.map((one) => one.end()));
    expect(new Set(ids).size).toBe(1);
    expect(await readTasks(database)).toHaveLength(1);
  });
});

describe("an id", () => {
  test("that a task has already is refused", async () => {
    const id = await enqueue(client, receipt, { order: 1 });
    const error = await refusal(enqueue(client, receipt, { order: 1 }, { id }));
    expect(error).toMatchObject({ code: "task_exists", message: expect.stringContaining(id) });
  });

  test("that was cancelled before it came makes a cancelled task, which is never announced", async () => {
    const id = randomUUID();
    await ask(database, "insert into taskiq.tombstone (id, reason) values ($1, 'not wanted')", [id]);
    expect(await enqueue(client, receipt, { order: 1 }, { id })).toBe(id);
    expect(await readTask(database, id)).toMatchObject({ state: "cancelled", cancel_requested: true, finished: true });
    expect(await ask(database, "select cancel_reason, error ->> 'code' as code from taskiq.task")).toEqual([
      { cancel_reason: "not wanted", code: "cancelled" },
    ]);
    expect(await readOutbox(database)).toEqual([]);
    expect(await ask(database, "select id from taskiq.tombstone")).toEqual([]);
  });
});

describe("a client", () => {
  test("that is a pool is refused: its statements are in no transaction", async () => {
    const pool = new pg.Pool({ connectionString: testDatabase.url, max: 1 });
    const error = await refusal(enqueue(pool, receipt, { order: 1 }));
    expect(error.message).toContain("Pass what pool.connect() returns");
    const pooled = await pool.connect();
    await enqueue(pooled, receipt, { order: 1 });
    pooled.release();
    await pool.end();
    expect(await readTasks(database)).toHaveLength(1);
  });

  test("may be what commit(tx) of a task is given: the next task exists when this one is complete", async () => {
    await database.transaction(async (tx) => {
      const { facade } = commitClient(tx);
      await enqueue(facade, receipt, { order: 1 });
      expect(await readTasks(database)).toEqual([]);
    });
    expect(await readTasks(database)).toHaveLength(1);
  });

  test("of a database without the schema is told to migrate it", async () => {
    const empty = await createEmptyDatabase();
    const lost = new pg.Client({ connectionString: empty.url });
    await lost.connect();
    const error = await refusal(enqueue(lost, receipt, { order: 1 }));
    expect(error).toMatchObject({ code: "schema_older", message: expect.stringContaining("taskiq-aws migrate") });
    await lost.end();
    await empty.drop();
  });
});
