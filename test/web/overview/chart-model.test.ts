/** The points of the overview as charts. */
import { describe, expect, test } from "vitest";
import type { Overview } from "../../../runtime/client/overview.ts";
import {
  endedModel,
  percentileModel,
  ratePerSecond,
  stacked,
  successShare,
} from "../../../runtime/web/overview/chart-model.ts";

type Point = Overview["points"][number];

function point(seconds: number, ends: Partial<Point> = {}): Point {
  const none = { waitP50Ms: null, waitP95Ms: null, waitP99Ms: null, runP50Ms: null, runP95Ms: null, runP99Ms: null };
  return { at: new Date(seconds * 1_000), succeeded: 0, failed: 0, cancelled: 0, skipped: 0, ...none, ...ends };
}

describe("the chart of ends", () => {
  test("always tells successes and failures, and others where there are any", () => {
    expect(endedModel([point(0)]).lines.map(({ name }) => name)).toEqual(["succeeded", "failed"]);
    expect(endedModel([point(0, { skipped: 1 })]).lines.map(({ name }) => name)).toEqual([
      "succeeded",
      "failed",
      "skipped",
    ]);
  });

  test("stacks each line on those before it", () => {
    const { lines } = endedModel([point(0, { succeeded: 3, failed: 2 }), point(10, { succeeded: 1, cancelled: 4 })]);
    expect(stacked(lines)).toEqual([
      [3, 1],
      [5, 1],
      [5, 5],
    ]);
  });
});

test("an interval without ends has no percentile, which is not zero", () => {
  const { times, lines } = percentileModel([point(0), point(10, { waitP50Ms: 5, waitP99Ms: 0 })], "wait");
  expect(times).toEqual([0, 10]);
  expect(lines.map(({ name, values }) => [name, values])).toEqual([
    ["p50", [null, 5]],
    ["p95", [null, null]],
    ["p99", [null, 0]],
  ]);
});

describe("the rate", () => {
  test("is that of the last whole minute: the interval that is not over is left out", () => {
    const points = [
      point(0, { succeeded: 600 }),
      ...Array.from({ length: 6 }, (_, index) => point(10 * index, { succeeded: 8, failed: 2 })),
    ];
    expect(ratePerSecond({ points: [...points, point(70, { succeeded: 1_000 })], intervalSeconds: 10 })).toBe(1);
  });

  test("is zero where there are no points", () => {
    expect(ratePerSecond({ points: [], intervalSeconds: 10 })).toBe(0);
  });
});

test("the share of successes leaves out what neither succeeded nor failed", () => {
  expect(successShare({ succeeded: 3, failed: 1 })).toBe(0.75);
  expect(successShare({ succeeded: 0, failed: 0 })).toBeNull();
});
