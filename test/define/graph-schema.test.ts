import { describe, expect, test } from "vitest";
import { z } from "zod";
import { GRAPH_SCHEMA } from "../../runtime/define/graph-schema.ts";
import type { Graph } from "../../runtime/model/graph.ts";

const FULL: Graph = {
  steps: [
    {
      key: "a",
      task: "t",
      input: { x: [{ $ref: "b.c" }] },
      after: ["b"],
      map: [1],
      when: { $ref: "b", not_equals: null },
      on_parent_failure: "cancel",
      queue: "q",
      priority: 1_000,
      ordering_key: "o",
      retry: { max_attempts: 0, backoff_ms: 1, max_backoff_ms: 2 },
      timeout_ms: 1,
      grace_ms: 1,
      on_lost: "requeue",
      isolation: "inline",
      concurrency: { key: "k", max_running: 1 },
      labels: { a: "b" },
    },
  ],
  result: null,
  deadline_ms: 1,
  on_finished: { task: "t", queue: "q" },
};

test("a graph with all it may have goes through unchanged, numbers out of bounds too", () => {
  expect(GRAPH_SCHEMA.parse(FULL)).toEqual(FULL);
});

describe("a graph is refused", () => {
  test.each<[string, unknown, string]>([
    ["that is none", [], ""],
    ["without steps", {}, "steps"],
    ["with an unknown field", { steps: [], step: 1 }, ""],
    ["with an unknown field of a step", { steps: [{ key: "a", task: "t", inputs: {} }] }, "steps.0"],
    ["with a step without a task", { steps: [{ key: "a" }] }, "steps.0.task"],
    ["with half a number", { steps: [{ key: "a", task: "t", priority: 0.5 }] }, "steps.0.priority"],
    [
      "with a condition on an object",
      { steps: [{ key: "a", task: "t", when: { $ref: "b", equals: {} } }] },
      "steps.0.when.equals",
    ],
    ["with a label that is no text", { steps: [{ key: "a", task: "t", labels: { a: 1 } }] }, "steps.0.labels.a"],
  ])("%s", (_, graph, path) => {
    expect(GRAPH_SCHEMA.safeParse(graph).error?.issues.map((issue) => issue.path.join("."))).toEqual([path]);
  });
});

test("its JSON schema tells the bounds, and describes every field", () => {
  const schema = z.toJSONSchema(GRAPH_SCHEMA, { io: "input" });
  expect(schema.properties?.steps).toMatchObject({
    minItems: 1,
    maxItems: 20_000,
    items: { required: ["key", "task"], properties: { priority: { minimum: -100, maximum: 100 } } },
  });
  const undescribed = Object.entries(fieldsOf(schema)).flatMap(([name, field]) =>
    field.description === undefined && field.properties === undefined ? [name] : [],
  );
  expect(undescribed).toEqual([]);
});

type Described = { readonly description?: string; readonly properties?: object; readonly items?: Described };

/** Of the graph and of its steps. */
function fieldsOf(schema: z.core.JSONSchema.JSONSchema): Record<string, Described> {
  // As the test above it shows.
  const fields = schema.properties as Record<string, Described>;
  return { ...fields, ...(fields.steps?.items?.properties as Record<string, Described>) };
}
