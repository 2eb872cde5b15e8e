import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PlannedStep, Step } from "../../runtime/model/graph.ts";
import { planGraph } from "../../runtime/model/graph-check.ts";
import { type Begun, type RunInMemory, startRun } from "../../runtime/model/interpret.ts";
import { isTerminal, type TaskError } from "../../runtime/model/task.ts";
import { expectedOf, graphs, plannedSteps, playRun } from "../support/graphs.ts";

const FAILED: TaskError = { code: "handler_error", type: "Error", message: "no route" };

const ref = (path: string) => ({ $ref: path });
const optional = (path: string) => ({ $ref: path, optional: true });

/** A run of steps with the task `t`. */
function start(...steps: (Omit<Step, "task"> & { task?: string })[]): RunInMemory {
  return startRun(plannedSteps({ steps: steps.map((step) => ({ task: "t", ...step })) }));
}

function begin(run: RunInMemory, ...keys: string[]): Begun[] {
  return keys.map((key) => run.begin(key));
}

function succeed(run: RunInMemory, key: string, result: unknown = null): void {
  begin(run, key);
  run.end(key, { kind: "succeeded", result });
}

function fail(run: RunInMemory, key: string): void {
  begin(run, key);
  run.end(key, { kind: "failed", error: FAILED });
}

function cancelStep(run: RunInMemory, key: string): void {
  run.end(key, { kind: "cancelled", error: FAILED });
}

/** Begins it and tells the input it runs with. */
function inputOf(run: RunInMemory, key: string): unknown {
  const begun = run.begin(key);
  if (begun.kind !== "running") throw new Error(`expected ${key} to run, it is ${begun.kind}`);
  return begun.input;
}

const states = (run: RunInMemory) => Object.fromEntries(run.states());
const queued = (run: RunInMemory) => [...run.queued];

describe("a step", () => {
  test("without parents is queued from the beginning, in the order of the graph", () => {
    expect(queued(start({ key: "b" }, { key: "a" }))).toEqual(["b", "a"]);
  });

  test("is queued when the last of its parents has succeeded, and not before", () => {
    const run = start({ key: "a" }, { key: "b" }, { key: "c", after: ["a", "b"] });
    succeed(run, "a");
    expect(states(run)).toMatchObject({ c: "blocked" });
    succeed(run, "b");
    expect(states(run)).toMatchObject({ c: "queued" });
  });

  test("waits for the steps in its input, in its condition and in its list", () => {
    const run = start(
      { key: "a" },
      { key: "input", input: [ref("a")] },
      { key: "when", when: ref("a") },
      { key: "map", map: ref("a.list") },
    );
    expect(queued(run)).toEqual(["a"]);
    succeed(run, "a", { list: [] });
    expect(queued(run)).toEqual(["input", "when", "map"]);
  });

  test("begins once, and ends only while it runs", () => {
    const run = start({ key: "a" });
    expect(() => run.end("a", { kind: "succeeded", result: 1 })).toThrow("expected step a to be running, it is queued");
    succeed(run, "a");
    expect(() => run.begin("a")).toThrow("expected step a to be queued, it is succeeded");
    expect(() => run.begin("b")).toThrow("got b");
  });
});

describe("a step whose parent failed", () => {
  test.each([
    [undefined, "skipped", null],
    ["skip", "skipped", null],
    ["cancel", "cancelled", "parent_failed"],
    ["run", "queued", null],
  ] as const)("with on_parent_failure %s is %s", (policy, state, code) => {
    const run = start({ key: "a" }, { key: "b", after: ["a"], ...(policy && { on_parent_failure: policy }) });
    fail(run, "a");
    expect(run.get("b").state).toBe(state);
    expect(run.get("b").error?.code ?? null).toBe(code);
  });

  test("is decided when all parents are over, not at the failure", () => {
    const run = start({ key: "a" }, { key: "b" }, { key: "c", after: ["a", "b"] });
    fail(run, "a");
    expect(states(run)).toMatchObject({ c: "blocked" });
    succeed(run, "b");
    expect(states(run)).toMatchObject({ c: "skipped" });
  });

  test("treats a cancelled parent alike", () => {
    const run = start(
      { key: "a" },
      { key: "b", after: ["a"], on_parent_failure: "cancel" },
      { key: "c", after: ["a"] },
    );
    cancelStep(run, "a");
    expect(states(run)).toEqual({ a: "cancelled", b: "cancelled", c: "skipped" });
  });

  test("is cancelled rather than skipped where another parent was skipped", () => {
    const run = start(
      { key: "a" },
      { key: "flag" },
      { key: "b", when: ref("flag") },
      { key: "c", after: ["a", "b"], on_parent_failure: "cancel" },
    );
    succeed(run, "flag", false);
    begin(run, "b");
    fail(run, "a");
    expect(states(run)).toMatchObject({ b: "skipped", c: "cancelled" });
  });

  test("takes null for it where it runs all the same", () => {
    const run = start({ key: "a" }, { key: "b", input: [ref("a"), ref("a.rows.0")], on_parent_failure: "run" });
    fail(run, "a");
    expect(inputOf(run, "b")).toEqual([null, null]);
  });

  test("runs, with null for it, where it only refers to it optionally", () => {
    const run = start({ key: "a" }, { key: "b", input: { a: optional("a.rows") } });
    fail(run, "a");
    expect(inputOf(run, "b")).toEqual({ a: null });
  });

  test.each([
    ["after it", { after: ["a"] }],
    ["a required reference", { input: [optional("a"), ref("a")] }],
    ["a condition", { when: ref("a") }],
    ["a list", { map: [optional("a")] }],
  ])("does not run where there is also %s", (_what, fields) => {
    const run = start({ key: "a" }, { key: "b", input: optional("a"), ...fields });
    fail(run, "a");
    expect(states(run)).toEqual({ a: "failed", b: "skipped" });
  });
});

describe("skipping", () => {
  test("goes on to all that needs what was skipped, whatever on_parent_failure says, but for run", () => {
    const run = start(
      { key: "a" },
      { key: "b", when: ref("a") },
      { key: "c", after: ["b"] },
      { key: "d", after: ["c"], on_parent_failure: "cancel" },
      { key: "e", input: optional("d") },
      { key: "f", after: ["d"], on_parent_failure: "run" },
    );
    succeed(run, "a", 0);
    begin(run, "b");
    expect(states(run)).toEqual({ a: "succeeded", b: "skipped", c: "skipped", d: "skipped", e: "queued", f: "queued" });
  });

  test("waits for the other parents as well", () => {
    const run = start({ key: "a" }, { key: "slow" }, { key: "b", when: ref("a") }, { key: "c", after: ["slow", "b"] });
    succeed(run, "a", false);
    begin(run, "b");
    expect(states(run)).toMatchObject({ c: "blocked" });
    fail(run, "slow");
    expect(states(run)).toMatchObject({ c: "skipped" });
  });

  test("leaves the run succeeded", () => {
    const run = start({ key: "a" }, { key: "b", when: ref("a") });
    succeed(run, "a", false);
    begin(run, "b");
    expect(run.state()).toBe("succeeded");
    expect(run.result()).toEqual({ b: null });
  });
});

describe("a condition", () => {
  test.each([
    [{}, true, true],
    [{}, "text", true],
    [{}, [], true],
    [{}, 0, false],
    [{}, "", false],
    [{}, null, false],
    [{ equals: 3 }, 3, true],
    [{ equals: 3 }, "3", false],
    [{ equals: null }, null, true],
    [{ not_equals: "none" }, "some", true],
    [{ not_equals: "none" }, "none", false],
  ])("%j on %j: runs %s", (test, value, runs) => {
    const run = start({ key: "a" }, { key: "b", when: { $ref: "a.value", ...test } });
    succeed(run, "a", { value });
    expect(run.begin("b").kind).toBe(runs ? "running" : "skipped");
  });

  test("is looked at before the references in the input", () => {
    const run = start({ key: "a" }, { key: "b", when: ref("a.ok"), input: ref("a.rows") });
    succeed(run, "a", { ok: false });
    expect(run.begin("b")).toEqual({ kind: "skipped" });
  });

  test("on a part that is not there fails the step", () => {
    const run = start({ key: "a" }, { key: "b", when: ref("a.oky") });
    succeed(run, "a", { ok: true });
    expect(run.begin("b")).toMatchObject({ kind: "failed", error: { code: "reference_invalid" } });
  });

  test("on a parent that did not succeed sees null", () => {
    const run = start({ key: "a" }, { key: "b", when: { $ref: "a.ok", equals: null }, on_parent_failure: "run" });
    fail(run, "a");
    expect(run.begin("b").kind).toBe("running");
  });

  test("of a mapped step is decided once, before its list is looked at", () => {
    const run = start({ key: "a" }, { key: "b", when: ref("a.ok"), map: ref("a.list") });
    succeed(run, "a", { ok: false });
    begin(run, "b");
    expect(states(run)).toEqual({ a: "succeeded", b: "skipped" });
  });
});

describe("a reference", () => {
  test("is the result of the step or a part of it", () => {
    const run = start(
      { key: "a" },
      { key: "b", input: { all: ref("a"), name: ref("a.rows.1.name"), none: ref("a.none") } },
    );
    const result = { rows: [{}, { name: "x" }], none: null };
    succeed(run, "a", result);
    expect(inputOf(run, "b")).toEqual({ all: result, name: "x", none: null });
  });

  test("to a part that is not there fails the step and says where", () => {
    const run = start({ key: "a" }, { key: "b", input: { list: [ref("a.rows")] } }, { key: "c", after: ["b"] });
    succeed(run, "a", { row: 1 });
    expect(run.begin("b")).toEqual({
      kind: "failed",
      error: {
        code: "reference_invalid",
        type: "ReferenceInvalid",
        message: "input.list.0: expected rows in the result of step a, there is none.",
      },
    });
    expect(states(run)).toEqual({ a: "succeeded", b: "failed", c: "skipped" });
  });

  test("to a part that is not there is null where it is optional", () => {
    const run = start({ key: "a" }, { key: "b", input: optional("a.rows") });
    succeed(run, "a", {});
    expect(inputOf(run, "b")).toBeNull();
  });

  test("to a part that is not there fails a step with on_parent_failure run too: its parent succeeded", () => {
    const run = start({ key: "a" }, { key: "b", input: ref("a.rows"), on_parent_failure: "run" });
    succeed(run, "a", {});
    expect(run.begin("b").kind).toBe("failed");
  });

  test("inside a literal is none, with other references or without", () => {
    const written = { $literal: { $ref: "a" } };
    const run = start({ key: "a" }, { key: "b", input: [written] }, { key: "c", input: [written, ref("a")] });
    expect(inputOf(run, "b")).toEqual([{ $ref: "a" }]);
    succeed(run, "a", 1);
    expect(inputOf(run, "c")).toEqual([{ $ref: "a" }, 1]);
  });
});

describe("a mapped step", () => {
  const mapped = (map: unknown, more: Partial<Step> = {}) =>
    start(
      { key: "k", map, input: { item: { $item: "" }, place: { $index: true } }, ...more },
      { key: "c", input: ref("k") },
    );

  test("is expanded into one element for each entry of its list, and is over when they are", () => {
    const run = mapped(["x", { y: 1 }]);
    expect(run.begin("k")).toEqual({ kind: "expanded", elements: ["k[0]", "k[1]"] });
    expect(states(run)).toEqual({ k: "blocked", "k[0]": "queued", "k[1]": "queued", c: "blocked" });
    expect(inputOf(run, "k[1]")).toEqual({ item: { y: 1 }, place: 1 });
    run.end("k[1]", { kind: "succeeded", result: "second" });
    expect(states(run)).toMatchObject({ k: "blocked" });
    succeed(run, "k[0]", "first");
    expect(states(run)).toMatchObject({ k: "succeeded", c: "queued" });
    expect(inputOf(run, "c")).toEqual(["first", "second"]);
  });

  test("has succeeded at once where its list is empty", () => {
    const run = mapped([]);
    expect(run.begin("k")).toEqual({ kind: "expanded", elements: [] });
    expect(states(run)).toEqual({ k: "succeeded", c: "queued" });
    expect(inputOf(run, "c")).toEqual([]);
  });

  test("takes its list from a parent, and each element what it refers to beside it", () => {
    const run = start(
      { key: "a" },
      { key: "k", map: ref("a.files"), input: [{ $item: "path" }, ref("a.to"), ref("a.from")] },
    );
    succeed(run, "a", { files: [{ path: "p" }, { path: { $ref: "a" } }], to: "t", from: { $item: "" } });
    begin(run, "k");
    expect(inputOf(run, "k[0]")).toEqual(["p", "t", { $item: "" }]);
    expect(inputOf(run, "k[1]")).toEqual([{ $ref: "a" }, "t", { $item: "" }]);
  });

  test("hands its elements on as they are, whatever they look like", () => {
    const run = start({ key: "a" }, { key: "k", map: ref("a"), input: { $item: "" } });
    succeed(run, "a", [{ $ref: "a" }, { $schema: "x" }]);
    begin(run, "k");
    expect([inputOf(run, "k[0]"), inputOf(run, "k[1]")]).toEqual([{ $ref: "a" }, { $schema: "x" }]);
  });

  test("fails when all elements are over and one of them did not succeed", () => {
    const run = mapped([1, 2, 3]);
    begin(run, "k");
    fail(run, "k[0]");
    cancelStep(run, "k[1]");
    expect(states(run)).toMatchObject({ k: "blocked" });
    succeed(run, "k[2]");
    expect(run.get("k")).toMatchObject({
      state: "failed",
      error: { code: "elements_failed", message: "2 of 3 elements did not succeed." },
    });
    expect(states(run)).toMatchObject({ c: "skipped" });
  });

  test("that failed is, to those that can do without it, its results with null for what did not succeed", () => {
    const run = start(
      { key: "k", map: [1, 2] },
      { key: "c", input: [optional("k"), optional("k.0.x"), optional("k.1.x")] },
      { key: "d", input: [ref("k"), ref("k.0.x"), ref("k.5.x")], on_parent_failure: "run" },
    );
    begin(run, "k");
    fail(run, "k[0]");
    succeed(run, "k[1]", { x: 1 });
    expect(inputOf(run, "c")).toEqual([[null, { x: 1 }], null, 1]);
    expect(inputOf(run, "d")).toEqual([[null, { x: 1 }], null, null]);
  });

  test("that was cancelled by itself is the results that there were", () => {
    const run = start({ key: "k", map: [1, 2] }, { key: "c", input: optional("k") });
    begin(run, "k");
    succeed(run, "k[0]", "first");
    cancelStep(run, "k");
    expect(inputOf(run, "c")).toEqual(["first", null]);
    succeed(run, "k[1]", "late");
    expect(states(run)).toMatchObject({ k: "cancelled", "k[1]": "succeeded" });
  });

  test("that was skipped is null, not a list", () => {
    const run = start({ key: "a" }, { key: "k", when: ref("a"), map: [1] }, { key: "c", input: optional("k") });
    succeed(run, "a", false);
    begin(run, "k");
    expect(inputOf(run, "c")).toBeNull();
  });

  test("gives one element's result by its place", () => {
    const run = start({ key: "k", map: [1, 2] }, { key: "c", input: ref("k.1.rows") });
    begin(run, "k");
    succeed(run, "k[0]", {});
    succeed(run, "k[1]", { rows: 7 });
    expect(inputOf(run, "c")).toBe(7);
  });

  test("that ran in spite of a failed parent fails by its elements only", () => {
    const run = start({ key: "a" }, { key: "k", after: ["a"], map: [1], on_parent_failure: "run" });
    fail(run, "a");
    begin(run, "k");
    succeed(run, "k[0]");
    expect(states(run)).toMatchObject({ k: "succeeded" });
  });

  test.each([
    ["an object", { length: 2 }],
    ["null", null],
    ["a string", "ab"],
  ])("over %s fails", (what, value) => {
    const run = start({ key: "a" }, { key: "k", map: ref("a") });
    succeed(run, "a", value);
    expect(run.begin("k")).toMatchObject({
      kind: "failed",
      error: { code: "reference_invalid", message: `map: expected a list, got ${what}.` },
    });
  });

  test("over too many elements fails, and has none", () => {
    const run = start({ key: "a" }, { key: "k", map: ref("a") });
    succeed(run, "a", Array(20_001).fill(0));
    expect(run.begin("k")).toMatchObject({ error: { message: "map: expected at most 20000 elements, got 20001." } });
    expect(run.states().size).toBe(2);
  });

  test("fails before it has elements where one of them lacks what the input asks for", () => {
    const run = start({ key: "k", map: [{ path: 1 }, {}], input: { $item: "path" } });
    expect(run.begin("k")).toMatchObject({ kind: "failed", error: { code: "reference_invalid" } });
    expect(states(run)).toEqual({ k: "failed" });
  });

  test("may be mapped over another's results", () => {
    const run = start({ key: "k", map: [1, 2] }, { key: "l", map: ref("k"), input: { $item: "" } });
    begin(run, "k");
    succeed(run, "k[0]", "a");
    succeed(run, "k[1]", "b");
    begin(run, "l");
    expect([inputOf(run, "l[0]"), inputOf(run, "l[1]")]).toEqual(["a", "b"]);
  });
});

describe("a cancel of the run", () => {
  test("cancels what has not begun, and lets what runs end", () => {
    const run = start(
      { key: "a" },
      { key: "b" },
      { key: "c", after: ["a"], on_parent_failure: "run" },
      { key: "k", map: [1, 2] },
    );
    begin(run, "a", "k", "k[0]");
    run.cancel("requested");
    expect(states(run)).toEqual({
      a: "running",
      b: "cancelled",
      c: "cancelled",
      k: "cancelled",
      "k[0]": "running",
      "k[1]": "cancelled",
    });
    expect(queued(run)).toEqual([]);
    run.end("a", { kind: "succeeded", result: 1 });
    expect(run.state()).toBe("running");
    run.end("k[0]", { kind: "failed", error: FAILED });
    expect(states(run)).toMatchObject({ a: "succeeded", c: "cancelled", "k[0]": "cancelled" });
    expect(run.state()).toBe("cancelled");
  });

  test("that came too late to cancel anything leaves the run as it is", () => {
    const run = start({ key: "a" });
    begin(run, "a");
    run.cancel("requested");
    run.end("a", { kind: "succeeded", result: 1 });
    expect(run.state()).toBe("succeeded");
  });

  test("for its deadline ends it failed", () => {
    const run = start({ key: "a" });
    run.cancel("deadline");
    expect(run.state()).toBe("failed");
  });

  test("after a failure ends it cancelled", () => {
    const run = start({ key: "a" }, { key: "b" });
    fail(run, "a");
    run.cancel("requested");
    expect(run.state()).toBe("cancelled");
  });
});

describe("a run", () => {
  test("is failed when one step is, however the others ended", () => {
    const run = start({ key: "a" }, { key: "b", after: ["a"], on_parent_failure: "run" }, { key: "c" });
    fail(run, "a");
    cancelStep(run, "c");
    expect(run.state()).toBe("running");
    succeed(run, "b");
    expect(run.state()).toBe("failed");
    expect(run.result()).toBeNull();
  });

  test("is cancelled when a step was and none failed", () => {
    const run = start({ key: "a" }, { key: "b", after: ["a"] });
    cancelStep(run, "a");
    expect(states(run)).toEqual({ a: "cancelled", b: "skipped" });
    expect(run.state()).toBe("cancelled");
  });

  test("results in what its last steps did, by key", () => {
    const run = start(
      { key: "a" },
      { key: "b", input: ref("a") },
      { key: "c", after: ["a"] },
      { key: "k", map: [1, 2] },
    );
    succeed(run, "a", 1);
    succeed(run, "b", { rows: 2 });
    succeed(run, "c");
    begin(run, "k");
    succeed(run, "k[0]", "x");
    succeed(run, "k[1]", "y");
    expect(run.result()).toEqual({ b: { rows: 2 }, c: null, k: ["x", "y"] });
  });

  test("results in its template, with null for what is not there", () => {
    const run = start({ key: "a" }, { key: "b", when: ref("a.go") });
    succeed(run, "a", { go: false, total: 3 });
    begin(run, "b");
    expect(run.result({ total: ref("a.total"), b: ref("b.x"), typo: ref("a.totl") })).toEqual({
      total: 3,
      b: null,
      typo: null,
    });
    expect(run.result(null)).toBeNull();
  });

  test("tells what is over in the order in which it ended", () => {
    const run = start({ key: "a" }, { key: "b" }, { key: "c", after: ["b"] });
    fail(run, "b");
    succeed(run, "a");
    expect(run.over).toEqual(["b", "c", "a"]);
  });

  test("of a chain of 20,000 steps is skipped to its end at once", () => {
    const steps = Array.from({ length: 20_000 }, (_, place): PlannedStep => {
      const parents = place === 0 ? [] : [{ key: `s${place - 1}`, optional: false }];
      return { step: { key: `s${place}`, task: "t" }, parents, refers: false };
    });
    const run = startRun(steps);
    fail(run, "s0");
    expect(run.over).toHaveLength(20_000);
  });
});

describe("any graph", () => {
  const choices = fc.array(fc.nat(), { minLength: 1, maxLength: 50 });
  const chosenBy = (numbers: readonly number[]) => {
    let turn = 0;
    return (count: number) => (numbers[turn++ % numbers.length] ?? 0) % count;
  };

  test("comes to the same end in whatever order its steps begin and end", () => {
    fc.assert(
      fc.property(graphs({ maxSteps: 60 }), choices, (graph, numbers) => {
        expect(expectedOf(graph, chosenBy(numbers))).toEqual(expectedOf(graph));
      }),
      { numRuns: 200 },
    );
  });

  test("ends, each step once, and starts no step before its parents are over", () => {
    fc.assert(
      fc.property(graphs({ maxSteps: 60 }), choices, (graph, numbers) => {
        const steps = plannedSteps(graph);
        const parents = new Map(steps.map((one) => [one.step.key, one.parents.map(({ key }) => key)]));
        const run = startRun(steps);
        playRun(run, chosenBy(numbers), (key) => {
          for (const parent of parents.get(key) ?? []) expect(run.over).toContain(parent);
        });
        expect([...run.states().values()].every(isTerminal)).toBe(true);
        expect(run.over.toSorted()).toEqual([...run.states().keys()].toSorted());
        expect(run.state()).not.toBe("running");
      }),
      { numRuns: 200 },
    );
  });

  test("cancelled at any moment starts nothing more and is over when what runs has ended", () => {
    fc.assert(
      fc.property(graphs({ maxSteps: 40 }), choices, fc.nat(60), (graph, numbers, moment) => {
        const run = startRun(plannedSteps(graph));
        const choose = chosenBy(numbers);
        const running: string[] = [];
        for (let turn = 0; turn < moment && run.queued.size + running.length > 0; turn++) {
          const place = choose(run.queued.size + running.length);
          const key = queued(run)[place];
          if (key === undefined) {
            const [ended = ""] = running.splice(place - run.queued.size, 1);
            run.end(ended, { kind: "succeeded", result: { sum: 1, list: [1], flag: true } });
          } else if (run.begin(key).kind === "running") running.push(key);
        }
        run.cancel("requested");
        const open = [...run.states()].flatMap(([key, state]) => (isTerminal(state) ? [] : [key]));
        expect(open.toSorted()).toEqual(running.toSorted());
        for (const key of running)
          run.end(key, choose(2) === 0 ? { kind: "succeeded", result: 1 } : { kind: "failed", error: FAILED });
        expect(run.queued.size).toBe(0);
        expect(run.state()).not.toBe("running");
      }),
    );
  });

  test("is a valid one, whose steps planGraph gives back with the same parents", () => {
    const shape = { checkInput: () => [], inputSchema: null, outputSchema: null };
    const tasks = { get: (name: string) => (name === "test.step" ? shape : undefined), names: () => ["test.step"] };
    fc.assert(
      fc.property(graphs({ maxSteps: 60 }), (graph) => {
        const plan = planGraph(graph, null, tasks);
        expect(plan).toMatchObject({ kind: "planned" });
        if (plan.kind !== "planned") return;
        const byKey = (steps: readonly PlannedStep[]) =>
          new Map(steps.map(({ step, parents, refers }) => [step.key, { step, refers, parents: new Set(parents) }]));
        expect(byKey(plan.steps)).toEqual(byKey(plannedSteps(graph)));
      }),
    );
  });
});
