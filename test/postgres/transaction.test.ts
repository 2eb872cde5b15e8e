import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Database, isConnectionError, openDatabase } from "../../runtime/postgres/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";

let testDatabase: TestDatabase;
/** Goes past the proxy: what is really committed. */
let observer: Database;
/** Reaches Postgres through a proxy that can fail. One connection, so that a broken one would be met again. */
let database: Database;
let proxy: TcpProxy;

const insert = { name: "insert-effect", text: "insert into effect values ($1)" };
const select = { name: "select-effect", text: "select from effect where id = $1" };
const backend = { name: "backend", text: "select pg_backend_pid() as pid" };
const terminate = { name: "terminate", text: "select pg_terminate_backend($1, 5000)" };

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  observer = openDatabase({ connectionString: testDatabase.url, max: 2, applicationName: "observer" });
  await observer.transaction((tx) =>
    tx.raw.query("create table effect (id integer, constraint once unique (id) deferrable initially deferred)"),
  );
  const url = new URL(testDatabase.url);
  proxy = await startTcpProxy({ host: url.hostname, port: Number(url.port) });
  url.host = `${proxy.host}:${proxy.port}`;
  database = openDatabase({ connectionString: url.href, max: 1, applicationName: "proxied", queryTimeoutMs: 500 });
});

beforeEach(() => proxy.restore());

afterAll(async () => {
  await database.close();
  await proxy.close();
  await observer.close();
  await testDatabase.drop();
});

async function isCommitted(id: number): Promise<boolean> {
  return (await observer.query(select, [id])).length === 1;
}

async function pidOf(queryable: Pick<Database, "query">): Promise<number> {
  return (await queryable.query<{ pid: number }>(backend, []))[0]?.pid ?? 0;
}

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => "it succeeded",
    (error: unknown) => error,
  );
}

test("commits what was done and returns the result", async () => {
  const result = await database.transaction(async (tx) => {
    await tx.query(insert, [1]);
    return "done";
  });
  expect(result).toBe("done");
  expect(await isCommitted(1)).toBe(true);
});

test("undoes what was done when the work throws, throws that very error and keeps the connection", async () => {
  const before = await pidOf(database);
  const mine = new Error("mine");
  const failure = await failureOf(
    database.transaction(async (tx) => {
      await tx.query(insert, [2]);
      throw mine;
    }),
  );
  expect(failure).toBe(mine);
  expect(await isCommitted(2)).toBe(false);
  expect(await pidOf(database)).toBe(before);
});

test("a constraint checked at COMMIT fails as what it is, and the connection is kept", async () => {
  const before = await pidOf(database);
  const work = database.transaction(async (tx) => {
    await tx.query(insert, [3]);
    await tx.query(insert, [3]);
  });
  await expect(work).rejects.toMatchObject({ code: "23505" });
  expect(await isCommitted(3)).toBe(false);
  expect(await pidOf(database)).toBe(before);
});

test("an error that the work ignored is no commit", async () => {
  const work = database.transaction(async (tx) => {
    await tx.query(insert, [4]);
    await failureOf(tx.query(insert, ["no number"]));
  });
  await expect(work).rejects.toMatchObject({
    code: "internal",
    message: expect.stringContaining("ROLLBACK"),
    cause: { code: "22P02" },
  });
  expect(await isCommitted(4)).toBe(false);
});

test("an error behind a savepoint is a commit", async () => {
  await database.transaction(async (tx) => {
    await tx.query(insert, [5]);
    await tx.raw.query("savepoint before");
    await failureOf(tx.query(insert, ["no number"]));
    await tx.raw.query("rollback to before");
  });
  expect(await isCommitted(5)).toBe(true);
});

describe("a connection that breaks before COMMIT", () => {
  test("fails the transaction with what broke it, though the work saw nothing", async () => {
    const work = database.transaction(async (tx) => {
      await tx.query(insert, [10]);
      await observer.query(terminate, [await pidOf(tx)]);
      await until(() => proxy.openConnections === 0, { deadlineMs: 5_000 });
    });
    await expect(work).rejects.toMatchObject({ code: "57P01" });
    expect(await isCommitted(10)).toBe(false);
  });

  test("does not hide the error of the work", async () => {
    const mine = new Error("mine");
    const failure = await failureOf(
      database.transaction(async (tx) => {
        await observer.query(terminate, [await pidOf(tx)]);
        throw mine;
      }),
    );
    expect(failure).toBe(mine);
    expect(await pidOf(database)).toBeGreaterThan(0);
  });

  test("is replaced: the next transaction succeeds", async () => {
    const broken = await failureOf(
      database.transaction(async (tx) => {
        await tx.query(insert, [11]);
        proxy.cut();
        await tx.query(insert, [12]);
      }),
    );
    expect(isConnectionError(broken)).toBe(true);
    await database.transaction((tx) => tx.query(insert, [13]));
    expect([await isCommitted(11), await isCommitted(12), await isCommitted(13)]).toEqual([false, false, true]);
  });

  test("is not asked to commit when the work ignored its timeout", async () => {
    const work = database.transaction(async (tx) => {
      await tx.query(insert, [14]);
      proxy.silence("to_server");
      await failureOf(tx.query(insert, [15]));
      proxy.restore();
    });
    await expect(work).rejects.toThrow("Query read timeout");
    expect(await isCommitted(14)).toBe(false);
  });
});

describe("a lost answer to COMMIT", () => {
  test("is reported as unknown when the commit happened", async () => {
    const work = database.transaction(async (tx) => {
      await tx.query(insert, [20]);
      proxy.silence("to_client");
    });
    await expect(work).rejects.toMatchObject({ code: "commit_unknown", cause: { message: "Query read timeout" } });
    expect(await isCommitted(20)).toBe(true);
  });

  test("is reported as unknown when the commit never arrived", async () => {
    const work = database.transaction(async (tx) => {
      await tx.query(insert, [21]);
      proxy.silence("to_server");
    });
    await expect(work).rejects.toMatchObject({ code: "commit_unknown" });
    proxy.cut();
    expect(await isCommitted(21)).toBe(false);
  });

  test("is reported at once when the connection is reset", async () => {
    const failure = failureOf(
      database.transaction(async (tx) => {
        await tx.query(insert, [22]);
        proxy.silence("to_client");
      }),
    );
    await until(() => isCommitted(22), { deadlineMs: 5_000 });
    proxy.cut();
    expect(await failure).toMatchObject({ code: "commit_unknown" });
  });

  test("does not make callers repeat: it is no connection error, and the next transaction works", async () => {
    const failure = await failureOf(
      database.transaction(async (tx) => {
        await tx.query(insert, [23]);
        proxy.silence();
      }),
    );
    expect(isConnectionError(failure)).toBe(false);
    proxy.restore();
    await database.transaction((tx) => tx.query(insert, [24]));
    expect(await isCommitted(24)).toBe(true);
  });
});
