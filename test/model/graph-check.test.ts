import { describe, expect, test } from "vitest";
import { z } from "zod";
import { createRegistry } from "../../runtime/define/registry.ts";
import { defineTask } from "../../runtime/define/task.ts";
import { shapesOf } from "../../runtime/define/task-shape.ts";
import { GRAPH_LIMITS, type Graph, type Step } from "../../runtime/model/graph.ts";
import { checkGraph, planGraph, type TaskShapes } from "../../runtime/model/graph-check.ts";

const any = defineTask({ name: "any", input: z.unknown(), run: () => null });
const list = defineTask({
  name: "list",
  input: z.strictObject({ count: z.int().min(1) }),
  output: z.object({
    files: z.array(z.object({ path: z.string(), bytes: z.int() })),
    total: z.int(),
    note: z.string().nullable(),
    extra: z.record(z.string(), z.unknown()),
  }),
  run: ({ count }) => ({ files: [], total: count, note: null, extra: {} }),
});
const parse = defineTask({
  name: "parse",
  input: z.strictObject({ path: z.string(), place: z.int().optional(), mode: z.enum(["fast", "full"]).optional() }),
  output: z.object({ rows: z.int() }),
  run: () => ({ rows: 1 }),
});
const sum = defineTask({
  name: "sum",
  input: z.strictObject({ parts: z.array(z.object({ rows: z.number() })).min(1) }),
  output: z.number(),
  run: () => 1,
});
const TASKS = shapesOf(createRegistry([any, list, parse, sum]));

const LIST: Step = { key: "list", task: "list", input: { count: 1 } };
const PARSE: Step = { key: "parse", task: "parse", map: { $ref: "list.files" }, input: { path: { $item: "path" } } };

function issuesOf(steps: readonly Step[], more: Omit<Graph, "steps"> = {}, input: unknown = {}, tasks = TASKS) {
  const plan = planGraph({ steps, ...more }, input, tasks);
  return plan.kind === "invalid" ? plan.issues.map(({ path, message }) => `${path}: ${message}`) : [];
}

function stepsOf(graph: Graph, input: unknown = {}) {
  const plan = planGraph(graph, input, TASKS);
  if (plan.kind === "invalid") throw new Error(JSON.stringify(plan.issues));
  return plan.steps;
}

const step = (key: string, more: Partial<Step> = {}): Step => ({ key, task: "any", ...more });

describe("a graph is refused that", () => {
  test.each<[string, readonly Step[], readonly string[]]>([
    [
      "names an unknown task",
      [step("a", { task: "anny" })],
      ['steps.a.task: expected the name of a task, got "anny". Known here: any, list, parse, sum'],
    ],
    ["has two steps of one key", [step("a"), step("a")], ["steps.a.key: expected a key that no other step has"]],
    [
      "has a key with other letters",
      [step("a.b"), step("")],
      [
        'steps.a.b.key: expected 1 to 100 letters, digits, _ and -, got "a.b"',
        'steps..key: expected 1 to 100 letters, digits, _ and -, got ""',
      ],
    ],
    [
      "comes after an unknown step",
      [step("a", { after: ["b"] })],
      ['steps.a.after.0: expected the key of a step, got "b". Steps: a'],
    ],
    [
      "refers to an unknown step, anywhere",
      [
        step("a", {
          input: { x: [{ $ref: "b.c" }] },
          map: { $ref: ["d", "e.f"] },
          when: { $ref: "g" },
        }),
      ],
      [
        'steps.a.input.x.0: expected the key of a step, got "b". Steps: a',
        'steps.a.map: expected the key of a step, got "d". Steps: a',
        'steps.a.when: expected the key of a step, got "g". Steps: a',
      ],
    ],
    [
      "has a step that waits for itself",
      [step("a", { after: ["a"] }), step("b", { input: { $ref: "b.x" } })],
      ["steps.a.after.0: expected another step, got a itself", "steps.b.input: expected another step, got b itself"],
    ],
    [
      "has a cycle",
      [step("a", { input: { $ref: "c" } }), step("b", { after: ["a"] }), step("c", { when: { $ref: "b" } })],
      ["steps.a: expected no cycle, got a → b → c → a"],
    ],
    [
      "takes an element where there is none",
      [step("a", { input: { $item: "x" } }), step("b", { map: [{ $item: "" }, { $index: true }] })],
      [
        "steps.a.input: expected $item in the input of a step with map",
        "steps.b.map.0: expected $item in the input of a step with map",
        "steps.b.map.1: expected $index in the input of a step with map",
      ],
    ],
    [
      "has a reference that is not written right",
      [step("a", { input: { x: { $reff: "b" } } }), step("b", { input: { y: { $ref: 3 } } })],
      [
        'steps.a.input.x: expected $ref, $input, $item, $index or $literal, got $reff. Write {"$literal": …} around a value of your own',
        'steps.b.input.y: expected a path such as "a.b" in $ref, got 3',
      ],
    ],
    [
      "maps over what is no list",
      [step("a", { map: { x: 1 } }), step("b", { map: 5 }), step("c", { map: { $literal: "abc" } })],
      [
        "steps.a.map: expected a list, got an object",
        "steps.b.map: expected a list, got a number",
        "steps.c.map: expected a list, got a string",
      ],
    ],
    [
      "maps over a result that is no list",
      [LIST, step("a", { map: { $ref: "list.total" } }), step("b", { map: { $ref: "list.note" } })],
      [
        "steps.a.map: expected a list, got an integer from list.total",
        "steps.b.map: expected a list, got a string or null from list.note",
      ],
    ],
    [
      "gives a task what its schema refuses",
      [
        { ...LIST, input: { count: 0, size: 3 } },
        { key: "none", task: "parse" },
      ],
      [
        "steps.list.input.count: Too small: expected number to be >=1",
        "steps.list.input.size: this field is not known here",
        "steps.none.input: expected object, received undefined",
      ],
    ],
    [
      "gives a task the wrong thing beside a reference",
      [LIST, { key: "parse", task: "parse", input: { path: { $ref: "list.files.0.path" }, place: "0" } }],
      ["steps.parse.input.place: expected number, received string"],
    ],
    [
      "refers to a field that the result cannot have",
      [
        LIST,
        PARSE,
        step("a", { input: [{ $ref: "list.flies" }, { $ref: "list.files.0.size" }, { $ref: "list.files.size" }] }),
        step("b", { input: [{ $ref: "list.total.x" }, { $ref: "parse.rows" }, { $ref: "parse.0.lines" }] }),
      ],
      [
        "steps.a.input.0: expected files, total, note or extra in the result of list, got flies",
        "steps.a.input.1: expected path or bytes at files.0 in the result of list, got size",
        "steps.a.input.2: expected a place in the list, such as 0 at files in the result of list, got size",
        "steps.b.input.0: expected nothing inside of an integer at total in the result of list, got x",
        "steps.b.input.1: expected a place in the list, such as 0 in the result of parse, got rows",
        "steps.b.input.2: expected rows at 0 in the result of parse, got lines",
      ],
    ],
    [
      "has a condition on a field that the result cannot have",
      [LIST, step("a", { when: { $ref: "list.totla" } })],
      ["steps.a.when: expected files, total, note or extra in the result of list, got totla"],
    ],
    [
      "takes a result for what it is not",
      [
        LIST,
        { key: "a", task: "parse", input: { path: { $ref: "list.total" } } },
        { key: "b", task: "parse", input: { $ref: "list.files" } },
        { key: "c", task: "parse", input: { $ref: "list" } },
        { key: "d", task: "sum", input: { parts: { $ref: "list.files" } } },
        { key: "e", task: "list", input: { count: { $ref: "list.note", optional: true } } },
      ],
      [
        "steps.a.input.path: expected a string, got an integer from list.total",
        "steps.b.input: expected an object, got a list from list.files",
        "steps.c.input: expected a string at path, got nothing from list",
        "steps.d.input.parts: expected a number at 0.rows, got nothing from list.files",
        "steps.e.input.count: expected an integer, got a string or null from list.note",
      ],
    ],
    [
      "takes an element for what it is not",
      [
        LIST,
        { ...PARSE, key: "a", input: { path: { $item: "bytes" } } },
        { ...PARSE, key: "b", input: { path: { $index: true } } },
        { ...PARSE, key: "c", input: { path: { $item: "pth" } } },
        { ...PARSE, key: "d", input: { $item: "" } },
      ],
      [
        "steps.a.input.path: expected a string, got an integer from $item.bytes",
        "steps.b.input.path: expected a string, got an integer from $index",
        "steps.c.input.path: expected path or bytes in the element, got pth",
        "steps.d.input: expected no such field at bytes, got one from $item",
      ],
    ],
    [
      "has an element in a list that its task does not take",
      [
        { ...PARSE, key: "a", map: [{ path: "x" }, { path: 5 }, { path: 6 }] },
        { ...PARSE, key: "b", map: [{ path: "x" }, { pth: "y" }] },
      ],
      [
        "steps.a.input.path: expected string, received number, at element 1 of map",
        "steps.b.input.path: expected path in the element, there is none, at element 1 of map",
      ],
    ],
    [
      "has numbers out of bounds",
      [
        step("a", {
          priority: 101,
          retry: { max_attempts: 0, backoff_ms: -1, max_backoff_ms: 86_400_001 },
          timeout_ms: 0,
          grace_ms: 600_001,
          concurrency: { key: "k", max_running: 0 },
        }),
      ],
      [
        "steps.a.priority: expected a number from -100 to 100, got 101",
        "steps.a.retry.max_attempts: expected a number from 1 to 1000, got 0",
        "steps.a.retry.backoff_ms: expected a number from 0 to 86400000, got -1",
        "steps.a.retry.max_backoff_ms: expected a number from 0 to 86400000, got 86400001",
        "steps.a.timeout_ms: expected a number from 1 to 39600000, got 0",
        "steps.a.grace_ms: expected a number from 0 to 600000, got 600001",
        "steps.a.concurrency.max_running: expected a number from 1 to 1000000, got 0",
      ],
    ],
    [
      "has labels that tasks may not have",
      [step("a", { labels: { taskiq_aws: "x", long: "x".repeat(1_001) } })],
      [
        "steps.a.labels.taskiq_aws: names that start with taskiq_aws are reserved",
        "steps.a.labels.long: expected at most 1000 characters, got 1001",
      ],
    ],
    ["has no step", [], ["steps: expected 1 to 20000 steps, got 0"]],
    [
      "has too many steps",
      Array.from({ length: GRAPH_LIMITS.steps + 1 }, () => step("a")),
      ["steps: expected 1 to 20000 steps, got 20001"],
    ],
    [
      "has too many edges",
      Array.from({ length: 640 }, (_, place) =>
        step(`s${place}`, { after: Array.from({ length: place }, (_, parent) => `s${parent}`) }),
      ),
      ["steps: expected at most 200000 edges, got 204480"],
    ],
    [
      "maps over too long a list",
      [step("a", { map: Array.from({ length: 20_001 }, () => 1) })],
      ["steps.a.map: expected at most 20000 elements, got 20001"],
    ],
  ])("%s", (_, steps, issues) => {
    expect(issuesOf(steps)).toEqual(issues);
  });

  test.each<[string, Omit<Graph, "steps">, readonly string[]]>([
    [
      "results in what cannot be there",
      { result: { a: { $ref: "nobody.x" }, b: [{ $ref: "list.totl" }], c: { $item: "" }, d: { $input: "no.thing" } } },
      [
        "result.d: expected no.thing in the run's input, there is none",
        'result.a: expected the key of a step, got "nobody". Steps: list',
        "result.b.0: expected files, total, note or extra in the result of list, got totl",
        "result.c: expected $item in the input of a step with map",
      ],
    ],
    [
      "has a deadline out of bounds",
      { deadline_ms: 999 },
      ["deadline_ms: expected a number from 1000 to 31536000000, got 999"],
    ],
    [
      "ends with an unknown task",
      { on_finished: { task: "tell" } },
      ['on_finished.task: expected the name of a task, got "tell". Known here: any, list, parse, sum'],
    ],
  ])("%s", (_, more, issues) => {
    expect(issuesOf([LIST], more)).toEqual(issues);
  });

  test("asks for what the run's input does not have", () => {
    const steps = [step("a", { input: { n: { $input: "n.m" }, all: { $input: "" }, null: { $input: "null" } } })];
    expect(issuesOf(steps, {}, { n: 1, null: null })).toEqual([
      "steps.a.input.n: expected n.m in the run's input, there is none",
    ]);
  });

  test("takes from the run's input what its task refuses", () => {
    const steps: Step[] = [
      { ...LIST, input: { count: { $input: "count" } } },
      step("a", { map: { $input: "count" } }),
      { ...PARSE, map: { $input: "files" } },
    ];
    expect(issuesOf(steps, {}, { count: "3", files: [{ path: "x" }, { path: 1 }] })).toEqual([
      "steps.list.input.count: expected number, received string",
      "steps.a.map: expected a list, got a string",
      "steps.parse.input.path: expected string, received number, at element 1 of map",
    ]);
  });

  test("is wrong in a thousand places is told of a hundred", () => {
    expect(issuesOf(Array.from({ length: 1_000 }, (_, place) => step(`s${place}`, { task: "no" })))).toHaveLength(100);
  });

  test("names an unknown task or step is told of twenty that there are", () => {
    const names = Array.from({ length: 30 }, (_, place) => `t${place}`);
    const tasks: TaskShapes = { get: () => undefined, names: () => names };
    const [first] = issuesOf([step("a")], {}, {}, tasks);
    expect(first).toBe(
      `steps.a.task: expected the name of a task, got "any". Known here: ${names.slice(0, 20).join(", ")} and 10 more`,
    );
  });

  test("has a long cycle is told of its ends", () => {
    const steps = Array.from({ length: 100 }, (_, place) => step(`s${place}`, { after: [`s${(place + 99) % 100}`] }));
    const [first] = issuesOf(steps);
    expect(first).toMatch(/^steps\.s0: expected no cycle, got s0 → s1 → .* → 71 more → .* → s99 → s0$/);
  });
});

describe("a graph is taken that", () => {
  test.each<[string, readonly Step[]]>([
    [
      "takes results for what they may be",
      [
        LIST,
        PARSE,
        { key: "sum", task: "sum", input: { parts: { $ref: "parse" } } },
        { key: "again", task: "list", input: { count: { $ref: "sum" } } },
        { key: "note", task: "parse", input: { path: { $ref: "list.note" } } },
        { key: "any", task: "any", input: { $ref: "list.extra.what.ever" } },
        { key: "extra", task: "parse", input: { path: { $ref: "list.extra.path" } } },
      ],
    ],
    [
      "refers into results of which nothing is said",
      [
        step("a"),
        { key: "b", task: "parse", input: { path: { $ref: "a.x.y" } } },
        { key: "c", task: "parse", map: { $ref: "a.x" }, input: { path: { $item: "x" }, place: { $index: true } } },
        { key: "d", task: "sum", input: { parts: { $ref: "c" } } },
      ],
    ],
    [
      "gives lists with references in them",
      [
        LIST,
        { key: "a", task: "sum", input: { parts: [{ rows: { $ref: "list.total" } }, { rows: 1 }] } },
        { ...PARSE, map: [{ path: { $ref: "list.note" } }, { path: "x" }] },
      ],
    ],
    [
      "has all a step may have",
      [
        step("a"),
        step("b", {
          after: ["a"],
          map: [],
          when: { $ref: "a", equals: 1 },
          on_parent_failure: "run",
          queue: "q",
          priority: -100,
          retry: { max_attempts: 1_000 },
          timeout_ms: 1,
          grace_ms: 0,
          on_lost: "fail",
          isolation: "process",
          concurrency: { key: "k", max_running: 1 },
          labels: { team: "a" },
        }),
      ],
    ],
  ])("%s", (_, steps) => {
    expect(issuesOf(steps)).toEqual([]);
  });

  test("is fine but for what the run's input will be, before there is one", () => {
    const graph: Graph = {
      steps: [
        { ...LIST, input: { count: { $input: "count" } } },
        { ...PARSE, map: { $input: "files" } },
      ],
      result: { $input: "x" },
    };
    expect(checkGraph(graph, TASKS)).toEqual([]);
    expect(checkGraph({ ...graph, steps: [{ ...LIST, input: { count: { $input: "n" }, n: 1 } }] }, TASKS)).toEqual([
      { path: "steps.list.input.n", message: "this field is not known here" },
    ]);
  });
});

describe("a planned step", () => {
  test("has each parent once, optional where every reference to it is", () => {
    const steps = [
      step("a"),
      step("b"),
      step("c"),
      step("d"),
      step("x", {
        input: [
          { $ref: "a.n", optional: true },
          { $ref: "a", optional: true },
          { $ref: "b", optional: true },
          { $ref: "b" },
        ],
        map: { $ref: "c", optional: true },
        after: ["d", "a"],
      }),
      step("y", { input: { $ref: "a", optional: true }, when: { $ref: "b" } }),
    ];
    const planned = new Map(stepsOf({ steps }).map((one) => [one.step.key, one]));
    expect(planned.get("x")?.parents).toEqual([
      { key: "a", optional: false },
      { key: "b", optional: false },
      { key: "c", optional: false },
      { key: "d", optional: false },
    ]);
    expect(planned.get("y")?.parents).toEqual([
      { key: "a", optional: true },
      { key: "b", optional: false },
    ]);
  });

  test("refers where its input, map or condition waits for another", () => {
    const steps = [
      step("a", { input: { $input: "n" } }),
      step("after", { after: ["a"] }),
      step("input", { input: { $ref: "a" } }),
      step("map", { map: { $ref: "a" } }),
      step("when", { when: { $ref: "a" } }),
      step("elements", { map: [1], input: { $item: "" } }),
    ];
    expect(
      stepsOf({ steps }, { n: 1 })
        .filter(({ refers }) => refers)
        .map((one) => one.step.key),
    ).toEqual(["input", "map", "when"]);
  });

  test("has its input as a value where nothing is left to fill in, and as a template elsewhere", () => {
    const trap = { $ref: "data that looks like a reference" };
    const steps = [
      step("value", { input: { a: { $input: "trap" }, b: { $literal: trap } } }),
      step("refers", { input: { a: { $input: "trap" }, b: { $literal: trap }, c: { $ref: "value" } } }),
      step("condition", { input: { b: { $literal: trap } }, when: { $ref: "value" } }),
      step("elements", { map: { $input: "list" }, input: { a: { $input: "trap" }, b: { $item: "" } } }),
    ];
    const inputs = stepsOf({ steps }, { trap, list: [trap] }).map(({ step }) => [step.input, step.map]);
    expect(inputs).toEqual([
      [{ a: trap, b: trap }, undefined],
      [{ a: { $literal: trap }, b: { $literal: trap }, c: { $ref: "value" } }, undefined],
      [{ b: { $literal: trap } }, undefined],
      [{ a: { $literal: trap }, b: { $item: "" } }, { $literal: [trap] }],
    ]);
  });

  test("comes after its parents, else where it stood", () => {
    const steps = [
      step("c", { after: ["b", "a"] }),
      step("x"),
      step("a"),
      step("b", { input: { $ref: "a" } }),
      step("y"),
    ];
    expect(stepsOf({ steps }).map((one) => one.step.key)).toEqual(["a", "b", "c", "x", "y"]);
  });
});

test("a planned graph plans to the same steps again, without the run's input", () => {
  const graph: Graph = {
    steps: [
      step("b", { input: { x: { $input: "trap" }, y: { $ref: "a" } } }),
      step("a", { input: { $input: "trap" }, map: { $input: "list" } }),
    ],
    result: { all: { $ref: "a" }, trap: { $input: "trap" } },
    deadline_ms: 5_000,
  };
  const plan = planGraph(graph, { trap: { $input: "no" }, list: [1] }, TASKS);
  if (plan.kind === "invalid") throw new Error(JSON.stringify(plan.issues));
  expect(plan.graph.result).toEqual({ all: { $ref: "a" }, trap: { $literal: { $input: "no" } } });
  expect(plan.graph.steps.map(({ key }) => key)).toEqual(["b", "a"]);
  expect(planGraph(plan.graph, null, TASKS)).toEqual(plan);
});
