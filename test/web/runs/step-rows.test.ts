import { describe, expect, test } from "vitest";
import { foldSteps } from "../../../runtime/web/runs/fold-steps.ts";
import { type LiveRun, withEvents } from "../../../runtime/web/runs/live-run.ts";
import { elementSummary, summaryOf } from "../../../runtime/web/runs/node-summary.ts";
import { type StepRowFilter, stepRows } from "../../../runtime/web/runs/step-rows.ts";
import { CREATED_MS, counts, end, expanded, runOf, start } from "./run-factory.ts";

const ALL: StepRowFilter = { text: "", states: [], sort: "graph", among: null };
const RUN = withEvents(
  runOf({ extract: "", parse_b: "extract", parse_a: "extract", load: "parse_a" }, { load: { task: "etl.Load" } }),
  [
    ...[start("extract", 5), end("extract", 105), start("parse_a", 110), end("parse_a", 900), start("parse_b", 111)],
    end("parse_b", 121, "failed"),
  ],
);

describe("the table of steps", () => {
  test("finds by a part of the key or of the task, whatever its case", () => {
    expect(rows({ text: "PARSE" })).toEqual(["parse_b", "parse_a"]);
    expect(rows({ text: "etl." })).toEqual(["load"]);
  });

  test("shows those in the states that are wanted", () => {
    expect(rows({ states: ["failed", "queued"] })).toEqual(["parse_b", "load"]);
  });

  test("is sorted by trouble, by start or by duration, else as the graph is", () => {
    expect(rows({ sort: "state" })).toEqual(["parse_b", "load", "extract", "parse_a"]);
    expect(rows({ sort: "start" })).toEqual(["extract", "parse_a", "parse_b", "load"]);
    expect(rows({ sort: "duration" })).toEqual(["parse_a", "extract", "parse_b", "load"]);
    expect(rows({})).toEqual(["extract", "parse_b", "parse_a", "load"]);
  });

  test("shows only those of a group", () => {
    expect(rows({ among: [1, 3] })).toEqual(["parse_b", "load"]);
  });
});

describe("a node for several steps", () => {
  test("shows the state that is worth seeing first, and counts all", () => {
    const node = foldSteps(RUN.shape, 1).nodes[0];
    if (node === undefined) throw new Error("expected a node");
    expect(summaryOf(RUN, node)).toMatchObject({
      state: "failed",
      total: 4,
      counts: counts({ succeeded: 2, failed: 1, queued: 1 }),
      startedMs: CREATED_MS + 5,
      endedMs: null,
    });
  });

  test("counts the elements of a mapped step, heard of or not", () => {
    const run = withEvents(RUN, [expanded("load", 3), start("load[1]", 950)]);
    expect(elementSummary(run, 3)).toEqual({ total: 3, counts: counts({ queued: 2, running: 1 }) });
    expect(elementSummary(run, 0)).toBeNull();
  });
});

function rows(filter: Partial<StepRowFilter>, run: LiveRun = RUN) {
  return stepRows(run, { ...ALL, ...filter }).map((place) => run.shape.steps[place]?.key);
}
