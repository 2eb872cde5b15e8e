/** Where the nodes of a small graph stand: dagre finds the better drawing, and takes too long for a large one. */
import { Graph, layout } from "@dagrejs/dagre";
import type { FoldedGraph } from "./fold-steps.ts";
import { COLUMN_GAP, type NodeSize, type Placement, type Point, placeNodes, ROW_GAP } from "./place-nodes.ts";

/**
 * Dagre puts a node of its own wherever an edge crosses a column, and its time grows with the square of all of them. With these limits it takes
 * less than a quarter of a second.
 */
const MAX_NODES_WITH_BENDS = 400;
const MAX_EDGES = 600;

/** Dagre's where that is quick, else ours. */
export function placeGraph(graph: FoldedGraph, size: NodeSize): Placement {
  const { nodes, edges } = graph;
  const bends = edges.reduce((sum, { from, to }) => sum + columnOf(graph, to) - columnOf(graph, from) - 1, 0);
  const isSmall = nodes.length + bends <= MAX_NODES_WITH_BENDS && edges.length <= MAX_EDGES;
  return isSmall ? placeByDagre(graph, size) : placeNodes(graph, size);
}

function placeByDagre({ nodes, edges }: FoldedGraph, { width, height }: NodeSize): Placement {
  const drawing = new Graph();
  drawing.setGraph({ rankdir: "LR", nodesep: ROW_GAP, ranksep: COLUMN_GAP, marginx: 0, marginy: 0 });
  drawing.setDefaultEdgeLabel(() => ({}));
  for (const index of nodes.keys()) drawing.setNode(String(index), { width, height });
  for (const { from, to } of edges) drawing.setEdge(String(from), String(to));
  layout(drawing);
  const points = nodes.map((_, index) => {
    // It gives the middle of each.
    const { x = 0, y = 0 } = drawing.node(String(index));
    return { x: x - width / 2, y: y - height / 2 };
  });
  const extent = {
    width: points.reduce((most, { x }) => Math.max(most, x + width), 0),
    height: points.reduce((most, { y }) => Math.max(most, y + height), 0),
  };
  const upright = isUpsideDown(nodes, points)
    ? points.map(({ x, y }) => ({ x, y: extent.height - height - y }))
    : points;
  return { points: upright, ...extent };
}

/** Dagre does not care which of two equal drawings it makes. Somebody who reads does: steps are expected in the order of the graph. */
function isUpsideDown(nodes: FoldedGraph["nodes"], points: readonly Point[]): boolean {
  let sum = 0;
  for (const column of Map.groupBy(nodes.keys(), (node) => nodes[node]?.column).values()) {
    const own = [...column];
    for (const [at, node] of own.entries()) {
      const next = own[at + 1];
      if (next !== undefined) sum += Math.sign((points[next]?.y ?? 0) - (points[node]?.y ?? 0));
    }
  }
  return sum < 0;
}

function columnOf({ nodes }: FoldedGraph, node: number): number {
  return nodes[node]?.column ?? 0;
}
