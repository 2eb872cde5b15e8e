import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkSchema, migrate, schemaVersion } from "../../runtime/postgres/migrate.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { createEmptyDatabase, type TestDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

let testDatabase: TestDatabase;
let observer: Database;
let folder = "";

beforeEach(async () => {
  testDatabase = await createEmptyDatabase();
  observer = openDatabase({ connectionString: testDatabase.url, max: 2, applicationName: "observer" });
  folder = mkdtempSync(join(tmpdir(), "taskiq-migrations-"));
  write("0001-first.sql", "create table taskiq.first (id integer);\ninsert into taskiq.first values (1);\n");
  write("0002-second.sql", "alter table taskiq.first add column name text not null default 'x';\n");
});

afterEach(async () => {
  rmSync(folder, { recursive: true });
  await observer.close();
  await testDatabase.drop();
});

function write(name: string, text: string): void {
  writeFileSync(join(folder, name), text);
}

async function rows(text: string): Promise<unknown[]> {
  return await observer.transaction(async (tx) => (await tx.raw.query(text)).rows);
}

const applied = () => rows("select number, name, length(sha256) as digits from taskiq.migration order by 1");

describe("migrating", () => {
  test("applies every migration in order and remembers it", async () => {
    expect(await migrate(testDatabase.url, { folder })).toEqual({ from: 0, to: 2 });
    expect(await rows("select * from taskiq.first")).toEqual([{ id: 1, name: "x" }]);
    expect(await applied()).toEqual([
      { number: 1, name: "0001-first.sql", digits: 64 },
      { number: 2, name: "0002-second.sql", digits: 64 },
    ]);
  });

  test("applies only what is missing", async () => {
    await migrate(testDatabase.url, { folder });
    expect(await migrate(testDatabase.url, { folder })).toEqual({ from: 2, to: 2 });
    write("0003-third.sql", "drop table taskiq.first;");
    expect(await migrate(testDatabase.url, { folder })).toEqual({ from: 2, to: 3 });
  });

  test("applies each migration once when many start together", async () => {
    const outcomes = await Promise.all(Array.from({ length: 6 }, () => migrate(testDatabase.url, { folder })));
    expect(outcomes.map(({ to }) => to)).toEqual([2, 2, 2, 2, 2, 2]);
    expect(await rows("select count(*)::int as n from taskiq.first")).toEqual([{ n: 1 }]);
  });

  test("waits for another migrator only as long as it may", async () => {
    await observer.transaction(async (tx) => {
      await tx.raw.query("select pg_advisory_xact_lock(hashtextextended('taskiq.migrate', 0))");
      await expect(migrate(testDatabase.url, { folder, waitMs: 50 })).rejects.toThrow("another one is still at work");
    });
    expect(await migrate(testDatabase.url, { folder })).toEqual({ from: 0, to: 2 });
  });

  test("waits longer for another migrator than for a table, and then goes on", async () => {
    let second: Promise<unknown> = Promise.resolve();
    // Far longer than it would wait for a table.
    const waiting = `select from pg_locks
                      where locktype = 'advisory' and not granted and waitstart < now() - interval '200 milliseconds'`;
    await observer.transaction(async (tx) => {
      await tx.raw.query("select pg_advisory_xact_lock(hashtextextended('taskiq.migrate', 0))");
      second = migrate(testDatabase.url, { folder, lockTimeoutMs: 20 });
      await until(async () => (await rows(waiting)).length > 0, { deadlineMs: 5_000 });
    });
    expect(await second).toEqual({ from: 0, to: 2 });
  });

  test("gives up on a table that is in use, and leaves what succeeded", async () => {
    await migrate(testDatabase.url, { folder });
    write("0003-third.sql", "create table taskiq.third ();");
    write("0004-fourth.sql", "drop table taskiq.first;");
    await observer.transaction(async (tx) => {
      await tx.raw.query("select from taskiq.first");
      await expect(migrate(testDatabase.url, { folder, lockTimeoutMs: 50 })).rejects.toThrow("0004-fourth.sql");
    });
    expect(await migrate(testDatabase.url, { folder })).toEqual({ from: 3, to: 4 });
  });

  test("takes back a migration that fails and names its line", async () => {
    write(
      "0003-broken.sql",
      "create table taskiq.third (id integer);\n-- 😀\ninsert into taskiq.nowhere values (1);\n",
    );
    await expect(migrate(testDatabase.url, { folder })).rejects.toThrow(/^0003-broken\.sql:3: .*nowhere/);
    expect(await rows("select to_regclass('taskiq.third') as third")).toEqual([{ third: null }]);
    expect(await applied()).toHaveLength(2);
  });

  test("refuses a migration that ends its transaction", async () => {
    write("0003-commits.sql", "commit;");
    await expect(migrate(testDatabase.url, { folder })).rejects.toThrow("Remove commit and rollback");
  });

  test("refuses a migration whose text was changed after it was applied", async () => {
    await migrate(testDatabase.url, { folder });
    write("0001-first.sql", "create table taskiq.first (id bigint);\n");
    await expect(migrate(testDatabase.url, { folder })).rejects.toMatchObject({
      code: "migration_changed",
      message: expect.stringContaining("0001-first.sql"),
    });
  });

  test("takes other line ends for the same text", async () => {
    await migrate(testDatabase.url, { folder });
    write("0002-second.sql", "alter table taskiq.first add column name text not null default 'x';\r\n");
    expect(await migrate(testDatabase.url, { folder })).toEqual({ from: 2, to: 2 });
  });

  test("refuses a newer schema, with both versions and what to do", async () => {
    await migrate(testDatabase.url, { folder });
    rmSync(join(folder, "0002-second.sql"));
    await expect(migrate(testDatabase.url, { folder })).rejects.toMatchObject({
      code: "schema_newer",
      message: expect.stringMatching(/schema 1 at most, got 2.*newer release/),
    });
  });

  test.each(["0004-gap.sql", "0002-twice.sql", "3-short.sql", "0003-Upper.sql"])(
    "refuses a folder with %s",
    async (name) => {
      write(name, "select 1;");
      await expect(migrate(testDatabase.url, { folder })).rejects.toThrow("Number them without gaps");
    },
  );

  test("works in an existing schema for a role that may create none", async () => {
    // Roles belong to the whole server; this name is as unique as the database's.
    const role = `migrator_of_${new URL(testDatabase.url).pathname.slice(1)}`;
    await rows(`create role ${role} login password 'secret'`);
    await rows("create schema taskiq");
    await rows(`grant usage, create on schema taskiq to ${role}`);
    const url = new URL(testDatabase.url);
    url.username = role;
    url.password = "secret";
    try {
      expect(await migrate(url.href, { folder })).toEqual({ from: 0, to: 2 });
      expect(await migrate(url.href, { folder })).toEqual({ from: 2, to: 2 });
    } finally {
      await rows(`drop owned by ${role}`);
      await rows(`drop role ${role}`);
    }
  });
});

describe("checking at start", () => {
  test("accepts the schema that this code made", async () => {
    expect(schemaVersion).toBeGreaterThan(0);
    expect(await migrate(testDatabase.url)).toEqual({ from: 0, to: schemaVersion });
    await checkSchema(observer);
  });

  test("refuses an older schema and names the command", async () => {
    await migrate(testDatabase.url, { folder });
    await expect(checkSchema(observer, 3)).rejects.toMatchObject({
      code: "schema_older",
      message: expect.stringMatching(/schema 3, got 2.*taskiq-aws migrate/),
    });
  });

  test("refuses a database without the schema and names the command", async () => {
    await expect(checkSchema(observer)).rejects.toMatchObject({
      code: "schema_older",
      message: expect.stringMatching(/got none.*taskiq-aws migrate/),
    });
  });

  test("refuses a newer schema, with both versions and what to do", async () => {
    await migrate(testDatabase.url, { folder });
    await expect(checkSchema(observer, 1)).rejects.toMatchObject({
      code: "schema_newer",
      message: expect.stringMatching(/schema 1 at most, got 2.*newer release/),
      details: { expected: 1, version: 2 },
    });
  });
});
