import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type Postgres, startPostgres } from "../../runtime/local/postgres.ts";
import { type Database, isConnectionError, openDatabase } from "../../runtime/postgres/pool.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";

/** A server of its own: the shared one must not be restarted under others, and may run on a machine where its pids mean nothing. */
let server: Postgres;
let observer: Database;
let folder = "";

const one = { name: "one", text: "select 1 as one" };
const backend = { name: "backend", text: "select pg_backend_pid() as pid" };
const terminate = { name: "terminate", text: "select pg_terminate_backend($1, 5000)" };
const sleep = { name: "sleep", text: "select pg_sleep(60)" };
const active = {
  name: "active",
  text: "select from pg_stat_activity where query like '%pg_sleep(60)' and state = 'active'",
};
const insert = { name: "insert", text: "insert into kept values ($1)" };
const read = { name: "read", text: "select id from kept order by id" };

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "taskiq-outage-"));
  server = await startPostgres({ dataDir: join(folder, "postgres"), persistent: true });
  observer = openDatabase({ connectionString: server.url, max: 1, applicationName: "observer" });
});

afterAll(async () => {
  await observer.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => "it succeeded",
    (error: unknown) => error,
  );
}

async function pidOf(database: Pick<Database, "query">): Promise<number> {
  return (await database.query<{ pid: number }>(backend, []))[0]?.pid ?? 0;
}

function open(options: Partial<Parameters<typeof openDatabase>[0]> = {}): Database {
  const database = openDatabase({ connectionString: server.url, max: 1, applicationName: "outage", ...options });
  onTestFinished(() => database.close());
  return database;
}

/** Stops one server process as it is; it goes on when the test is over, or it could never be ended. */
function freeze(pid: number): void {
  process.kill(pid, "SIGSTOP");
  onTestFinished(() => {
    process.kill(pid, "SIGCONT");
  });
}

describe("an idle connection that is lost", () => {
  test("is heard of and replaced, and ends no process", async () => {
    const heard: Error[] = [];
    const database = open({ onError: (error) => heard.push(error) });
    const before = await pidOf(database);
    await observer.query(terminate, [before]);
    await until(() => heard.length > 0, { deadlineMs: 5_000 });
    expect(heard).toMatchObject([{ code: "57P01" }]);
    expect(await pidOf(database)).not.toBe(before);
  });

  test("ends no process when nobody wants to hear of it", async () => {
    const database = open();
    const before = await pidOf(database);
    await observer.query(terminate, [before]);
    await until(async () => (await pidOf(database).catch(() => before)) !== before, { deadlineMs: 5_000 });
  });
});

describe("a frozen server process", () => {
  test("fails the statement after the query timeout, and the next one has another connection", async () => {
    const database = open({ queryTimeoutMs: 300 });
    const frozen = await pidOf(database);
    freeze(frozen);
    const startMs = performance.now();
    const error: unknown = await database.query(backend, []).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ message: "Query read timeout" });
    expect(isConnectionError(error)).toBe(true);
    expect(performance.now() - startMs).toBeLessThan(5_000);
    expect(await pidOf(database)).not.toBe(frozen);
  });

  test("fails a transaction after one timeout, not after a second one for the rollback", async () => {
    const database = open({ queryTimeoutMs: 300 });
    const work = database.transaction(async (tx) => {
      freeze(await pidOf(tx));
      await tx.raw.query("select 1");
    });
    await expect(work).rejects.toThrow("Query read timeout");
    // begin and the question for the pid: no rollback was sent after them.
    expect(database.statements).toBe(2);
  });

  test("does not keep the pool from closing", async () => {
    const database = open({ closeTimeoutMs: 100 });
    freeze(await pidOf(database));
    await database.close();
  });
});

test("a server that accepts and never answers fails within the connect timeout", async () => {
  const url = new URL(server.url);
  const proxy = await startTcpProxy({ host: url.hostname, port: Number(url.port) });
  url.host = `${proxy.host}:${proxy.port}`;
  proxy.silence();
  const database = openDatabase({
    connectionString: url.href,
    max: 1,
    applicationName: "silent",
    connectTimeoutMs: 200,
  });
  const error: unknown = await database.query(backend, []).catch((thrown: unknown) => thrown);
  expect(isConnectionError(error)).toBe(true);
  proxy.restore();
  expect(await pidOf(database)).toBeGreaterThan(0);
  await database.close();
  await proxy.close();
});

describe("a server that restarts", () => {
  test("fails the statement in flight with a connection error, and the next one works without help", async () => {
    const database = open({ max: 2 });
    const inFlight = failureOf(database.query(sleep, []));
    await until(async () => (await database.query(active, [])).length === 1, { deadlineMs: 5_000 });
    await server.restart();
    const failure = await inFlight;
    expect(failure).toMatchObject({ code: "57P01" });
    expect(isConnectionError(failure)).toBe(true);
    expect(await database.query(one, [])).toEqual([{ one: 1 }]);
  });

  test("takes the idle connections with a word to the owner of the pool, and the process lives", async () => {
    const heard: Error[] = [];
    const database = open({ max: 3, onError: (error) => heard.push(error) });
    await Promise.all([1, 2, 3].map(() => database.query(one, [])));
    await server.restart();
    await until(() => heard.length > 0, { deadlineMs: 5_000 });
    expect(heard.every(isConnectionError)).toBe(true);
    expect(await database.query(one, [])).toEqual([{ one: 1 }]);
  });

  test("fails every use at once with a connection error while it is away", async () => {
    const database = open();
    await server.restart({
      whileDown: async () => {
        expect(isConnectionError(await failureOf(database.query(one, [])))).toBe(true);
        expect(isConnectionError(await failureOf(database.transaction((tx) => tx.query(one, []))))).toBe(true);
        expect(await failureOf(database.ping(1_000))).toMatchObject({ code: "database_unavailable" });
      },
    });
    await database.ping(1_000);
  });

  test("has what was committed after a crash, and nothing else", async () => {
    const database = open();
    await database.transaction((tx) => tx.raw.query("create table kept (id integer)"));
    await database.transaction((tx) => tx.query(insert, [1]));
    const failure = await failureOf(
      database.transaction(async (tx) => {
        await tx.query(insert, [2]);
        await server.restart({ immediate: true });
        await tx.query(insert, [3]);
      }),
    );
    expect(isConnectionError(failure)).toBe(true);
    expect(await database.query(read, [])).toEqual([{ id: 1 }]);
  });
});
