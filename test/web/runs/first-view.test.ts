import { describe, expect, test } from "vitest";
import { firstView, viewOn } from "../../../runtime/web/runs/first-view.ts";

const CANVAS = { width: 1_000, height: 500 };

describe("of a graph one sees first", () => {
  test("all of it in the middle, no larger than it is", () => {
    expect(firstView({ width: 400, height: 100 }, CANVAS)).toEqual({ x: 300, y: 200, zoom: 1 });
  });

  test("all of it smaller, where it can still be read", () => {
    const { zoom, x } = firstView({ width: 1_904, height: 100 }, CANVAS);
    expect(zoom).toBeCloseTo(0.5);
    expect(x).toBeCloseTo(24);
  });

  test("its beginning, readable, where all of it could not be read", () => {
    const { x, zoom } = firstView({ width: 20_000, height: 60 }, CANVAS);
    expect(zoom).toBe(0.8);
    expect(x).toBe(24);
    expect(firstView({ width: 20_000, height: 60_000 }, CANVAS).zoom).toBe(0.45);
  });
});

test("a step that the address names is in the middle", () => {
  expect(viewOn({ x: 5_000, y: 70 }, CANVAS)).toEqual({ x: -4_500, y: 180, zoom: 1 });
});
