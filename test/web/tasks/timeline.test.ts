/** What happened to a task, as spans of time. */
import { describe, expect, test } from "vitest";
import type { UnsuccessfulAttempt } from "../../../runtime/client/task.ts";
import { placeOf, spansOf } from "../../../runtime/web/tasks/timeline.ts";

type Timed = Parameters<typeof spansOf>[0];

const at = (ms: number) => new Date(ms);
const QUEUED: Timed = {
  state: "queued",
  attempt: 0,
  attempts: [],
  createdAt: at(1_000),
  startedAt: null,
  finishedAt: null,
  worker: null,
  error: null,
};
const retried = (attempt: number, startMs: number, endMs: number): UnsuccessfulAttempt => ({
  attempt,
  outcome: "retried",
  worker: "w",
  error: null,
  startedAt: at(startMs),
  endedAt: at(endMs),
});
const short = (task: Timed, nowMs = 10_000) =>
  spansOf(task, nowMs).map(({ label, state, startMs, endMs, isOpen }) => [label, state, startMs, endMs, isOpen]);

describe("the spans of a task", () => {
  test("that waits go on until now", () => {
    expect(short(QUEUED)).toEqual([["waits in the queue", "queued", 1_000, 10_000, true]]);
    expect(short({ ...QUEUED, state: "blocked" })).toEqual([["waits for other steps", "blocked", 1_000, 10_000, true]]);
  });

  test("that runs are its wait and its attempt so far", () => {
    expect(short({ ...QUEUED, state: "running", attempt: 1, startedAt: at(3_000) })).toEqual([
      ["waited in the queue", "queued", 1_000, 3_000, false],
      ["attempt 1", "running", 3_000, 10_000, true],
    ]);
  });

  test("that succeeded at its second attempt name both, and the wait between them", () => {
    const task: Timed = {
      ...QUEUED,
      state: "succeeded",
      attempt: 2,
      attempts: [retried(1, 2_000, 4_000)],
      startedAt: at(5_000),
      finishedAt: at(6_000),
    };
    expect(short(task)).toEqual([
      ["waited in the queue", "queued", 1_000, 2_000, false],
      ["attempt 1", "retried", 2_000, 4_000, false],
      ["waited in the queue", "queued", 4_000, 5_000, false],
      ["attempt 2", "succeeded", 5_000, 6_000, false],
    ]);
  });

  test("that failed end with the attempt that did, told once", () => {
    const last: UnsuccessfulAttempt = { ...retried(2, 5_000, 6_000), outcome: "failed" };
    const task: Timed = {
      ...QUEUED,
      state: "failed",
      attempt: 2,
      attempts: [retried(1, 2_000, 4_000), last],
      startedAt: at(5_000),
      finishedAt: at(6_000),
    };
    expect(short(task).filter(([label]) => label !== "waited in the queue")).toEqual([
      ["attempt 1", "retried", 2_000, 4_000, false],
      ["attempt 2", "failed", 5_000, 6_000, false],
    ]);
  });

  test("that waits for its next attempt go on after the last one", () => {
    const task: Timed = { ...QUEUED, attempt: 1, attempts: [retried(1, 2_000, 4_000)], startedAt: at(2_000) };
    expect(short(task).at(-1)).toEqual(["waits in the queue", "queued", 4_000, 10_000, true]);
  });

  test("that was cancelled before anybody claimed it end with that", () => {
    expect(short({ ...QUEUED, state: "cancelled", finishedAt: at(2_500) })).toEqual([
      ["waited in the queue", "queued", 1_000, 2_500, false],
    ]);
  });

  test("never end before they begin, whatever the clocks say", () => {
    const task: Timed = { ...QUEUED, state: "running", attempt: 1, startedAt: at(20_000) };
    for (const { startMs, endMs } of spansOf(task, 10_000)) expect(endMs).toBeGreaterThanOrEqual(startMs);
  });
});

test("spans lie on one axis from the first to the last", () => {
  const spans = spansOf({ ...QUEUED, state: "running", attempt: 1, startedAt: at(4_000) }, 7_000);
  expect(spans.map((span) => placeOf(span, spans))).toEqual([
    { left: 0, width: 0.5 },
    { left: 0.5, width: 0.5 },
  ]);
});
