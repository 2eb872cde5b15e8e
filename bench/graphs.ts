/** The graphs of the benchmark of runs. */

import type { Graph, Step } from "../runtime/model/graph.ts";

const PARENTS = 3;

/** Each step takes the result of the one before. `queues`: theirs in turn. */
export function chain(length: number, queues: readonly string[]): Graph {
  const steps = Array.from({ length }, (_, index): Step => {
    const parents = index === 0 ? [] : [{ $ref: `s${index - 1}` }];
    return {
      key: `s${index}`,
      task: "bench.step",
      input: { parents },
      queue: queues[index % queues.length] ?? "default",
    };
  });
  return { steps };
}

/** Layers, each step with three parents in the layer before: it comes after them, or takes their results. */
export function layered(layers: number, width: number, takes: "order" | "results"): Graph {
  const steps: Step[] = [];
  for (let layer = 0; layer < layers; layer++) {
    for (let place = 0; place < width; place++) {
      const key = `s${layer}_${place}`;
      const parents = layer === 0 ? [] : parentsOf(place, width).map((parent) => `s${layer - 1}_${parent}`);
      if (takes === "order") steps.push({ key, task: "noop", input: null, after: parents });
      else steps.push({ key, task: "bench.step", input: { parents: parents.map(($ref) => ({ $ref })) } });
    }
  }
  return { steps };
}

/** Spread over the layer, so that no group of steps keeps to itself. */
function parentsOf(place: number, width: number): number[] {
  return Array.from({ length: PARENTS }, (_, index) => (place + index * 7) % width);
}

/** A list, steps mapped over it, and for each the size of what it collects. */
export function mapped(maps: number, elements: number): Graph {
  const steps: Step[] = [{ key: "list", task: "bench.list", input: { size: elements } }];
  for (let map = 0; map < maps; map++) {
    steps.push({ key: `map${map}`, task: "bench.element", map: { $ref: "list" }, input: { value: { $item: "" } } });
    steps.push({ key: `size${map}`, task: "bench.size", input: { values: { $ref: `map${map}` } } });
  }
  return { steps };
}
