import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { chmod, rm } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { afterAll, expect, test } from "vitest";
import { type Postgres, type PostgresOptions, startPostgres } from "../../runtime/local/postgres.ts";
import { serviceUser, temporaryFolder } from "../../runtime/local/service-user.ts";
import { executeSql } from "../support/execute-sql.ts";
import { isAlive } from "../support/processes.ts";
import { until } from "../support/until.ts";

const servers: Postgres[] = [];
const folders: string[] = [];

afterAll(async () => {
  await Promise.all(servers.map((server) => server.stop()));
  await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true })));
});

async function newFolder(): Promise<string> {
  const folder = await temporaryFolder(serviceUser(), "test");
  folders.push(folder);
  // As root the server runs as somebody else, who has to get to what lies in here.
  await chmod(folder, 0o755);
  return folder;
}

async function start(options: Partial<PostgresOptions> = {}): Promise<Postgres> {
  const server = await startPostgres({ dataDir: await newFolder(), persistent: false, ...options });
  servers.push(server);
  return server;
}

async function value(server: Postgres, text: string): Promise<unknown> {
  const { rows } = await executeSql(server.url, text);
  return Object.values(rows[0] ?? {})[0];
}

const counted = "select count(*)::int from kept";

test("starts for the current user and takes 200 connections, on the loopback address only", async () => {
  const server = await start();
  expect(await value(server, "show max_connections")).toBe("200");
  expect(await value(server, "show listen_addresses")).toBe("127.0.0.1");
  expect(await value(server, "show unix_socket_directories")).toBe("");
  expect(await value(server, "show server_encoding")).toBe("UTF8");
});

test("refuses a connection without the password", async () => {
  const server = await start();
  const url = new URL(server.url);
  url.password = "guess";
  await expect(executeSql(url.href, "select 1")).rejects.toMatchObject({ code: "28P01" });
});

test("runs beside another server", async () => {
  const [one, other] = await Promise.all([start(), start()]);
  expect(one.port).not.toBe(other.port);
  await executeSql(one.url, "create table only_here ()");
  expect(await value(other, "select to_regclass('only_here')")).toBeNull();
});

test("a restart keeps data, address and password, and nobody is served in between", async () => {
  const server = await start();
  const { url, pid } = server;
  await executeSql(url, "create table kept as select generate_series(1, 3)");
  let whileDown: unknown;
  await server.restart({
    whileDown: async () => {
      whileDown = await executeSql(url, "select 1").catch((error: unknown) => error);
    },
  });
  expect(whileDown).toMatchObject({ code: "ECONNREFUSED" });
  expect(server.url).toBe(url);
  expect(server.pid).not.toBe(pid);
  expect(await value(server, counted)).toBe(3);
});

test("recovers what was committed when it is shut down as in a crash", async () => {
  const server = await start();
  await executeSql(server.url, "create table kept as select generate_series(1, 3)");
  await server.restart({ immediate: true });
  expect(await value(server, counted)).toBe(3);
});

test("stop ends the server and its clients and leaves no folder, also when called twice", async () => {
  const dataDir = await newFolder();
  const server = await start({ dataDir });
  const client = new pg.Client({ connectionString: server.url });
  const lost = new Promise((resolve) => client.on("error", resolve));
  await client.connect();
  await Promise.all([server.stop(), server.stop()]);
  await lost;
  expect(isAlive(server.pid)).toBe(false);
  expect(existsSync(dataDir)).toBe(false);
});

test("a persistent server writes through to the disk and has its data after stop and start", async () => {
  const dataDir = join(await newFolder(), "deeper", "postgres");
  const first = await start({ dataDir, persistent: true });
  expect(await value(first, "show fsync")).toBe("on");
  await executeSql(first.url, "create table kept as select generate_series(1, 3)");
  await first.stop();
  const second = await start({ dataDir, persistent: true, port: first.port });
  expect(second.url).toBe(first.url);
  expect(await value(second, counted)).toBe(3);
});

test("a start that was cut off while the cluster was made is begun again", async () => {
  const dataDir = await newFolder();
  mkdirSync(join(dataDir, "cluster.new", "base"), { recursive: true });
  writeFileSync(join(dataDir, "cluster.new", "PG_VERSION"), "18\n");
  writeFileSync(join(dataDir, "password"), "");
  const server = await start({ dataDir, persistent: true });
  expect(await value(server, "select 1")).toBe(1);
});

test("starts after the server was killed and left its lock file", async () => {
  const dataDir = await newFolder();
  let lost = "";
  const first = await start({ dataDir, persistent: true, onLost: (reason) => (lost = reason) });
  await executeSql(first.url, "create table kept as select generate_series(1, 3)");
  process.kill(first.pid, "SIGKILL");
  await until(() => lost, { what: "the server to be reported lost" });
  expect(lost).toContain("SIGKILL");
  expect(existsSync(join(dataDir, "cluster", "postmaster.pid"))).toBe(true);
  const second = await start({ dataDir, persistent: true, port: first.port });
  expect(await value(second, counted)).toBe(3);
});

test("a server that was asked to stop is not reported lost", async () => {
  const reports: string[] = [];
  const server = await start({ onLost: (reason) => reports.push(reason) });
  await server.restart();
  await server.stop();
  expect(reports).toEqual([]);
});

test("a folder that would be removed must be empty, and is left alone otherwise", async () => {
  const dataDir = await newFolder();
  writeFileSync(join(dataDir, "thesis.txt"), "years of work");
  await expect(start({ dataDir, persistent: false })).rejects.toMatchObject({ code: "config_invalid" });
  expect(existsSync(join(dataDir, "thesis.txt"))).toBe(true);
});

test("an error says what the server wrote", async () => {
  const dataDir = await newFolder();
  const server = await start({ dataDir, persistent: true });
  await server.stop();
  writeFileSync(join(dataDir, "cluster", "PG_VERSION"), "9\n");
  await expect(start({ dataDir, persistent: true })).rejects.toMatchObject({
    code: "database_unavailable",
    message: expect.stringContaining("initialized by PostgreSQL version 9"),
  });
});

test("another server on the same data is refused and the first one is not harmed", async () => {
  const dataDir = await newFolder();
  const server = await start({ dataDir, persistent: true });
  await expect(start({ dataDir, persistent: true })).rejects.toMatchObject({
    code: "database_unavailable",
    message: expect.stringContaining("cluster/postmaster.pid"),
  });
  expect(await value(server, "select 1")).toBe(1);
});
