/**
 * The graph of a run by places instead of keys: who waits for whom, and how deep each step lies. It never changes while the run is looked at, so all
 * of it is worked out once; ten thousand steps are then a few arrays of numbers.
 */
import type { Graph, Step } from "../../model/graph.ts";
import { orderSteps } from "../../model/graph-order.ts";
import { referencesOf } from "../../model/template.ts";

export type ParentPlace = {
  readonly place: number;
  /** The step takes null for it where it did not succeed. */
  readonly optional: boolean;
};

export type RunShape = {
  /** In the order of the graph. A place is an index in this list. */
  readonly steps: readonly Step[];
  readonly placeOf: ReadonlyMap<string, number>;
  readonly parents: readonly (readonly ParentPlace[])[];
  readonly children: readonly (readonly number[])[];
  /** How many steps lie before each at least, on the longest way: 0 for those without parents. */
  readonly levels: readonly number[];
  /** Places, parents before children. */
  readonly order: readonly number[];
  readonly edgeCount: number;
};

/** A parent that is no step of the graph is passed over: the API has checked the graph, or says itself what is wrong with it. */
export function shapeOf({ steps }: Graph): RunShape {
  const placeOf = new Map(steps.map(({ key }, place) => [key, place]));
  const parents = steps.map((step) => parentsOf(step, placeOf));
  const children: number[][] = steps.map(() => []);
  for (const [place, own] of parents.entries()) for (const parent of own) children[parent.place]?.push(place);
  const order = orderOf(steps, parents, placeOf);
  const levels = steps.map(() => 0);
  for (const place of order) {
    for (const parent of parents[place] ?? []) {
      levels[place] = Math.max(levels[place] ?? 0, (levels[parent.place] ?? 0) + 1);
    }
  }
  const edgeCount = parents.reduce((sum, own) => sum + own.length, 0);
  return { steps, placeOf, parents, children, levels, order, edgeCount };
}

function parentsOf(step: Step, placeOf: ReadonlyMap<string, number>): ParentPlace[] {
  const found = new Map<number, boolean>();
  const wait = (key: string, optional: boolean) => {
    const place = placeOf.get(key);
    if (place !== undefined) found.set(place, (found.get(place) ?? true) && optional);
  };
  for (const key of step.after ?? []) wait(key, false);
  for (const { step: key, optional } of referencesOf(step.input)) wait(key, optional);
  for (const { step: key } of [...referencesOf(step.map), ...referencesOf(step.when)]) wait(key, false);
  return [...found].map(([place, optional]) => ({ place, optional }));
}

function orderOf(
  steps: readonly Step[],
  parents: readonly (readonly ParentPlace[])[],
  placeOf: ReadonlyMap<string, number>,
): number[] {
  const keysOfParents = new Map(
    steps.map(({ key }, place) => [key, (parents[place] ?? []).flatMap((parent) => steps[parent.place]?.key ?? [])]),
  );
  const { keys } = orderSteps(
    steps.map(({ key }) => key),
    keysOfParents,
  );
  return keys.flatMap((key) => placeOf.get(key) ?? []);
}
