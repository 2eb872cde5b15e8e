import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readAttempts } from "../../runtime/flow/extend.ts";
import { TASK_STATES } from "../../runtime/model/task.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { loadSql } from "../../runtime/postgres/sql.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { createTask } from "../support/tasks.ts";
import { hold } from "./waiting.ts";

const LOCK_ATTEMPT = loadSql(import.meta.url, "../../runtime/flow/lock-attempt.sql");

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 4, applicationName: "read-attempts test" });
});

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

test.each(TASK_STATES)("tells the state of a %s task whose newest attempt this is", async (state) => {
  const id = await createTask(database, { state, attempt: 2 });
  expect(await readAttempts(database, [{ id, attempt: 2 }])).toMatchObject([{ id, attempt: 2, state }]);
});

test("leaves out attempts that are not the newest, and tasks that are gone", async () => {
  const id = await createTask(database, { state: "running", attempt: 2 });
  const asked = [
    { id, attempt: 1 },
    { id, attempt: 3 },
    { id: randomUUID(), attempt: 1 },
  ];
  expect(await readAttempts(database, asked)).toEqual([]);
});

test("does not wait for an attempt inside its own commit", async () => {
  const id = await createTask(database, { state: "running" });
  const commit = await hold(database, (tx) => tx.query(LOCK_ATTEMPT, [id, 1]));
  expect(await readAttempts(database, [{ id, attempt: 1 }])).toMatchObject([{ state: "running", worker: "worker-1" }]);
  await commit.end("undo");
});

test("none at all are no error", async () => {
  expect(await readAttempts(database, [])).toEqual([]);
});
