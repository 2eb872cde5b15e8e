import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Database, isConnectionError, isSerializationError, openDatabase } from "../../runtime/postgres/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

let testDatabase: TestDatabase;
/** What the tests themselves look at the server with. */
let observer: Database;
/** One connection: what one statement leaves behind, the next one meets. */
let single: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  observer = openDatabase({ connectionString: testDatabase.url, max: 3, applicationName: "observer" });
  single = openDatabase({ connectionString: testDatabase.url, max: 1, applicationName: "single" });
});

afterAll(async () => {
  await single.close();
  await observer.close();
  await testDatabase.drop();
});

const backend = { name: "backend", text: "select pg_backend_pid() as pid" };

async function pidOf(database: Database): Promise<number> {
  const [row] = await database.query<{ pid: number }>(backend, []);
  return row?.pid ?? 0;
}

/** DDL and settings have no named statement in the product; `raw` is the way for SQL that is not ours. */
async function run(text: string): Promise<pg.QueryResult> {
  return await observer.transaction((tx) => tx.raw.query(text));
}

describe("values", () => {
  test.each([
    ["1.0"],
    ["-0.0"],
    ["1180591620717411303424"],
    [String.raw`"\u0000"`],
    [String.raw`"\ud800"`],
    ['{"b": 1, "a": 2, "b": 3}'],
    ['"😀"'],
    [" [1,\n2] "],
    ["null"],
  ])("the JSON text %s is stored and read as it is", async (text) => {
    await run("create table if not exists exact (value json)");
    const statement = { name: "exact", text: "insert into exact values ($1) returning value" };
    expect(await single.query(statement, [text])).toEqual([{ value: text }]);
  });

  test("an array of JSON texts keeps quotes, braces, backslashes, NULL the word and null the value", async () => {
    const values = ["1.0", '"NULL"', '""', '"\\"{,}\\\\"', null, String.raw`{"a": "\u0000"}`];
    const statement = {
      name: "json-array",
      text: "select v from unnest($1::json[]) with ordinality u(v, i) order by i",
    };
    expect(await single.query(statement, [values])).toEqual(values.map((v) => ({ v })));
    const whole = { name: "json-array-whole", text: "select $1::json[] as v" };
    expect(await single.query(whole, [values])).toEqual([{ v: values }]);
  });

  test("an array of texts keeps every text", async () => {
    const values = ["NULL", "null", "", '"', "\\", "{a,b}", " ", "a\nb", null, "😀"];
    const statement = {
      name: "text-array",
      text: "select v from unnest($1::text[]) with ordinality u(v, i) order by i",
    };
    expect(await single.query(statement, [values])).toEqual(values.map((v) => ({ v })));
  });

  test("int8 is a number, timestamptz a Date, uuid[] an array of texts", async () => {
    const statement = {
      name: "types",
      text: `select 9007199254740991 as "int8", '2026-01-02T03:04:05.678Z'::timestamptz as "at",
                    array['00000000-0000-7000-8000-000000000001'::uuid] as ids`,
    };
    expect(await single.query(statement, [])).toEqual([
      {
        int8: Number.MAX_SAFE_INTEGER,
        at: new Date("2026-01-02T03:04:05.678Z"),
        ids: ["00000000-0000-7000-8000-000000000001"],
      },
    ]);
  });

  test("other users of pg in the process keep their own parsers", () => {
    expect(pg.types.getTypeParser(pg.types.builtins.JSON)('{"a":1}')).toEqual({ a: 1 });
    expect(pg.types.getTypeParser(pg.types.builtins.INT8)("1")).toBe("1");
  });

  const echo = { name: "echo", text: "select $1::text as a, $2::text[] as b" };
  const sparse: string[] = [];
  sparse[1] = "x";
  test.each([
    ["a parameter", [undefined, []], "$1"],
    ["an element", [null, ["a", undefined]], "$2"],
    ["a hole", [null, sparse], "$2"],
    ["a nested element", [null, [["a"], [undefined]]], "$2"],
  ])("undefined as %s is refused, not stored as null", async (_what, params, where) => {
    await expect(single.query(echo, params)).rejects.toThrow(`echo, ${where}: expected a value or null`);
  });

  test("a value that Postgres refuses costs no connection", async () => {
    const before = await pidOf(single);
    await expect(single.query(echo, ["\u0000", []])).rejects.toMatchObject({ code: "22021" });
    expect(await pidOf(single)).toBe(before);
  });
});

describe("prepared statements", () => {
  test("a statement is planned once per connection", async () => {
    const once = { name: "planned-once", text: "select 1 as one" };
    for (let i = 0; i < 3; i++) await single.query(once, []);
    const plans = {
      name: "plans",
      text: "select generic_plans + custom_plans as runs from pg_prepared_statements where name = 'planned-once'",
    };
    expect(await single.query(plans, [])).toEqual([{ runs: 3 }]);
  });

  test("a plan outdated by a migration is made again, on every connection", async () => {
    const database = openDatabase({ connectionString: testDatabase.url, max: 3, applicationName: "stale" });
    await run("create table widened (a integer); insert into widened values (1)");
    const all = { name: "all-columns", text: "select *, pg_sleep(0.05) is null as slept from widened" };
    const onThreeConnections = () => Promise.all([1, 2, 3].map(() => database.query<{ b: number }>(all, [])));
    await onThreeConnections();
    await run("alter table widened add column b integer default 2");
    for (const rows of await onThreeConnections()) expect(rows[0]?.b).toBe(2);
    await database.close();
  });

  test("a transaction with an outdated plan succeeds when it is repeated once", async () => {
    const database = openDatabase({ connectionString: testDatabase.url, max: 2, applicationName: "stale" });
    await run("create table renewed (a integer); insert into renewed values (1)");
    const all = { name: "all-renewed", text: "select *, pg_sleep(0.05) is null as slept from renewed" };
    const attempt = () => database.transaction((tx) => tx.query<{ b: number }>(all, []));
    await Promise.all([attempt(), attempt()]);
    await run("alter table renewed add column b integer default 2");
    const error: unknown = await attempt().catch((thrown: unknown) => thrown);
    expect(isSerializationError(error)).toBe(true);
    expect((await attempt())[0]?.b).toBe(2);
    await database.close();
  });
});

describe("limits", () => {
  test("a statement that runs too long is ended by the server and costs no connection", async () => {
    const database = openDatabase({
      connectionString: testDatabase.url,
      max: 1,
      applicationName: "slow",
      statementTimeoutMs: 50,
    });
    const before = await pidOf(database);
    await expect(database.query({ name: "sleep", text: "select pg_sleep(20)" }, [])).rejects.toMatchObject({
      code: "57014",
    });
    expect(await pidOf(database)).toBe(before);
    await database.close();
  });

  test("waiting for a lock ends", async () => {
    await run("create table guarded (a integer)");
    const lock = { name: "lock-guarded", text: "update guarded set a = 1" };
    const database = openDatabase({
      connectionString: testDatabase.url,
      max: 1,
      applicationName: "waits",
      lockTimeoutMs: 50,
    });
    await observer.transaction(async (tx) => {
      await tx.raw.query("lock table guarded");
      await expect(database.query(lock, [])).rejects.toMatchObject({ code: "55P03" });
    });
    await database.close();
  });

  test("silence inside a transaction ends it, and says so", async () => {
    const database = openDatabase({
      connectionString: testDatabase.url,
      max: 1,
      applicationName: "silent",
      idleInTransactionTimeoutMs: 50,
    });
    const gone = { name: "is-gone", text: "select from pg_stat_activity where pid = $1" };
    const work = database.transaction(async (tx) => {
      const pid = (await tx.query<{ pid: number }>(backend, []))[0]?.pid;
      await until(async () => (await observer.query(gone, [pid])).length === 0, { deadlineMs: 5_000 });
      await tx.query(backend, []);
    });
    await expect(work).rejects.toMatchObject({ code: "25P03" });
    await database.close();
  });

  test("waiting for a free connection ends with a connection error", async () => {
    const database = openDatabase({
      connectionString: testDatabase.url,
      max: 1,
      applicationName: "busy",
      // The first connection has to be made within it, on a busy machine too.
      connectTimeoutMs: 1_000,
    });
    await database.transaction(async () => {
      const error: unknown = await database.query(backend, []).catch((thrown: unknown) => thrown);
      expect(isConnectionError(error)).toBe(true);
    });
    await database.close();
  });
});

test("every statement is counted, with the begin and commit of a transaction", async () => {
  const before = single.statements;
  await single.query(backend, []);
  expect(single.statements - before).toBe(1);
  await single.transaction((tx) => tx.query(backend, []));
  expect(single.statements - before).toBe(4);
});

describe("ping", () => {
  test("resolves while the database answers", async () => {
    await single.ping(1_000);
  });

  test("rejects with what to check when nothing listens", async () => {
    const database = openDatabase({ connectionString: "postgres://u@127.0.0.1:1/d", max: 1, applicationName: "away" });
    await expect(database.ping(1_000)).rejects.toMatchObject({
      code: "database_unavailable",
      message: expect.stringContaining("ECONNREFUSED"),
    });
    await database.close();
  });

  test("rejects in its own time while every connection is busy", async () => {
    await single.transaction(async () => {
      await expect(single.ping(20)).rejects.toMatchObject({
        code: "database_unavailable",
        message: expect.stringContaining("20 ms"),
      });
    });
  });
});

describe("closing", () => {
  const named = (name: string) => ({
    name: `open-${name}`,
    text: `select pid from pg_stat_activity where application_name = '${name}'`,
  });

  test("waits for what runs and leaves no connection behind", async () => {
    const database = openDatabase({ connectionString: testDatabase.url, max: 3, applicationName: "closing" });
    const running = database.query<{ done: boolean }>(
      { name: "short", text: "select pg_sleep(0.1) is not null as done" },
      [],
    );
    await until(async () => (await single.query(named("closing"), [])).length === 1, { deadlineMs: 5_000 });
    await database.close();
    expect(await running).toEqual([{ done: true }]);
    await until(async () => (await single.query(named("closing"), [])).length === 0, { deadlineMs: 5_000 });
  });

  test("may be asked for twice", async () => {
    const database = openDatabase({ connectionString: testDatabase.url, max: 1, applicationName: "twice" });
    await database.query(backend, []);
    await Promise.all([database.close(), database.close()]);
  });

  test("cuts off a transaction that does not end in time, which commits nothing", async () => {
    await run("create table unfinished (a integer)");
    const database = openDatabase({
      connectionString: testDatabase.url,
      max: 1,
      applicationName: "cut",
      closeTimeoutMs: 50,
    });
    const stuck = Promise.withResolvers<void>();
    const started = Promise.withResolvers<void>();
    const work = database.transaction(async (tx) => {
      await tx.raw.query("insert into unfinished values (1)");
      started.resolve();
      await stuck.promise;
    });
    await started.promise;
    await database.close();
    stuck.resolve();
    const error: unknown = await work.catch((thrown: unknown) => thrown);
    expect(isConnectionError(error)).toBe(true);
    expect((await run("select from unfinished")).rowCount).toBe(0);
  });
});
