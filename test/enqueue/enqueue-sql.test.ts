/** Enqueue from SQL, as any client sends it: text, with the rights that the documentation names and no more. */
import { randomBytes } from "node:crypto";
import fc from "fast-check";
import pg from "pg";
import { version as uuidVersion } from "uuid";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { systemClock as clock } from "../../runtime/clock.ts";
import { createRegistry } from "../../runtime/define/registry.ts";
import { defineTask } from "../../runtime/define/task.ts";
import { enqueue } from "../../runtime/enqueue/index.ts";
import { type Published, publish } from "../../runtime/enqueue/publish.ts";
import { DEFAULT_QUEUE_OPTIONS } from "../../runtime/model/queue.ts";
import { POLICY_LIMITS } from "../../runtime/model/task.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { groupKeyOf } from "../../runtime/wire/group.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { ask, clearTasks, readOutbox, readTask, readTasks } from "../support/tasks.ts";

const ROLE = `enqueuer_${randomBytes(6).toString("hex")}`;
/** As the README says it. */
const GRANTS = `
  grant usage on schema taskiq to ${ROLE};
  grant usage on sequence taskiq.outbox_id_seq to ${ROLE};
  grant select on taskiq.task_definition, taskiq.queue_definition, taskiq.submit_limits to ${ROLE};
  grant insert, select (id) on taskiq.task to ${ROLE};
  grant insert on taskiq.outbox to ${ROLE};
  grant insert, select, update on taskiq.idempotency, taskiq.limit_key to ${ROLE};
  grant select, delete on taskiq.tombstone to ${ROLE};`;

const sleep = defineTask({ name: "sleep", input: z.unknown(), timeoutMs: 1_234, run: () => null });
const PUBLISHED: Published = {
  registry: createRegistry([sleep]),
  queues: [
    { name: "default", options: DEFAULT_QUEUE_OPTIONS },
    { name: "ranked", options: { ...DEFAULT_QUEUE_OPTIONS, order: "priority" } },
    { name: "ordered", options: { ...DEFAULT_QUEUE_OPTIONS, type: "fifo" } },
  ],
  inlinePayloadBytes: 65_536,
  maxDelayMs: 60_000,
  idempotencyTtlMs: 60_000,
};

let testDatabase: TestDatabase;
let database: Database;
let client: pg.Client;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 3, applicationName: "enqueue sql test" });
  await publish(database, PUBLISHED, clock);
  await ask(database, `create role ${ROLE} login password 'test'; ${GRANTS}`);
  const url = new URL(testDatabase.url);
  url.username = ROLE;
  url.password = "test";
  client = new pg.Client({ connectionString: url.href });
  await client.connect();
});

beforeEach(async () => {
  // What a failed test has left open; only a warning where nothing is.
  await client.query("rollback");
  await clearTasks(database);
});

afterAll(async () => {
  await client.end();
  await ask(database, `drop owned by ${ROLE}; drop role ${ROLE}`);
  await database.close();
  await testDatabase.drop();
});

/** A statement without parameters, as psql sends it. */
async function psql(text: string): Promise<Record<string, unknown>> {
  const { rows } = await client.query(text);
  return rows[0];
}

async function refusal(text: string): Promise<pg.DatabaseError> {
  const error = await client.query(text).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof pg.DatabaseError)) throw new Error("expected an error of the server", { cause: error });
  return error;
}

describe("select taskiq.enqueue(…)", () => {
  test("makes a task with the two arguments that it needs", async () => {
    const { id } = await psql(`select taskiq.enqueue('sleep', '{"duration_seconds": 1}') as id`);
    expect(await readTask(database, String(id))).toMatchObject({
      state: "queued",
      input: '{"duration_seconds": 1}',
      timeout_ms: 1_234,
    });
    expect(await readOutbox(database, String(id))).toHaveLength(1);
    expect(uuidVersion(String(id))).toBe(7);
    const stamp = Number.parseInt(String(id).replaceAll("-", "").slice(0, 12), 16);
    expect(Math.abs(stamp - clock.wallMs())).toBeLessThan(60_000);
  });

  test("takes its arguments by name, and any JSON that is built on the way", async () => {
    await psql(`
      select taskiq.enqueue(
        task => 'sleep',
        input => json_build_object('order', 42),
        options => json_build_object('queue', 'ranked', 'priority', 9, 'delay_seconds', 1.5)
      )`);
    const [row] = await readTasks(database);
    expect(row).toMatchObject({ queue: "ranked", priority: 9, input: '{"order" : 42}' });
    expect(await ask(database, "select by_rank from taskiq.task")).toEqual([{ by_rank: true }]);
  });

  test("makes a task for every row of a query, all or none", async () => {
    await psql("begin");
    await psql("select taskiq.enqueue('sleep', to_json(n)) from generate_series(1, 500) n");
    expect(await readTasks(database)).toEqual([]);
    await psql("commit");
    expect((await readTasks(database)).map(({ input }) => Number(input))).toEqual(
      Array.from({ length: 500 }, (_, index) => index + 1),
    );
    await refusal(
      "select taskiq.enqueue(case n when 3 then 'absent' else 'sleep' end, 'null') from generate_series(1, 5) n",
    );
    expect(await readTasks(database)).toHaveLength(500);
  });

  test("joins a trigger of the caller's own table", async () => {
    await ask(
      database,
      `create table public.orders (id int);
       create function public.on_order() returns trigger language plpgsql as $$
         begin perform taskiq.enqueue('sleep', json_build_object('order', new.id)); return new; end $$;
       create trigger on_order after insert on public.orders for each row execute function public.on_order();
       grant insert on public.orders to ${ROLE}`,
    );
    await psql("insert into orders values (7)");
    expect(await readTasks(database)).toMatchObject([{ input: '{"order" : 7}' }]);
  });

  test("does not depend on the session: search path, time zone, date style", async () => {
    await psql("begin");
    await client.query(
      "set local search_path = pg_catalog; set local timezone = 'Asia/Tokyo'; set local datestyle = 'SQL, DMY'",
    );
    await psql(
      `select taskiq.enqueue('sleep', '1', json_build_object('not_before', to_char(now() at time zone 'utc' + interval '30 s', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')))`,
    );
    await psql("commit");
    const [row] = await readTasks(database);
    expect(row?.due_in_ms).toBeGreaterThan(20_000);
    expect(row?.due_in_ms).toBeLessThan(31_000);
  });

  test.each([
    ["null", null],
    [" null ", null],
    ["0", "0"],
    ['"null"', '"null"'],
  ])("stores the input %j as %j", async (input, stored) => {
    await client.query("select taskiq.enqueue('sleep', $1)", [input]);
    expect((await readTasks(database))[0]?.input).toBe(stored);
  });
});

describe("a task that no process has made known", () => {
  test("is refused with a code, what is known, and what to do", async () => {
    const error = await refusal("select taskiq.enqueue('sleeep', '{}')");
    expect(error).toMatchObject({
      code: "22023",
      message: 'taskiq.enqueue: task: expected the name of a task, got "sleeep". Known: sleep',
      detail: "code unknown_task",
      hint: expect.stringContaining("options.policy, {} at least"),
    });
    expect(await refusal("select taskiq.enqueue(null, '{}')")).toMatchObject({ detail: "code unknown_task" });
    expect(await refusal(`select taskiq.enqueue('a b', '{}', '{"policy":{}}')`)).toMatchObject({
      detail: "code unknown_task",
    });
  });

  test("is taken with a policy, whose gaps are the defaults of a definition", async () => {
    await psql(`select taskiq.enqueue('sleeep', '{}', '{"policy": {"max_attempts": 9, "queue": "ranked"}}')`);
    const [row] = await readTasks(database);
    expect(row).toMatchObject({
      name: "sleeep",
      queue: "ranked",
      priority: 0,
      max_attempts: 9,
      timeout_ms: POLICY_LIMITS.timeoutMs.default,
      grace_ms: POLICY_LIMITS.graceMs.default,
      backoff_ms: POLICY_LIMITS.backoffMs.default,
      max_backoff_ms: POLICY_LIMITS.maxBackoffMs.default,
      max_losses: POLICY_LIMITS.maxLosses.default,
      isolation: "inline",
      on_lost: "requeue",
    });
  });
});

describe("an option", () => {
  test.each(Object.entries(POLICY_LIMITS))("policy.%s has the bounds of a definition", async (name, { min, max }) => {
    const key = name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    const take = (value: number) => `select taskiq.enqueue('sleep', '1', '{"policy":{"${key}":${value}}}')`;
    await psql(take(min));
    await psql(take(max));
    for (const value of [min - 1, max + 1, 1.5]) {
      const error = await refusal(take(value));
      expect(error.message).toBe(
        `taskiq.enqueue: options.policy.${key}: expected an integer from ${min} to ${max}, got ${value}`,
      );
    }
  });

  test.each([
    ["[]", /options: expected an object, got \[\]/],
    ["3", /options: expected an object, got 3/],
    ['{"prio": 3}', /options\.prio: there is no such option/],
    ['{"policy": {"timeout": 3}}', /options\.policy\.timeout: there is no such option/],
    ['{"policy": 3}', /options\.policy: expected an object, got 3/],
    [
      '{"policy": {"isolation": "vm"}}',
      /options\.policy\.isolation: expected one of inline, process, command, got "vm"/,
    ],
    ['{"policy": {"on_lost": "ignore"}}', /options\.policy\.on_lost: expected one of requeue, fail, got "ignore"/],
    ['{"policy": {"limits": {}}}', /options\.policy\.limits: expected at most 4 limits of different keys, got \{\}/],
    ['{"policy": {"limits": [{"max": 1}]}}', /options\.policy\.limits: /],
    ['{"policy": {"limits": [{"key": "k", "max": 0}]}}', /options\.policy\.limits: /],
    ['{"policy": {"limits": [{"key": "k", "max": "1"}]}}', /options\.policy\.limits: /],
    ['{"policy": {"limits": [{"key": "k", "interval_ms": 0}]}}', /options\.policy\.limits: /],
    ['{"policy": {"limits": [{"key": "k", "max": 1}, {"key": "k", "max": 2}]}}', /options\.policy\.limits: /],
    [
      '{"queue": "ordered", "policy": {"limits": [{"key": "k", "max": 1}]}}',
      /queue: expected a standard queue in the order/,
    ],
    ['{"priority": "high"}', /options\.priority: expected an integer from -100 to 100, got "high"/],
    ['{"priority": 1e400}', /options\.priority: expected an integer from -100 to 100, got 1000/],
    ['{"queue": 3}', /options\.queue: expected a text of 1 to 200 characters, got 3/],
    ['{"delay_seconds": "1"}', /options\.delay_seconds: expected a number from 0 to 60, got "1"/],
    ['{"not_before": "tomorrow"}', /options\.not_before: expected a time such as 2027-01-31T08:00:00Z, got "tomorrow"/],
    ['{"not_before": "2027-01-31T08:00:00"}', /options\.not_before: expected a time such as/],
    ['{"not_before": "2027-13-31T08:00:00Z"}', /options\.not_before: expected a time such as/],
    ['{"not_before": 1}', /options\.not_before: expected a time such as/],
    ['{"labels": ["a"]}', /options\.labels: expected an object of texts, got \["a"\]/],
    ['{"labels": {"a": 1}}', /options\.labels\.a: expected a text, got 1/],
    ['{"labels": {"a": null}}', /options\.labels\.a: expected a text, got null/],
    ['{"id": 7}', /options\.id: expected a text/],
  ])("that is wrong is refused: %s", async (options, message) => {
    const error = await refusal(`select taskiq.enqueue('sleep', '1', '${options}')`);
    expect(error).toMatchObject({ code: "22023", detail: "code request_invalid", hint: expect.stringMatching(/\.$/) });
    expect(error.message).toMatch(message);
  });

  test("that is null is left out", async () => {
    await psql("select taskiq.enqueue('sleep', '1', null)");
    await psql(`select taskiq.enqueue('sleep', '1', '{"queue":null,"priority":null,"delay_seconds":null,"not_before":null,
      "ordering_key":null,"labels":null,"idempotency_key":null,"tenant":null,"id":null,"trace_context":null,"policy":null}')`);
    expect(await readTasks(database)).toMatchObject([
      { queue: "default", labels: null, tenant: "default" },
      { queue: "default", labels: null, tenant: "default" },
    ]);
  });

  test("idempotency_key that was used for another request is a unique violation", async () => {
    await psql(`select taskiq.enqueue('sleep', '1', '{"idempotency_key":"k"}')`);
    expect(await refusal(`select taskiq.enqueue('sleep', '2', '{"idempotency_key":"k"}')`)).toMatchObject({
      code: "23505",
      detail: "code idempotency_mismatch",
    });
  });
});

describe("a task with limits", () => {
  const perCustomer = defineTask({
    name: "per-customer",
    input: z.object({ customer: z.string() }),
    limits: [
      { key: "all", maxRunning: 7 },
      { key: ({ customer }) => customer, maxRunning: 2 },
    ],
    run: () => null,
  });

  test("whose keys its code makes is refused from SQL, which has not the code, unless they are given", async () => {
    await publish(database, { ...PUBLISHED, registry: createRegistry([perCustomer]) }, clock);
    expect(await refusal(`select taskiq.enqueue('per-customer', '{"customer":"a"}')`)).toMatchObject({
      detail: "code request_invalid",
      message: expect.stringContaining("per-customer, whose limit keys are made from its input"),
      hint: expect.stringContaining("Enqueue it from TypeScript with its definition"),
    });
    await psql(
      `select taskiq.enqueue('per-customer', '{"customer":"a"}', '{"policy":{"limits":[{"key":"mine","max":2,"interval_ms":null}]}}')`,
    );
    expect(await ask(database, "select limit_keys from taskiq.task")).toEqual([{ limit_keys: ["mine"] }]);
  });

  test("from TypeScript has all of them, and a changed limit is written once", async () => {
    const limits =
      "select key, max, xmin::text from taskiq.limit_key where key like 'task:per-customer:%' order by key";
    await enqueue(client, perCustomer, { customer: "b" });
    expect(await ask(database, "select limit_keys from taskiq.task")).toEqual([
      { limit_keys: ["task:per-customer:all", "task:per-customer:b"] },
    ]);
    const written = await ask(database, limits);
    expect(written).toMatchObject([{ max: 7 }, { max: 2 }]);
    await enqueue(client, perCustomer, { customer: "b" });
    expect(await ask(database, limits)).toEqual(written);
    const wider = { ...perCustomer, limits: [{ key: "all", maxRunning: 9 }] };
    await enqueue(client, wider, { customer: "b" });
    expect(await ask(database, limits)).toMatchObject([{ max: 9 }, { max: 2 }]);
  });
});

describe("without the rights that the function needs", () => {
  test.each([
    ["insert on taskiq.task", "task"],
    ["insert on taskiq.outbox", "outbox"],
    ["select on taskiq.task_definition", "task_definition"],
  ])("%s is asked for", async (right, table) => {
    await ask(database, `revoke ${right} from ${ROLE}`);
    const error = await refusal("select taskiq.enqueue('sleep', '1')");
    await ask(database, GRANTS);
    expect(error).toMatchObject({ code: "42501", message: expect.stringContaining(table) });
    await psql("select taskiq.enqueue('sleep', '1')");
  });

  test("other tasks cannot be looked at", async () => {
    expect(await refusal("select input from taskiq.task")).toMatchObject({ code: "42501" });
  });
});

test("the group of a task is the one that a submission gives it", async () => {
  const characters = fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 140 }),
    fc.string({ unit: "grapheme-ascii", minLength: 100, maxLength: 140 }),
    fc.string({ unit: "binary", maxLength: 20 }),
  );
  const stored = (text: string) => text.replaceAll("\0", "").toWellFormed();
  const pairs = fc.array(fc.tuple(characters.map(stored), characters.map(stored)), { minLength: 50, maxLength: 50 });
  await fc.assert(
    fc.asyncProperty(pairs, async (some) => {
      const rows = await ask<{ key: string }>(
        database,
        "select taskiq.group_of(u.tenant || '/' || u.key) as key from unnest($1::text[], $2::text[]) with ordinality u (tenant, key, n) order by n",
        [some.map(([tenant]) => tenant), some.map(([, key]) => key)],
      );
      expect(rows.map(({ key }) => key)).toEqual(some.map(([tenant, key]) => groupKeyOf(tenant, key)));
    }),
    { numRuns: 40 },
  );
});

describe("what the processes make known", () => {
  test("is written once by equal processes, also when they start together", async () => {
    const changes =
      "select xmin::text, name from taskiq.task_definition union all select xmin::text, name from taskiq.queue_definition order by 2";
    const before = await ask(database, changes);
    await Promise.all(Array.from({ length: 8 }, () => publish(database, PUBLISHED, clock)));
    expect(await ask(database, changes)).toEqual(before);
  });

  test("is that of the process that started last, and a task of another release stays", async () => {
    const newer = defineTask({ name: "sleep", input: z.unknown(), timeoutMs: 4_321, run: () => null });
    const added = defineTask({ name: "added", input: z.unknown(), run: () => null });
    await publish(database, { ...PUBLISHED, registry: createRegistry([newer, added]), inlinePayloadBytes: 10 }, clock);
    await psql("select taskiq.enqueue('sleep', '1')");
    expect((await readTasks(database))[0]?.timeout_ms).toBe(4_321);
    expect(await refusal(`select taskiq.enqueue('sleep', '"123456789"')`)).toMatchObject({
      detail: "code payload_too_large",
    });
    await publish(database, PUBLISHED, clock);
    await psql("select taskiq.enqueue('added', '1')");
  });
});
