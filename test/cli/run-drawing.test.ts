/** A watched run on a terminal, without one: what the steps come to, and how they are drawn into the room there is. */
import { describe, expect, test } from "vitest";
import { drawRun } from "../../runtime/cli/run-drawing.ts";
import { type RunProgress, watchProgress } from "../../runtime/cli/run-progress.ts";
import { startRunView } from "../../runtime/cli/run-view.ts";
import { widthOf } from "../../runtime/cli/text.ts";
import type { RunEvent } from "../../runtime/client/index.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Graph } from "../../runtime/model/graph.ts";
import { NO_STEPS } from "../../runtime/model/run.ts";
import type { TaskState } from "../../runtime/model/task.ts";
import { recordingPaper } from "./recording-paper.ts";

const T0 = Date.parse("2026-01-01T00:00:00.000Z");
const FRAME = { nowMs: T0 + 5_000, elapsedMs: 5_000, number: 0, isAway: false };
const ERROR = { code: "handler_error", type: "Error", message: "no\nroute \u001b[31mto host" };

const ETL: Graph = {
  steps: [
    { key: "report", task: "t", after: ["parse", "load"] },
    { key: "load", task: "t", after: ["parse"] },
    { key: "list", task: "t" },
    { key: "parse", task: "t", map: { $ref: "list" } },
  ],
};
const EDGES = [
  { parent: "parse", child: "report" },
  { parent: "load", child: "report" },
  { parent: "parse", child: "load" },
  { parent: "list", child: "parse" },
];

function step(
  key: string,
  change: "start" | "attempt" | "end",
  over: Partial<Extract<RunEvent, { kind: "step" }>> = {},
): RunEvent {
  const state: TaskState = { start: "running", attempt: "queued", end: "succeeded" }[change] as TaskState;
  const at = new Date(T0 + (change === "start" ? 0 : 1_500));
  const rest = { taskId: null, task: "t", state, attempt: 1, at, outcome: null, error: null };
  return { kind: "step", id: `${key}${change}`, key, change, ...rest, ...over };
}

const progressOf = (key: string, over: object): RunEvent => ({
  kind: "progress",
  key,
  taskId: "",
  attempt: 1,
  progress: null,
  message: null,
  elements: null,
  ...over,
});
const counts = (over: Partial<typeof NO_STEPS>): RunEvent => ({
  kind: "run",
  state: "running",
  counts: { ...NO_STEPS, ...over },
  error: null,
});

function etl(...events: RunEvent[]): RunProgress {
  const run = watchProgress(ETL, EDGES, "orchestrated");
  for (const event of events) run.apply(event);
  return run;
}

function wide(count: number): RunProgress {
  const steps = Array.from({ length: count }, (_, at) => ({ key: `step-${at}`, task: "t" }));
  return watchProgress({ steps }, [], "orchestrated");
}

const draw = (run: RunProgress, size: { columns?: number; rows?: number } = {}) =>
  drawRun(run, recordingPaper({ isTerminal: true, ...size }), FRAME);

describe("a drawing", () => {
  test("has a line a step, parents first, with what each is at", () => {
    const run = etl(
      counts({ blocked: 2, running: 2, succeeded: 3, failed: 1 }),
      step("list", "start"),
      step("list", "end"),
      step("parse", "start"),
      progressOf("parse", { elements: 4 }),
      step("parse[0]", "start"),
      step("parse[0]", "end"),
      step("parse[1]", "end", { state: "failed", error: ERROR }),
      step("parse[2]", "start"),
    );
    expect(draw(run)).toEqual([
      "  ✔ list         1.5 s",
      "  ⠋ parse        5.0 s  █████░░░░░ 50 % 2/4 · 1 failed",
      "  · load                after parse",
      "  · report              after parse, load",
      "running 4 of 8 · 2 running · 1 failed · 5.0 s",
    ]);
  });

  test("has an error below its step, on one line", () => {
    const lines = draw(etl(step("list", "start"), step("list", "end", { state: "failed", error: ERROR })));
    expect(lines.slice(0, 2)).toEqual(["  ✖ list         1.5 s", "    handler_error: no route to host"]);
  });

  test("tells what is tried again, and its progress", () => {
    const failed = step("list", "attempt", { outcome: "retried", error: ERROR });
    expect(draw(etl(step("list", "start"), failed))[0]).toBe("  ◌ list                will be tried again");
    const again = etl(
      failed,
      step("list", "start", { attempt: 2 }),
      progressOf("list", { progress: 0.25, message: "page 1" }),
    );
    expect(draw(again).slice(0, 2)).toEqual([
      "  ⠋ list         5.0 s  ███░░░░░░░ 25 % · page 1 · attempt 2",
      "    handler_error: no route to host",
    ]);
    again.apply(step("list", "end", { attempt: 2 }));
    expect(draw(again)[0]).toBe("  ✔ list         1.5 s  attempt 2");
  });

  test("is not undone by events that come late", () => {
    const run = etl(
      step("list", "end", { attempt: 2 }),
      step("list", "start", { attempt: 2 }),
      step("list", "attempt"),
    );
    expect(run.steps[0]).toMatchObject({ key: "list", state: "succeeded", attempt: 2 });
  });

  test("of a run in one task tells that task", () => {
    const run = watchProgress(ETL, EDGES, "simple");
    run.apply(step("*", "start"));
    run.apply(progressOf("*", { progress: 0.5, message: "parse" }));
    expect(draw(run)[0]).toBe("  ⠋ all in one task     5.0 s  █████░░░░░ 50 % · parse");
  });

  test.each([[12], [24], [60]])("of 500 steps has room on %i lines, and keeps what runs and failed", (rows) => {
    const run = wide(500);
    for (let at = 0; at < 300; at++) run.apply(step(`step-${at}`, "end"));
    for (let at = 300; at < 340; at++) run.apply(step(`step-${at}`, "end", { state: "failed", error: ERROR }));
    for (let at = 340; at < 400; at++) run.apply(step(`step-${at}`, "start"));
    const lines = draw(run, { rows });
    expect(lines.length).toBeLessThan(rows);
    const text = lines.join("\n");
    expect(text).toContain("✔ 300 succeeded");
    expect(text).toMatch(/… \d+ more did not succeed/);
    expect(text).toMatch(/⠋ step-340/);
    expect(text).toMatch(/… \d+ more are running/);
    expect(text).toMatch(/… 100 more are waiting/);
    expect(text).not.toContain("step-7 ");
  });

  test("keeps to the width of the terminal", () => {
    const run = etl(step("list", "end", { state: "failed", error: { ...ERROR, message: "x".repeat(500) } }));
    for (const columns of [30, 80]) {
      for (const line of draw(run, { columns })) expect(widthOf(line)).toBeLessThan(columns);
    }
  });
});

test("a run of 20,000 steps is drawn into the same room", () => {
  const run = wide(20_000);
  for (let at = 0; at < 10_000; at++) run.apply(step(`step-${at}`, "end"));
  expect(draw(run).length).toBeLessThan(24);
});

test("on a terminal it is drawn over and over, and stays", async () => {
  const paper = recordingPaper({ isTerminal: true });
  const clock: Clock = { nowMs: () => 0, wallMs: () => T0, after: () => new Promise(() => {}) };
  const run = etl(step("list", "start"));
  const view = startRunView(run, { paper, clock, keptBefore: null });
  expect(paper.blocks.at(-1)?.[0]).toMatch(/⠋ list/);
  run.apply(step("list", "end"));
  view.end();
  expect(paper.blocks.at(-1)?.[0]).toMatch(/✔ list/);
  expect(paper.lines).toEqual([]);
});

test("without a terminal each event is a line, and what is kept is counted", () => {
  const paper = recordingPaper({ isTerminal: false });
  const clock: Clock = { nowMs: () => 0, wallMs: () => T0, after: () => new Promise(() => {}) };
  const run = etl();
  const view = startRunView(run, { paper, clock, keptBefore: new Date(T0) });
  const events = [
    counts({}),
    step("list", "start", { at: new Date(T0 - 2_000) }),
    step("list", "end", { at: new Date(T0 - 1_000) }),
    step("parse", "start"),
    progressOf("parse", { elements: 2 }),
    step("parse", "attempt", { outcome: "lost" }),
    step("parse", "start", { attempt: 2 }),
    step("parse", "end", { attempt: 2, state: "failed", error: ERROR }),
  ];
  for (const event of events) {
    run.apply(event);
    view.tell(event);
  }
  view.away();
  view.away();
  view.end();
  expect(paper.lines).toEqual([
    "  1 result is kept",
    "  parse started",
    "  parse: 2 elements",
    "  parse attempt 1 lost · 1.5 s",
    "  parse started · attempt 2",
    "  parse failed · 1.5 s: handler_error: no route to host",
    "the API does not answer, trying again",
  ]);
});
