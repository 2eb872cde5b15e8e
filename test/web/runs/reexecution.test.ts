import { describe, expect, test } from "vitest";
import { type LiveRun, withEvents } from "../../../runtime/web/runs/live-run.ts";
import { type Choice, planReexecution, stepsOfChoice } from "../../../runtime/web/runs/reexecution.ts";
import { end, ended, expanded, runOf, start } from "./run-factory.ts";

const GRAPH = { extract: "", left: "extract", right: "extract", load: "left,right", other: "extract" };
const FAILED = ended(runOf(GRAPH), {
  extract: "succeeded",
  left: "succeeded",
  right: "failed",
  load: "skipped",
  other: "succeeded",
});

describe("from failure", () => {
  test("runs what failed and what was skipped for it, and keeps the rest", () => {
    const plan = planReexecution(FAILED, { kind: "from_failure" });
    expect(keys(FAILED, plan.repeated)).toEqual(["right", "load"]);
    expect(plan).toMatchObject({ kept: 3, problem: null });
  });

  test("leaves a step skipped whose condition did not hold", () => {
    const run = ended(runOf({ a: "", b: "a", c: "" }), { a: "succeeded", b: "skipped", c: "failed" });
    expect(keys(run, planReexecution(run, { kind: "from_failure" }).repeated)).toEqual(["c"]);
  });

  test("runs only those elements again that did not succeed", () => {
    const run = withEvents(runOf({ each: "", sum: "each" }), [
      ...[start("each", 0), expanded("each", 4), end("each[0]", 1), end("each[1]", 1, "failed"), end("each[2]", 1)],
      ...[end("each", 3, "failed"), end("sum", 3, "skipped", 0)],
    ]);
    const plan = planReexecution(run, { kind: "from_failure" });
    expect(keys(run, plan.repeated)).toEqual(["each", "sum"]);
    expect([...plan.elements]).toEqual([[0, 2]]);
  });

  test("has nothing to do where all succeeded, and says so", () => {
    const run = ended(runOf({ a: "" }), { a: "succeeded" });
    expect(planReexecution(run, { kind: "from_failure" }).problem).toContain("All steps succeeded");
  });
});

describe("chosen steps", () => {
  test("run with all that comes after them where that is asked for", () => {
    const alone = planReexecution(FAILED, choose(["left"], false));
    expect(keys(FAILED, alone.repeated)).toEqual(["left"]);
    const more = planReexecution(FAILED, choose(["left", "right"], true));
    expect(keys(FAILED, more.repeated)).toEqual(["left", "right", "load"]);
    expect(more.problem).toBeNull();
  });

  test("cannot run without a parent that did not succeed", () => {
    const { problem } = planReexecution(FAILED, choose(["load"], false));
    expect(problem).toBe("load needs right, which did not succeed (failed). Choose it as well.");
  });

  test("can run without an optional one", () => {
    const run = ended(runOf({ a: "", b: "" }, { b: { after: [], input: { x: { $ref: "a.x", optional: true } } } }), {
      a: "failed",
      b: "succeeded",
    });
    expect(planReexecution(run, choose(["b"], false, run)).problem).toBeNull();
  });

  test("have to be at least one", () => {
    expect(planReexecution(FAILED, choose([], false)).problem).toBe("Choose at least one step.");
  });

  test("are told to the API by their keys", () => {
    expect(stepsOfChoice(FAILED, choose(["left"], true))).toEqual(["left*"]);
    expect(stepsOfChoice(FAILED, choose(["left"], false))).toEqual(["left"]);
    expect(stepsOfChoice(FAILED, { kind: "all" })).toBe("all");
  });
});

test("all are all, and none is kept", () => {
  const plan = planReexecution(FAILED, { kind: "all" });
  expect(keys(FAILED, plan.repeated)).toEqual(["extract", "left", "right", "load", "other"]);
  expect(plan.kept).toBe(0);
});

function choose(wanted: readonly string[], downstream: boolean, run: LiveRun = FAILED): Choice {
  return { kind: "chosen", places: new Set(wanted.flatMap((key) => run.shape.placeOf.get(key) ?? [])), downstream };
}

function keys(run: LiveRun, places: readonly number[]) {
  return places.map((place) => run.shape.steps[place]?.key);
}
