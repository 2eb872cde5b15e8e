import fc from "fast-check";
import { expect, test } from "vitest";
import { ticksOf } from "../../../runtime/web/runs/time-axis.ts";

test("ticks are round and say how long after the beginning they are", () => {
  expect(ticksOf(1_000, 4).map(({ text }) => text)).toEqual(["0", "500 ms", "1 s"]);
  expect(ticksOf(9_000, 5).map(({ text }) => text)).toEqual(["0", "2 s", "4 s", "6 s", "8 s"]);
  expect(ticksOf(200_000, 4).map(({ text }) => text)).toEqual(["0", "1m", "2m", "3m"]);
  expect(ticksOf(5_400_000, 4).map(({ text }) => text)).toEqual(["0", "30m", "1h", "1h 30m"]);
  expect(ticksOf(3 * 86_400_000, 3).map(({ text }) => text)).toEqual(["0", "1d", "2d", "3d"]);
});

test("there is at least one tick, and at most one more than there is room for, each text once", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 * 86_400_000 }), fc.integer({ min: 1, max: 20 }), (spanMs, most) => {
      const ticks = ticksOf(spanMs, most);
      expect(ticks.length).toBeGreaterThanOrEqual(1);
      expect(ticks.length).toBeLessThanOrEqual(most + 1);
      expect(ticks.every(({ atMs }) => atMs <= spanMs)).toBe(true);
      expect(new Set(ticks.map(({ text }) => text)).size).toBe(ticks.length);
    }),
  );
});
