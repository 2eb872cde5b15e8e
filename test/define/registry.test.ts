import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { createRegistry, loadTasks } from "../../runtime/define/registry.ts";
import { defineTask } from "../../runtime/define/task.ts";

const DEFINE = new URL("../../runtime/define/index.ts", import.meta.url).href;
const ZOD = import.meta.resolve("zod");

const demo = defineTask({ name: "demo", input: z.object({ n: z.number() }), run: ({ n }) => n });
const other = defineTask({ name: "other", input: z.string(), run: (text) => text });

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "taskiq-modules-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

/** A module with this body, in which `task(name)` defines a task. */
async function moduleOf(name: string, body: string): Promise<string> {
  const path = join(folder, name);
  const head = `import { defineTask } from ${JSON.stringify(DEFINE)};
    import { z } from ${JSON.stringify(ZOD)};
    const task = (name) => defineTask({ name, input: z.unknown(), run: () => null });`;
  await writeFile(path, `${head}\n${body}`);
  return path;
}

describe("createRegistry", () => {
  test("knows tasks of any input by their names", () => {
    const registry = createRegistry([demo, other]);
    expect([...registry.keys()]).toEqual(["demo", "other"]);
    expect(registry.get("demo")).toBe(demo);
    expect(registry.get("toString")).toBeUndefined();
  });

  test("refuses two tasks of one name, and says which", () => {
    const second = defineTask({ name: "demo", input: z.string(), run: () => null });
    expect(() => createRegistry([demo, other, second])).toThrow(/"demo".*unique/);
    expect(() => createRegistry([demo, second])).toThrow(expect.objectContaining({ code: "definition_invalid" }));
  });

  test("takes one task that is listed twice for one task", () => {
    expect([...createRegistry([demo, other, demo]).keys()]).toEqual(["demo", "other"]);
  });
});

describe("loadTasks", () => {
  test("reads every exported definition and every one in an exported array, by path or URL", async () => {
    const first = await moduleOf(
      "first.mjs",
      `export const a = task("a"); export const rest = [task("b"), task("c")];`,
    );
    const second = await moduleOf("second.mjs", `export default task("d");`);
    const tasks = await loadTasks([first, pathToFileURL(second).href]);
    expect(tasks.map(({ name }) => name).sort()).toEqual(["a", "b", "c", "d"]);
  });

  test("counts a definition once that is exported twice", async () => {
    const path = await moduleOf("twice.mjs", `export const a = task("a"); export default a; export const all = [a];`);
    expect((await loadTasks([path])).map(({ name }) => name)).toEqual(["a"]);
  });

  test("leaves out what is no task", async () => {
    const path = await moduleOf(
      "mixed.mjs",
      `export const a = task("a"); export const n = 5; export const nothing = null; export function run() {}`,
    );
    expect((await loadTasks([path])).map(({ name }) => name)).toEqual(["a"]);
  });

  test.each<[string, string, RegExp]>([
    ["exports no task", "export const n = 5;", /exports no task/],
    ["throws while it is loaded", 'throw new Error("no licence");', /could not be loaded \(no licence\)/],
    ["throws something else than an error", "throw null;", /could not be loaded \(null\)/],
    ["has a definition with a mistake", 'export const a = task("a b");', /could not be loaded.*letters, digits/],
  ])("refuses a module that %s, and names it", async (what, body, message) => {
    const path = await moduleOf(`${what.replaceAll(" ", "-")}.mjs`, body);
    await expect(loadTasks([path])).rejects.toMatchObject({
      code: "definition_invalid",
      message: expect.stringMatching(message),
    });
    await expect(loadTasks([path])).rejects.toThrow(path);
  });

  test("refuses a module that does not exist, and names it", async () => {
    const path = join(folder, "missing.mjs");
    await expect(loadTasks([path])).rejects.toMatchObject({ code: "definition_invalid" });
    await expect(loadTasks([path])).rejects.toThrow(/missing\.mjs/);
  });
});
