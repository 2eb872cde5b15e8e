import { describe, expect, test } from "vitest";
import { type FoldedGraph, foldSteps } from "../../../runtime/web/runs/fold-steps.ts";
import { placeGraph } from "../../../runtime/web/runs/place-by-dagre.ts";
import { type Placement, placeNodes } from "../../../runtime/web/runs/place-nodes.ts";
import { shapeOf } from "../../../runtime/web/runs/run-shape.ts";
import { processorMs } from "./processor-time.ts";
import { graphOf, layeredSteps } from "./run-factory.ts";

const SIZE = { width: 200, height: 56 };
const DIAMOND = graphOf({ a: "", b: "a", c: "a", d: "b,c" });

describe.each([
  ["by columns", placeNodes],
  ["by dagre, where that is quick", placeGraph],
])("placed %s", (_, place) => {
  test("nodes do not lie over each other, and stay inside", () => {
    const graph = foldSteps(shapeOf({ steps: layeredSteps(6, 12) }));
    const placed = place(graph, SIZE);
    expect(overlaps(placed)).toEqual([]);
    for (const { x, y } of placed.points) {
      expect(x).toBeGreaterThanOrEqual(-0.5);
      expect(y).toBeGreaterThanOrEqual(-0.5);
      expect(x + SIZE.width).toBeLessThanOrEqual(placed.width + 0.5);
      expect(y + SIZE.height).toBeLessThanOrEqual(placed.height + 0.5);
    }
  });

  test("a child stands to the right of its parents", () => {
    const graph = foldSteps(shapeOf(DIAMOND));
    const { points } = place(graph, SIZE);
    for (const { from, to } of graph.edges) {
      expect(points[to]?.x).toBeGreaterThanOrEqual((points[from]?.x ?? 0) + SIZE.width);
    }
  });

  test("three hundred nodes with nine thousand edges take less than half a second of a processor", () => {
    const width = 30;
    const steps = layeredSteps(10, width).map((step, at) => {
      const layer = Math.floor(at / width);
      return {
        ...step,
        after: layer === 0 ? [] : Array.from({ length: width }, (_, one) => `s${layer - 1}-${one}`),
      };
    });
    const graph = foldSteps(shapeOf({ steps }));
    expect(graph.edges.length).toBe(8_100);
    expect(processorMs(() => place(graph, SIZE))).toBeLessThan(500);
  });
});

test("lines that need not cross do not", () => {
  const graph = foldSteps(shapeOf(graphOf({ a: "", b: "", x: "b", y: "a" })));
  const { points } = placeNodes(graph, SIZE);
  const [a, b, x, y] = points.map((point) => point.y);
  expect((a ?? 0) < (b ?? 0)).toBe((y ?? 0) < (x ?? 0));
});

test("ten thousand steps are folded and placed in less than a second of a processor", () => {
  const steps = layeredSteps(50, 200, (layer) => `task-${layer % 7}`);
  expect(
    processorMs(() => {
      const graph = foldSteps(shapeOf({ steps }));
      return placeGraph(graph, SIZE);
    }),
  ).toBeLessThan(1_000);
});

test("an empty graph has no extent", () => {
  const nothing: FoldedGraph = { nodes: [], edges: [], nodeOf: [] };
  expect(placeNodes(nothing, SIZE)).toEqual({ points: [], width: 0, height: 0 });
});

function overlaps({ points }: Placement): string[] {
  return points.flatMap((one, at) =>
    points
      .slice(at + 1)
      .filter((other) => Math.abs(one.x - other.x) < SIZE.width && Math.abs(one.y - other.y) < SIZE.height)
      .map((other) => `${JSON.stringify(one)} and ${JSON.stringify(other)}`),
  );
}

test("steps side by side stand in the order of the graph", () => {
  const fan = Object.fromEntries(Array.from({ length: 8 }, (_, at) => [`child-${at}`, "source"]));
  const { points } = placeGraph(foldSteps(shapeOf(graphOf({ source: "", ...fan }))), SIZE);
  const heights = points.slice(1).map(({ y }) => y);
  expect(heights).toEqual(heights.toSorted((a, b) => a - b));
});
