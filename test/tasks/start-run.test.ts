/** The task that starts a run of a job. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import type { Context } from "../../runtime/define/context.ts";
import { defineJob } from "../../runtime/define/index.ts";
import { createJobRegistry } from "../../runtime/define/job-registry.ts";
import { createRegistry } from "../../runtime/define/registry.ts";
import { defineTask } from "../../runtime/define/task.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { createStartRun } from "../../runtime/tasks/start-run.ts";
import { createRunWorld } from "../flow/run-world.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { testStep } from "../support/graphs.ts";
import { ask, clearTasks } from "../support/tasks.ts";

const PLAN = { value: 1, failures: 0, gives_up: false, elements_giving_up: [] };
const step = testStep();
const command = defineTask({ name: "command", input: z.null(), run: () => null });
const tasks = createRegistry([step, command]);
const counted = defineJob({
  name: "counted",
  input: z.strictObject({ value: z.int() }).prefault({ value: 3 }),
  labels: { team: "data" },
  build: (job, input) => void job.step("only", step, { script: { ...PLAN, value: input.value }, refs: [] }),
});
const shell = defineJob({ name: "shell", input: z.null(), build: (job) => void job.step("only", command, null) });

let testDatabase: TestDatabase;
let database: Database;
let start: (input: unknown, taskId?: string) => Promise<{ run_id: string }>;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 4, applicationName: "start-run test" });
  const { writer } = createRunWorld(database);
  const jobs = createJobRegistry([counted, shell], tasks);
  const definition = createStartRun(() => ({ runs: { submit: writer.accept }, jobs }));
  start = async (input, taskId = "0190a5b6-0000-7000-8000-000000000001") => {
    // What the handler looks at; its result has this shape by its schema.
    const ctx = { taskId, tenant: "default" } as Context;
    return (await definition.run(definition.input.parse(input) as never, ctx as never)) as { run_id: string };
  };
});
beforeEach(async () => {
  await clearTasks(database);
  await ask(database, "delete from taskiq.run");
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

const runs = () => ask(database, "select id, job, labels, priority, input from taskiq.run");

describe("taskiq.start_run", () => {
  it("starts one run however often it is tried, with the job's defaults", async () => {
    const first = await start({ job: "counted" });
    expect(await start({ job: "counted" })).toEqual(first);
    expect(await runs()).toEqual([
      { id: first.run_id, job: "counted", labels: '{"team":"data"}', priority: 0, input: '{"value":3}' },
    ]);
    expect((await start({ job: "counted" }, "0190a5b6-0000-7000-8000-000000000002")).run_id).not.toBe(first.run_id);
  });

  it("takes input, priority and labels", async () => {
    await start({ job: "counted", input: { value: 9 }, priority: 4, labels: { why: "schedule" } });
    expect(await runs()).toMatchObject([
      { labels: '{"team":"data","why":"schedule"}', priority: 4, input: '{"value":9}' },
    ]);
  });

  it.each([
    ["of a job that there is not", { job: "nobody" }, /expected the name of a job/],
    ["with an input that does not fit", { job: "counted", input: { value: "many" } }, /input\.value/],
    [
      "of a job with commands, which need a scope",
      { job: "shell", input: null },
      /expected one without the task "command"/,
    ],
  ])("fails for good %s", async (_, input, message) => {
    await expect(start(input)).rejects.toMatchObject({
      name: "TerminalError",
      message: expect.stringMatching(message),
    });
    expect(await runs()).toEqual([]);
  });
});
