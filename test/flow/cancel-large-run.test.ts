import { afterAll, beforeAll, expect, test } from "vitest";
import { cancelRun } from "../../runtime/flow/cancel-run.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { createRun, stepId } from "../support/runs.ts";
import { ask } from "../support/tasks.ts";

const WIDTH = 100;
const STEPS = 10_000;

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 2, applicationName: "large run test" });
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

test("a run of ten thousand steps is cancelled within what one statement may take, on tables nobody has analysed", async () => {
  const key = (step: number) => `s${step}`;
  const steps = Array.from({ length: STEPS }, (_, step) => ({ key: key(step), task: "demo" }));
  const blocked = { state: "blocked" as const, pendingParents: 1 };
  const later = steps.slice(WIDTH).map((step) => [step.key, blocked] as const);
  const runId = await createRun(database, { steps }, Object.fromEntries(later));
  await ask(database, "insert into taskiq.edge (parent, child) select * from unnest($1::uuid[], $2::uuid[])", [
    later.map((_, index) => stepId(runId, key(index))),
    later.map(([child]) => stepId(runId, child)),
  ]);
  expect(await cancelRun(database, runId, { tenant: null, reason: null })).toEqual({
    was: "running",
    state: "cancelled",
  });
  expect(await ask(database, "select state::text, count(*)::int from taskiq.task group by state")).toEqual([
    { state: "cancelled", count: STEPS },
  ]);
});
