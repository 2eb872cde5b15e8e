import { describe, expect, test } from "vitest";
import { criticalPath } from "../../../runtime/web/runs/critical-path.ts";
import { type GanttOptions, ganttOf } from "../../../runtime/web/runs/gantt-model.ts";
import type { LiveRun } from "../../../runtime/web/runs/live-run.ts";
import { withEvents } from "../../../runtime/web/runs/live-run.ts";
import { CREATED_MS, end, expanded, retried, runOf, start } from "./run-factory.ts";

const NOW = { createdMs: CREATED_MS, finishedMs: null, nowMs: CREATED_MS + 10_000, order: "graph", open: new Set() };

describe("the timeline", () => {
  test("has a bar for each attempt, of what runs still until now", () => {
    const run = withEvents(runOf({ a: "", b: "a" }), [start("a", 100), retried("a", 300), start("a", 900, 2)]);
    const [a, b] = gantt(run).rows;
    expect(a?.bars.map(({ fromMs, toMs, state }) => [fromMs - CREATED_MS, toMs - CREATED_MS, state])).toEqual([
      [100, 300, "retried"],
      [900, 10_000, "running"],
    ]);
    expect(b?.bars).toEqual([]);
  });

  test("ends with the run", () => {
    const run = withEvents(runOf({ a: "" }), [start("a", 0), end("a", 2_000)]);
    const { fromMs, toMs } = gantt(run, { finishedMs: CREATED_MS + 2_500 });
    expect([fromMs - CREATED_MS, toMs - CREATED_MS]).toEqual([0, 2_500]);
  });

  test("in the order of starts has what has not started last", () => {
    const run = withEvents(runOf({ a: "", b: "", c: "", d: "c" }), [start("c", 100), start("a", 200)]);
    expect(gantt(run, { order: "start" }).rows.map(({ key }) => key)).toEqual(["c", "a", "b", "d"]);
    expect(gantt(run).rows.map(({ key }) => key)).toEqual(["a", "b", "c", "d"]);
  });

  test("shows the elements of a mapped step where it is open", () => {
    const run = withEvents(runOf({ each: "", sum: "each" }), [expanded("each", 2), start("each[1]", 5)]);
    expect(gantt(run).rows.map(({ key }) => key)).toEqual(["each", "sum"]);
    const open = gantt(run, { open: new Set([0]) }).rows;
    expect(open.map(({ key }) => key)).toEqual(["each", "each[0]", "each[1]", "sum"]);
    expect(open.map(({ bars }) => bars.length)).toEqual([0, 0, 1, 0]);
  });

  test("has no bar for a step that was taken over from the run before", () => {
    const run = withEvents(runOf({ a: "" }), [start("a", -5_000), end("a", -4_000)]);
    expect(gantt(run).rows[0]).toMatchObject({ isKept: true, bars: [] });
  });
});

describe("the critical path", () => {
  test("goes back from the last end by the parent that was waited for", () => {
    const run = withEvents(runOf({ a: "", b: "a", c: "a", d: "b,c" }), [
      ...[start("a", 0), end("a", 10), start("b", 10), end("b", 20)],
      ...[start("c", 11), end("c", 90), start("d", 91), end("d", 95)],
    ]);
    expect(keys(run, criticalPath(run, CREATED_MS))).toEqual(["a", "c", "d"]);
  });

  test("does not go through what was taken over, nor through what was skipped", () => {
    const run = withEvents(runOf({ a: "", s: "", b: "a,s" }), [
      ...[start("a", -50), end("a", -40), end("s", 60, "skipped", 0), start("b", 10), end("b", 20)],
    ]);
    expect(keys(run, criticalPath(run, CREATED_MS))).toEqual(["b"]);
  });

  test("is empty while nothing has ended", () => {
    expect(criticalPath(withEvents(runOf({ a: "" }), [start("a", 0)]), CREATED_MS)).toEqual([]);
  });
});

function gantt(run: LiveRun, options: Partial<GanttOptions> = {}) {
  return ganttOf(run, { ...NOW, order: "graph", open: new Set(), ...options });
}

function keys(run: LiveRun, places: readonly number[]) {
  return places.map((place) => run.shape.steps[place]?.key);
}
