/** What README.md shows of jobs is what the code has. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { GRAPH_LIMITS, type Graph } from "../runtime/model/graph.ts";
import { etl } from "../runtime/tasks/etl.ts";

const textOf = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
const section = /\n## Jobs and runs\n(.*?)\n## /s.exec(textOf("README.md"))?.[1] ?? "";

/** Without comments: those of the README are for its readers. */
function codeLines(text: string): string[] {
  const lines = text.split("\n").map((line) => line.replace(/(^| +)\/\/ .*$/, ""));
  return lines.filter((line) => line !== "");
}

describe("the section about jobs", () => {
  test("shows lines of runtime/tasks/etl.ts, in their order", () => {
    const shown = codeLines(/```ts\n(.*?)```/s.exec(section)?.[1] ?? "");
    const source = codeLines(textOf("runtime/tasks/etl.ts"));
    expect(shown.length).toBeGreaterThan(10);
    let from = 0;
    for (const line of shown) {
      const at = source.indexOf(line, from);
      expect(at, line).not.toBe(-1);
      from = at + 1;
    }
  });

  test("posts the same graph as JSON", () => {
    const posted: unknown = JSON.parse(/-d '(\{"input".*?\})'/s.exec(section)?.[1] ?? "null");
    const graph: Graph = etl.graph;
    expect(posted).toEqual({ input: { files: 40, rows: 1_000 }, graph });
  });

  test("tells the bounds of a graph", () => {
    const { steps, edges, elements } = GRAPH_LIMITS;
    const number = (count: number) => count.toLocaleString("en-US");
    expect(section).toContain(
      `${number(steps)} steps and ${number(edges)} edges a graph, ${number(elements)} elements a mapped step`,
    );
  });
});
