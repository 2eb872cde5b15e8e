/** The verbs of `mise run`, which people of the predecessor have in their fingers: each is there, and runs something that is there too. */
import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const read = (file: string): string => readFileSync(new URL(`../../${file}`, import.meta.url), "utf8");

type Task = { readonly names: readonly string[]; readonly run: string };

const tasks: readonly Task[] = read("mise.toml")
  .split(/^\[tasks\./m)
  .slice(1)
  .map((text) => {
    const name = /^"?([^"\]]+)"?\]/.exec(text)?.[1] ?? "";
    const alias = /^alias = "([^"]+)"/m.exec(text)?.[1];
    return { names: alias === undefined ? [name] : [name, alias], run: /^run = "(.+)"$/m.exec(text)?.[1] ?? "" };
  });

test.each(["app", "worker", "format", "lint", "typecheck", "checks", "test"])("mise run %s is there", (verb) => {
  expect(tasks.flatMap(({ names }) => names)).toContain(verb);
});

test.each(tasks.map(({ names, run }) => [names.join(", "), run]))(
  "mise run %s runs what is there: %s",
  (_names, run) => {
    // As package.json is written.
    const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
    const [program, first = "", second = ""] = run.split(" ");
    if (program === "npm") expect(Object.keys(scripts)).toContain(first === "run" ? second : first);
    else if (program === "node") expect(existsSync(new URL(`../../${first}`, import.meta.url)), first).toBe(true);
    else expect([program, first]).toEqual(["npx", "biome"]);
  },
);

test("no verb is there twice", () => {
  const names = tasks.flatMap((task) => task.names);
  expect(new Set(names).size).toBe(names.length);
});
