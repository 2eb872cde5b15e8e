/** What a step begins with, and what it may read of those before it, from the rows as they are. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ClaimedTask } from "../../runtime/flow/claim.ts";
import { elementKey, type Graph } from "../../runtime/model/graph.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { createStepInputs, type StepInputs } from "../../runtime/worker/step-input.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { createRun } from "../support/runs.ts";
import { clearTasks } from "../support/tasks.ts";
import { NO_PAYLOADS } from "../support/unused-payloads.ts";

const MAX_BYTES = 400;

let testDatabase: TestDatabase;
let database: Database;
let inputs: StepInputs;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 4, applicationName: "step inputs" });
  inputs = createStepInputs({ database, payloads: NO_PAYLOADS, maxPayloadBytes: MAX_BYTES });
});
beforeEach(() => clearTasks(database));
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

const GRAPH: Graph = { steps: ["one", "many", "open", "last"].map((key) => ({ key, task: "demo" })) };

/** A run with a step that has ended, a mapped one whose second element failed, and one that runs. */
async function runWith(result: string, elements: readonly string[]): Promise<string> {
  return await createRun(database, GRAPH, {
    one: { state: "succeeded", result },
    many: {
      state: "failed",
      elements: elements.map((text, index) =>
        index === 1 ? { state: "failed" as const } : { state: "succeeded" as const, result: text },
      ),
    },
    open: { state: "running" },
    last: { state: "running" },
  });
}

function claimed(runId: string, input: unknown, plan: NonNullable<ClaimedTask["step"]>["plan"]): ClaimedTask {
  const step = { runId, key: "last", isolation: "inline" as const, plan };
  // What these functions look at.
  return { name: "demo", inputText: JSON.stringify(input), inputRef: null, step } as ClaimedTask;
}

async function all(values: AsyncIterable<unknown>): Promise<unknown[]> {
  const read: unknown[] = [];
  for await (const value of values) read.push(value);
  return read;
}

describe("the input of a step", () => {
  it("has results, and lists of results, in place of its references", async () => {
    const runId = await runWith('{"sum": 3}', ["1", "2", "3"]);
    const input = { a: { $ref: "one.sum" }, b: { $ref: "many" }, c: { $ref: "many.2" } };
    expect(await inputs.readInput(claimed(runId, input, { refers: true }))).toEqual({
      kind: "input",
      text: '{"a":3,"b":[1,null,3],"c":3}',
    });
  });

  it("stands as it is where the step refers to nothing, whatever is in it", async () => {
    const text = '{"$ref": "one"}';
    const task = { ...claimed("00000000-0000-7000-8000-000000000000", null, null), inputText: text };
    expect(inputs.readInput(task)).toEqual({ kind: "input", text });
  });

  it("that refers to what is not in a result fails for good", async () => {
    const runId = await runWith('{"sum": 3}', []);
    expect(await inputs.readInput(claimed(runId, { a: { $ref: "one.total" } }, { refers: true }))).toMatchObject({
      kind: "decided",
      outcome: { kind: "failed", error: { code: "reference_invalid" }, retry: { kind: "never" } },
    });
  });

  it("that would collect more than a payload may have fails for good, and says what to do", async () => {
    const runId = await runWith(
      "1",
      Array.from({ length: 5 }, () => JSON.stringify("x".repeat(150))),
    );
    expect(await inputs.readInput(claimed(runId, { $ref: "many" }, { refers: true }))).toMatchObject({
      kind: "decided",
      outcome: {
        kind: "failed",
        error: { code: "collect_too_large", message: expect.stringContaining('ctx.parent("many")') },
        retry: { kind: "never" },
      },
    });
  });

  it("of a mapped step is one for each element, with the element in it", async () => {
    const runId = await runWith("[4, 5]", []);
    const input = { at: { $index: true }, of: { $item: "" }, other: { $ref: "many" } };
    const read = await inputs.readInput(claimed(runId, input, { refers: true, map: { $ref: "one" } }));
    expect(read).toMatchObject({
      kind: "decided",
      outcome: {
        kind: "expanded",
        elements: [0, 1].map((index) => ({
          key: elementKey("last", index),
          inputText: JSON.stringify({ at: index, of: index + 4, other: { $ref: "many" } }),
          refers: true,
        })),
      },
    });
  });
});

describe("ctx.parent", () => {
  it("reads the result of a step, and those of a mapped one in order, whatever their size together", async () => {
    const texts = Array.from({ length: 120 }, (_, index) => JSON.stringify(`${index}${"x".repeat(50)}`));
    const runId = await runWith('{"sum": 3}', texts);
    const task = claimed(runId, null, null);
    expect(await all(inputs.readParent(task, "one"))).toEqual([{ sum: 3 }]);
    const expected = texts.map((text, index) => (index === 1 ? null : JSON.parse(text)));
    expect(await all(inputs.readParent(task, "many"))).toEqual(expected);
  });

  it.each([
    ["nobody", "expected the key of a step of this run"],
    ["open", "it is running"],
  ])("of %s is refused", async (key, message) => {
    const runId = await runWith("1", []);
    await expect(all(inputs.readParent(claimed(runId, null, null), key))).rejects.toMatchObject({
      code: "reference_invalid",
      message: expect.stringContaining(message),
    });
  });

  it("outside a run is refused", async () => {
    const task = { ...claimed("", null, null), step: null };
    await expect(all(inputs.readParent(task, "one"))).rejects.toMatchObject({ code: "reference_invalid" });
  });
});
