import { describe, expect, test } from "vitest";
import { countsOf, elementAt, newLiveRun, shownState, withEvents } from "../../../runtime/web/runs/live-run.ts";
import { shapeOf } from "../../../runtime/web/runs/run-shape.ts";
import { processorMs } from "./processor-time.ts";
import { counts, end, ended, expanded, layeredSteps, retried, runOf, start, stepOf } from "./run-factory.ts";

const CHAIN = { first: "", second: "first", third: "second" };
const MAPPED = { list: "", each: "list", sum: "each" };

describe("a step", () => {
  test("is queued without parents, and blocked with some", () => {
    const run = runOf(CHAIN);
    expect(run.steps.map(({ state }) => state)).toEqual(["queued", "blocked", "blocked"]);
  });

  test("runs from its start to its end, and readies those that waited for it alone", () => {
    const running = withEvents(runOf(CHAIN), [start("first", 100)]);
    expect(stepOf(running, "first")).toMatchObject({ state: "running", attempt: 1, endedMs: null });
    const over = withEvents(running, [end("first", 350)]);
    expect(stepOf(over, "first").state).toBe("succeeded");
    expect(stepOf(over, "second").state).toBe("queued");
    expect(stepOf(over, "third").state).toBe("blocked");
  });

  test("with two parents waits for both", () => {
    const run = withEvents(runOf({ a: "", b: "", c: "a,b" }), [start("a", 0), end("a", 1)]);
    expect(stepOf(run, "c").state).toBe("blocked");
    expect(stepOf(withEvents(run, [end("b", 2, "failed")]), "c").state).toBe("queued");
  });

  test("keeps the attempts that came to nothing, and is queued between them", () => {
    const waits = withEvents(runOf(CHAIN), [start("first", 0), retried("first", 50)]);
    expect(stepOf(waits, "first")).toMatchObject({ state: "queued", startedMs: null });
    const over = withEvents(waits, [start("first", 100, 2), end("first", 180, "succeeded", 2)]);
    expect(stepOf(over, "first")).toMatchObject({ state: "succeeded", attempt: 2 });
    expect(stepOf(over, "first").earlier).toMatchObject([{ attempt: 1, outcome: "retried" }]);
  });

  test("does not change by what is told again", () => {
    const events = [start("first", 0), retried("first", 50), start("first", 60, 2), end("first", 90, "failed", 2)];
    const once = withEvents(runOf(CHAIN), events);
    expect(withEvents(once, events)).toEqual(once);
  });

  test("does not go back when an earlier attempt is told late", () => {
    const run = withEvents(runOf(CHAIN), [start("first", 60, 2), end("first", 90, "succeeded", 2)]);
    const late = withEvents(run, [start("first", 0), retried("first", 50)]);
    expect(stepOf(late, "first")).toMatchObject({ state: "succeeded", attempt: 2 });
    expect(stepOf(late, "first").earlier).toHaveLength(1);
    expect(stepOf(late, "second").state).toBe("queued");
  });

  test("that was skipped has no start", () => {
    const run = withEvents(runOf(CHAIN), [end("first", 10, "skipped", 0)]);
    expect(stepOf(run, "first")).toMatchObject({ state: "skipped", startedMs: null });
  });

  test("that an operator queued again runs again, and blocks what waits for it", () => {
    const failed = ended(runOf(CHAIN), { first: "failed" });
    expect(stepOf(failed, "second").state).toBe("queued");
    const again = withEvents(failed, [start("first", 500, 2)]);
    expect(stepOf(again, "first")).toMatchObject({ state: "running", error: null });
    expect(stepOf(again, "second").state).toBe("blocked");
  });

  test("says how far it is while it runs, and no more when it is over", () => {
    const says = (progress: number) =>
      ({ kind: "progress", key: "first", taskId: "", attempt: 1, progress, message: "half", elements: null }) as const;
    const running = withEvents(runOf(CHAIN), [start("first", 0), says(0.5)]);
    expect(stepOf(running, "first")).toMatchObject({ progress: 0.5, message: "half" });
    expect(stepOf(withEvents(running, [end("first", 9), says(0.6)]), "first").progress).toBeNull();
  });
});

describe("a mapped step", () => {
  test("runs while its elements do, and counts them", () => {
    const mapped = withEvents(runOf(MAPPED), [start("each", 1), expanded("each", 5)]);
    const run = withEvents(mapped, [start("each[0]", 2), start("each[3]", 2), end("each[0]", 5)]);
    const elements = run.elements.get(1);
    expect(elements === undefined ? null : countsOf(elements)).toEqual(counts({ queued: 3, running: 1, succeeded: 1 }));
    expect(shownState(run, 1)).toBe("running");
    expect(elements === undefined ? null : elementAt(elements, 4).state).toBe("queued");
  });

  test("is over with its own end", () => {
    const run = withEvents(runOf(MAPPED), [start("each", 1), expanded("each", 1), end("each[0]", 5), end("each", 6)]);
    expect(shownState(run, 1)).toBe("succeeded");
    expect(stepOf(run, "sum").state).toBe("queued");
  });

  test("with an empty list has no elements", () => {
    const run = withEvents(runOf(MAPPED), [start("each", 1), expanded("each", 0), end("each", 2)]);
    expect(run.elements.get(1)).toMatchObject({ total: 0 });
  });
});

test("events of steps that the graph does not have change nothing", () => {
  const run = runOf(CHAIN);
  const after = withEvents(run, [start("gone", 0), start("gone[1]", 0), start("first[x]", 0)]);
  expect(after.steps).toEqual(run.steps);
  expect(after.elements.size).toBe(0);
});

test("a run that one worker does as a whole is told by its one task", () => {
  const run = withEvents(runOf(CHAIN), [start("*", 5)]);
  expect(run.whole).toMatchObject({ state: "running" });
});

test("what was there before stays as it was", () => {
  const before = runOf(MAPPED);
  const between = withEvents(before, [expanded("each", 3)]);
  withEvents(between, [start("list", 1), end("list", 2), start("each[1]", 3)]);
  expect(stepOf(before, "list").state).toBe("queued");
  expect(between.elements.get(1)?.counts.running).toBe(0);
});

test("takes the twenty thousand events of ten thousand steps within half a second of a processor", () => {
  const steps = layeredSteps(10, 1_000);
  const run = newLiveRun(shapeOf({ steps }));
  const events = steps.flatMap(({ key }, at) => [start(key, at), end(key, at + 1)]);
  let after = run;
  const tookMs = processorMs(() => {
    after = withEvents(run, events);
  });
  expect(tookMs).toBeLessThan(500);
  expect(after.steps.every(({ state }) => state === "succeeded")).toBe(true);
});
