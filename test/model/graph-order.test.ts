import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Graph, Step } from "../../runtime/model/graph.ts";
import { planGraph, type TaskShapes } from "../../runtime/model/graph-check.ts";
import { orderSteps } from "../../runtime/model/graph-order.ts";

const TASKS: TaskShapes = {
  names: () => ["any"],
  get: () => ({ checkInput: () => [], inputSchema: null, outputSchema: null }),
};

/** Of each step the places of its parents, all before it: a graph without cycles. */
const ACYCLIC = fc
  .integer({ min: 2, max: 40 })
  .chain((count) =>
    fc.tuple(
      ...Array.from({ length: count }, (_, place) =>
        place === 0 ? fc.constant([]) : fc.uniqueArray(fc.nat({ max: place - 1 }), { maxLength: 4 }),
      ),
    ),
  );

/** The parents by `after` and by reference, in turn; the steps in an order of their own. */
function graphOf(parents: readonly (readonly number[])[], seeds: readonly number[]): Graph {
  const steps = parents.map(
    (own, place): Step => ({
      key: `s${place}`,
      task: "any",
      after: own.filter((_, index) => index % 2 === 0).map((parent) => `s${parent}`),
      input: own.filter((_, index) => index % 2 === 1).map((parent) => ({ $ref: `s${parent}.x` })),
    }),
  );
  const rank = (place: number) => seeds[place % seeds.length] ?? 0;
  return { steps: steps.toSorted((a, b) => rank(Number(a.key.slice(1))) - rank(Number(b.key.slice(1)))) };
}

const SEEDS = fc.array(fc.nat(), { minLength: 1, maxLength: 10 });

describe("any graph without a cycle", () => {
  test("plans with every step once, and every parent before its child", () => {
    fc.assert(
      fc.property(ACYCLIC, SEEDS, (parents, seeds) => {
        const plan = planGraph(graphOf(parents, seeds), null, TASKS);
        if (plan.kind === "invalid") throw new Error(JSON.stringify(plan.issues));
        const places = new Map(plan.steps.map(({ step }, place) => [step.key, place]));
        expect(places.size).toBe(parents.length);
        expect(plan.steps).toHaveLength(parents.length);
        for (const [child, own] of parents.entries()) {
          for (const parent of own) expect(places.get(`s${parent}`)).toBeLessThan(places.get(`s${child}`) ?? -1);
        }
      }),
    );
  });

  test("is refused once a parent waits for a step downstream, with a cycle through both", () => {
    fc.assert(
      fc.property(ACYCLIC, SEEDS, fc.nat(), (parents, seeds, pick) => {
        const downstream = descendants(parents);
        const pairs = downstream.flatMap((below, place) => [...below].map((child) => [place, child] as const));
        fc.pre(pairs.length > 0);
        const [ancestor, child] = pairs[pick % pairs.length] ?? [0, 0];
        const closed = parents.map((own, place) => (place === ancestor ? [...own, child] : own));

        const plan = planGraph(graphOf(closed, seeds), null, TASKS);
        if (plan.kind === "planned") throw new Error("expected it to be refused");
        const printed = plan.issues.map(({ message }) =>
          message.match(/^expected no cycle, got (.*)$/)?.[1]?.split(" → "),
        );
        expect(printed.length).toBeGreaterThan(0);
        for (const cycle of printed) {
          const keys = cycle?.map((key) => Number(key.slice(1))) ?? [];
          expect(keys.at(0)).toBe(keys.at(-1));
          const edges = keys.slice(1).map((to, place) => [keys[place] ?? -1, to] as const);
          for (const [from, to] of edges) expect(closed[to]).toContain(from);
          expect(edges).toContainEqual([child, ancestor]);
        }
      }),
    );
  });
});

describe("an order", () => {
  test("is that of the keys where it can be", () => {
    const parents = new Map([["c", ["a"]]]);
    expect(orderSteps(["b", "a", "c"], parents)).toEqual({ keys: ["b", "a", "c"], cycles: [] });
  });

  test("has each cycle that shares no step with another", () => {
    const parents = new Map([
      ["a", ["b"]],
      ["b", ["a"]],
      ["c", ["b", "d"]],
      ["d", ["c"]],
    ]);
    expect(orderSteps(["a", "b", "c", "d"], parents).cycles).toEqual([
      ["a", "b"],
      ["c", "d"],
    ]);
  });

  test("is found for a chain of twenty thousand steps that is given backwards", () => {
    const keys = Array.from({ length: 20_000 }, (_, place) => `s${place}`);
    const parents = new Map(keys.map((key, place) => [key, keys.slice(place + 1, place + 2)]));
    expect(orderSteps(keys, parents).keys).toEqual(keys.toReversed());
  });
});

function descendants(parents: readonly (readonly number[])[]): readonly ReadonlySet<number>[] {
  const found = parents.map(() => new Set<number>());
  for (const [child, own] of [...parents.entries()].reverse()) {
    for (const parent of own) for (const below of [child, ...(found[child] ?? [])]) found[parent]?.add(below);
  }
  return found;
}
