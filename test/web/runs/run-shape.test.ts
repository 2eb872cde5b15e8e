import { expect, test } from "vitest";
import { shapeOf } from "../../../runtime/web/runs/run-shape.ts";
import { graphOf } from "./run-factory.ts";

test("a step lies as deep as its longest way from the beginning", () => {
  const shape = shapeOf(graphOf({ sink: "source,middle", source: "", middle: "source" }));
  expect(shape.levels).toEqual([2, 0, 1]);
  expect(shape.order.map((place) => shape.steps[place]?.key)).toEqual(["source", "middle", "sink"]);
  expect(shape.edgeCount).toBe(3);
});

test("what a step refers to in its input, its list and its condition is its parent, once", () => {
  const shape = shapeOf({
    steps: [
      { key: "a", task: "t" },
      { key: "b", task: "t" },
      { key: "c", task: "t" },
      {
        key: "d",
        task: "t",
        after: ["a"],
        input: { list: [{ $ref: "a.x" }, { $ref: "b.y" }] },
        map: { $ref: "c.list" },
        when: { $ref: "b.ok" },
      },
    ],
  });
  expect(shape.parents[3]?.map(({ place }) => place).toSorted()).toEqual([0, 1, 2]);
  expect(shape.children).toEqual([[3], [3], [3], []]);
});

test("a parent is optional only where every reference to it is", () => {
  const optional = { $ref: "a.x", optional: true };
  const shape = shapeOf({
    steps: [
      { key: "a", task: "t" },
      { key: "b", task: "t", input: { x: optional } },
      { key: "c", task: "t", input: { x: optional, y: { $ref: "a.y" } } },
      { key: "d", task: "t", input: { x: optional }, after: ["a"] },
    ],
  });
  expect(shape.parents.map(([parent]) => parent?.optional)).toEqual([undefined, true, false, false]);
});
