/**
 * What is drawn of a graph: each step as a node while these are few. Of more, steps of the same task in the same layer become one node; and where
 * the layers themselves are too many, neighbouring layers are taken together. So a graph of any size comes to at most `maxNodes`, and nobody gets
 * lost between ten thousand boxes.
 */
import type { RunShape } from "./run-shape.ts";

export type FoldedNode = {
  /** Stable while the graph is: of one step its key, of a group `~LAYER:TASK`. */
  readonly id: string;
  /** Of the steps in it, in the order of the graph. */
  readonly places: readonly number[];
  /** Null: there are several. */
  readonly task: string | null;
  /** From left to right. */
  readonly column: number;
  /** The layers that it covers, from 0. */
  readonly levels: readonly [first: number, last: number];
};

/** By the places of its ends in the list of nodes. */
export type FoldedEdge = { readonly from: number; readonly to: number; readonly count: number };

export type FoldedGraph = {
  readonly nodes: readonly FoldedNode[];
  /** Those between different columns: an edge goes to the right. */
  readonly edges: readonly FoldedEdge[];
  /** By place of a step. */
  readonly nodeOf: readonly number[];
};

export const MAX_NODES = 300;

export function foldSteps(shape: RunShape, maxNodes: number = MAX_NODES): FoldedGraph {
  const { steps, levels } = shape;
  if (steps.length <= maxNodes) return folded(shape, 1, (place) => steps[place]?.key ?? "");
  const depth = levels.reduce((most, level) => Math.max(most, level + 1), 0);
  const group = (band: number) => (place: number) =>
    `~${Math.floor((levels[place] ?? 0) / band)}:${steps[place]?.task ?? ""}`;
  // Doubling: at most fifteen tries for the deepest graph there can be.
  for (let band = 1; band < 2 * depth; band *= 2) {
    const names = new Set(steps.map((_, place) => group(band)(place)));
    if (names.size <= maxNodes) return folded(shape, band, group(band));
  }
  // More tasks than nodes: layers alone.
  const band = Math.ceil(depth / maxNodes);
  return folded(shape, band, (place) => `~${Math.floor((levels[place] ?? 0) / band)}`);
}

function folded(shape: RunShape, band: number, nameOf: (place: number) => string): FoldedGraph {
  const { steps, levels } = shape;
  const groups = Map.groupBy(steps.keys(), nameOf);
  const nodes = [...groups].map(([name, places]) => nodeOfSteps(name, places, shape, band));
  const nodeOf: number[] = steps.map(() => 0);
  for (const [index, { places }] of nodes.entries()) for (const place of places) nodeOf[place] = index;
  const counts = new Map<number, number>();
  for (const [place, parents] of shape.parents.entries()) {
    const to = nodeOf[place] ?? 0;
    for (const { place: parent } of parents) {
      const isInside = Math.floor((levels[parent] ?? 0) / band) === Math.floor((levels[place] ?? 0) / band);
      if (isInside) continue;
      const edge = (nodeOf[parent] ?? 0) * nodes.length + to;
      counts.set(edge, (counts.get(edge) ?? 0) + 1);
    }
  }
  const edges = [...counts].map(([edge, count]) => ({
    from: Math.floor(edge / nodes.length),
    to: edge % nodes.length,
    count,
  }));
  return { nodes, edges, nodeOf };
}

function nodeOfSteps(name: string, places: readonly number[], { steps, levels }: RunShape, band: number): FoldedNode {
  const [first = 0] = places;
  // A group of one is that step.
  const id = places.length === 1 ? (steps[first]?.key ?? name) : name;
  const task = steps[first]?.task ?? null;
  const own = places.map((place) => levels[place] ?? 0);
  const least = own.reduce((a, b) => Math.min(a, b), own[0] ?? 0);
  const most = own.reduce((a, b) => Math.max(a, b), 0);
  return {
    id,
    places,
    task: places.every((place) => steps[place]?.task === task) ? task : null,
    column: Math.floor(least / band),
    levels: [least, most],
  };
}
