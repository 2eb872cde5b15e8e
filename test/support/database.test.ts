import { afterAll, expect, inject, test } from "vitest";
import { createEmptyDatabase, createTestDatabase, type TestDatabase } from "./database.ts";
import { executeSql } from "./execute-sql.ts";

const databases: TestDatabase[] = [];
afterAll(() => Promise.all(databases.map((database) => database.drop())));

async function keep(making: Promise<TestDatabase>): Promise<TestDatabase> {
  const database = await making;
  databases.push(database);
  return database;
}

async function hasTasks({ url }: TestDatabase): Promise<unknown> {
  return (await executeSql(url, "select to_regclass('taskiq.task') is not null as there")).rows[0]?.there;
}

test("files that start together each get a database with the schema", async () => {
  const made = await Promise.all([1, 2, 3].map(() => keep(createTestDatabase())));
  expect(await Promise.all(made.map(hasTasks))).toEqual([true, true, true]);
  expect(new Set(made.map(({ url }) => url)).size).toBe(3);
});

test("an empty database has no schema", async () => {
  expect(await hasTasks(await keep(createEmptyDatabase()))).toBe(false);
});

test("a dropped database is gone, and dropping it again is no error", async () => {
  const database = await keep(createTestDatabase());
  await database.drop();
  await database.drop();
  const names = await executeSql(inject("databaseServerUrl"), "select datname from pg_database");
  expect(names.rows.map((row) => row.datname)).not.toContain(new URL(database.url).pathname.slice(1));
});
