/** The jobs baked into the image, run in memory by their own tasks. */
import { describe, expect, test } from "vitest";
import type { Context } from "../../runtime/define/index.ts";
import { createJobRegistry } from "../../runtime/define/job-registry.ts";
import { createRegistry } from "../../runtime/define/registry.ts";
import { shapesOf } from "../../runtime/define/task-shape.ts";
import { planGraph } from "../../runtime/model/graph-check.ts";
import { startRun } from "../../runtime/model/interpret.ts";
import { JOBS, TASKS } from "../../runtime/tasks/index.ts";

const tasks = createRegistry(TASKS);
const jobs = createJobRegistry(JOBS, tasks);

/** Runs everything that is queued at the same time. What comes out has been JSON, and fits what the task says of its output. */
async function runJob(name: string, given?: object) {
  const job = jobs.get(name);
  if (job === undefined) throw new Error(`expected a job ${name}`);
  const plan = planGraph(job.graph, job.input.parse(given), shapesOf(tasks));
  if (plan.kind === "invalid") throw new Error(JSON.stringify(plan.issues));
  const run = startRun(plan.steps);
  const told: number[] = [];
  // As much of a context as these tasks use.
  const ctx = {
    signal: new AbortController().signal,
    progress: (share: number) => told.push(share),
  } as unknown as Context;
  while (run.queued.size > 0) {
    const begun = [...run.queued].map((key) => ({ key, ...run.begin(key) }));
    const running = begun.map(async (one) => {
      if (one.kind !== "running") return;
      const task = tasks.get(one.step.task);
      const output: unknown = JSON.parse(JSON.stringify(await task?.run(task.input.parse(one.input), ctx)));
      run.end(one.key, { kind: "succeeded", result: task?.output?.parse(output) });
      expect(task?.output?.parse(output)).toEqual(output);
    });
    await Promise.all(running);
  }
  return { state: run.state(), states: run.states(), result: run.result(plan.graph.result), progress: told };
}

test("every job starts without an input as well", () => {
  for (const job of JOBS) expect(job.input.safeParse(undefined).success).toBe(true);
});

describe("etl", () => {
  test("adds up all files, and says how far each step is", async () => {
    const { state, states, result, progress } = await runJob("etl", { files: 3, rows: 10 });
    expect(state).toBe("succeeded");
    expect([...states.keys()].filter((key) => key.startsWith("parse"))).toEqual([
      "parse",
      "parse[0]",
      "parse[1]",
      "parse[2]",
    ]);
    expect(result).toEqual({
      total: { files: 3, rows: 30, sum: expect.any(Number) },
      text: expect.stringMatching(/^30 rows of 3 files add up to \d+\.$/),
    });
    expect(progress.length).toBeGreaterThan(3);
  });

  test("comes to the same each time", async () => {
    const [one, other] = await Promise.all([runJob("etl", { files: 2 }), runJob("etl", { files: 2 })]);
    expect(one.result).toEqual(other.result);
  });

  test("is done with no file at all", async () => {
    expect((await runJob("etl", { files: 0 })).result).toMatchObject({ total: { files: 0, rows: 0, sum: 0 } });
  });
});

describe("diamond", () => {
  test("has thirty steps, of which one is first and one is last", () => {
    const { steps } = jobs.get("diamond")?.graph ?? { steps: [] };
    expect(steps).toHaveLength(30);
    const referred = JSON.stringify(steps.map(({ input }) => input));
    expect(steps.filter(({ key }) => !referred.includes(`"${key}.`)).map(({ key }) => key)).toEqual(["sink"]);
    expect(steps.filter(({ input }) => !JSON.stringify(input).includes("$ref")).map(({ key }) => key)).toEqual([
      "source",
    ]);
  });

  test("counts the ways through it", async () => {
    // Not by a sum over steps, as the tasks do it, but step by step from the end.
    const { steps } = jobs.get("diamond")?.graph ?? { steps: [] };
    const waysTo = (key: string): number => {
      const text = JSON.stringify(steps.find((step) => step.key === key)?.input);
      const parents = [...text.matchAll(/"\$ref":"([^".]+)\.ways"/g)].map(([, parent = ""]) => parent);
      return parents.length === 0 ? 1 : parents.reduce((sum, parent) => sum + waysTo(parent), 0);
    };
    const { state, result } = await runJob("diamond", { step_ms: 0 });
    expect(state).toBe("succeeded");
    expect(result).toEqual({ ways: waysTo("sink") });
    expect(waysTo("sink")).toBeGreaterThan(30);
  });
});

describe("nightly", () => {
  test("reports where there is enough", async () => {
    const { state, result } = await runJob("nightly");
    expect(state).toBe("succeeded");
    expect(result).toEqual({ reported: true, text: expect.stringMatching(/^orders has \d+ rows more\.$/) });
  });

  test("skips its report where there is not", async () => {
    const { state, states, result } = await runJob("nightly", { least: 1_000 });
    expect(state).toBe("succeeded");
    expect(states.get("report")).toBe("skipped");
    expect(result).toEqual({ reported: false, text: null });
  });
});
