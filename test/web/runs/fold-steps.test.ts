import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Step } from "../../../runtime/model/graph.ts";
import { foldSteps, MAX_NODES } from "../../../runtime/web/runs/fold-steps.ts";
import { shapeOf } from "../../../runtime/web/runs/run-shape.ts";
import { graphOf, layeredSteps } from "./run-factory.ts";

test("a small graph is drawn as it is", () => {
  const { nodes, edges } = foldSteps(shapeOf(graphOf({ a: "", b: "a", c: "a", d: "b,c" })));
  expect(nodes.map(({ id }) => id)).toEqual(["a", "b", "c", "d"]);
  expect(edges.map(({ from, to }) => [from, to])).toEqual([
    [0, 1],
    [0, 2],
    [1, 3],
    [2, 3],
  ]);
});

test("steps of one task in one layer are one node, and edges between two nodes are counted", () => {
  const steps = layeredSteps(10, 1_000, (layer) => `task-${layer % 3}`);
  const { nodes, edges, nodeOf } = foldSteps(shapeOf({ steps }));
  expect(nodes).toHaveLength(10);
  expect(nodes[4]).toMatchObject({ id: "~4:task-1", task: "task-1", column: 4, levels: [4, 4] });
  expect(edges).toHaveLength(9);
  expect(edges[0]?.count).toBe(1_000);
  expect(nodeOf[4_500]).toBe(4);
});

test("a step alone in its group is itself", () => {
  const steps: Step[] = [{ key: "source", task: "list" }, ...wide(400, "source")];
  expect(foldSteps(shapeOf({ steps })).nodes.map(({ id }) => id)).toEqual(["source", "~1:work"]);
});

test("neighbouring layers of a long chain are taken together", () => {
  const { nodes, edges } = foldSteps(shapeOf({ steps: layeredSteps(10_000, 1) }));
  expect(nodes.length).toBeLessThanOrEqual(MAX_NODES);
  expect(nodes.length).toBeGreaterThan(MAX_NODES / 4);
  expect(nodes[1]?.levels).toEqual([64, 127]);
  expect(edges).toHaveLength(nodes.length - 1);
});

test("of more tasks than there may be nodes a node has several", () => {
  const steps = Array.from({ length: 5_000 }, (_, at): Step => ({ key: `s${at}`, task: `task-${at}` }));
  const { nodes } = foldSteps(shapeOf({ steps }));
  expect(nodes).toHaveLength(1);
  expect(nodes[0]?.task).toBeNull();
});

describe("any graph", () => {
  const graphs = fc
    .integer({ min: 1, max: 60 })
    .chain((count) =>
      fc.tuple(
        fc.array(fc.uniqueArray(fc.nat(), { maxLength: 4 }), { minLength: count, maxLength: count }),
        fc.array(fc.nat({ max: 9 }), { minLength: count, maxLength: count }),
      ),
    )
    .map(([parents, tasks]) =>
      parents.map(
        (own, place): Step => ({
          key: `s${place}`,
          task: `t${tasks[place]}`,
          after: place === 0 ? [] : [...new Set(own.map((parent) => `s${parent % place}`))],
        }),
      ),
    );

  test("has each step in one node, no more nodes than are allowed, and edges to the right only", () => {
    fc.assert(
      fc.property(graphs, fc.integer({ min: 1, max: 20 }), (steps, most) => {
        const shape = shapeOf({ steps });
        const { nodes, edges, nodeOf } = foldSteps(shape, most);
        expect(nodes.length).toBeLessThanOrEqual(Math.max(most, 1));
        expect(nodes.flatMap(({ places }) => places).toSorted((a, b) => a - b)).toEqual(steps.map((_, at) => at));
        for (const [place, node] of nodeOf.entries()) expect(nodes[node]?.places).toContain(place);
        for (const { from, to } of edges) {
          expect(nodes[from]?.column).toBeLessThan(nodes[to]?.column ?? -1);
        }
      }),
    );
  });
});

function wide(count: number, parent: string): Step[] {
  return Array.from({ length: count }, (_, at) => ({ key: `w${at}`, task: "work", after: [parent] }));
}
