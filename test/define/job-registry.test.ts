import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { defineJob, defineTask } from "../../runtime/define/index.ts";
import { createJobRegistry } from "../../runtime/define/job-registry.ts";
import { createRegistry, loadJobs, loadTasks } from "../../runtime/define/registry.ts";

const DEFINE = new URL("../../runtime/define/index.ts", import.meta.url).href;
const ZOD = import.meta.resolve("zod");

const count = defineTask({
  name: "count",
  input: z.strictObject({ n: z.int() }),
  output: z.object({ n: z.int() }),
  run: ({ n }) => ({ n }),
});
const TASKS = createRegistry([count]);

const jobOf = (name: string) =>
  defineJob({
    name,
    input: z.object({ n: z.int() }),
    build: (job, input) => job.step("a", count, { n: input.n }),
  });

describe("a registry of jobs", () => {
  test("knows them by their names", () => {
    const [a, b] = [jobOf("a"), jobOf("b")];
    expect([...createJobRegistry([a, b, a], TASKS)]).toEqual([
      ["a", a],
      ["b", b],
    ]);
  });

  test("refuses two of one name", () => {
    expect(() => createJobRegistry([jobOf("a"), jobOf("a")], TASKS)).toThrow(
      expect.objectContaining({
        code: "definition_invalid",
        message: expect.stringMatching(/^Two jobs are called "a"/),
      }),
    );
  });

  test("refuses a job of a task that is not loaded, and names job, step and path", () => {
    expect(() => createJobRegistry([jobOf("etl")], new Map())).toThrow(
      expect.objectContaining({
        code: "definition_invalid",
        message:
          'The job "etl" cannot run: steps.a.task: expected the name of a task, got "count". Known here: none. Correct the definition, or load the module of the task.',
        details: { issues: [expect.objectContaining({ path: "steps.a.task" })] },
      }),
    );
  });

  test("refuses a job whose steps do not fit, whatever its input will be", () => {
    const job = defineJob({
      name: "etl",
      input: z.object({ n: z.int() }),
      build(job, input) {
        const a = job.step("a", count, { n: input.n });
        job.step("a", count, { n: 0.5, more: a.n } as { n: number });
        job.step("b", count, { n: 0.5 });
      },
    });
    expect(() => createJobRegistry([job], TASKS)).toThrow(
      /"etl" cannot run: steps\.a\.key: expected a key that no other step has; steps\.b\.input\.n: expected int/,
    );
  });
});

describe("a module", () => {
  async function moduleOf(body: string): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), "taskiq-jobs-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const path = join(folder, "module.mjs");
    const head = `import { defineJob, defineTask } from ${JSON.stringify(DEFINE)};
      import { z } from ${JSON.stringify(ZOD)};
      const task = (name) => defineTask({ name, input: z.unknown(), run: () => null });
      const job = (name) => defineJob({ name, input: z.unknown(), build: (job) => job.step("a", task("t"), 1) });`;
    await writeFile(path, `${head}\n${body}`);
    return path;
  }

  test("may have tasks and jobs, alone and in arrays, and each is read once", async () => {
    const path = await moduleOf(
      `export const t = task("t"); export const j = job("j"); export const all = [j, t, job("k")];`,
    );
    expect((await loadTasks([path])).map(({ name }) => name)).toEqual(["t"]);
    expect((await loadJobs([path])).map(({ name }) => name).sort()).toEqual(["j", "k"]);
  });

  test("may have jobs only", async () => {
    const path = await moduleOf(`export default job("j");`);
    expect(await loadTasks([path])).toEqual([]);
    expect((await loadJobs([path])).map(({ name }) => name)).toEqual(["j"]);
  });

  test("may not have neither", async () => {
    const path = await moduleOf("export const n = 5;");
    await expect(loadJobs([path])).rejects.toThrow(/exports no task and no job/);
  });
});
