/**
 * Where nodes stand whose columns are known: column by column, within one ordered so that few edges cross. It takes time in proportion to nodes and
 * edges, where a general layout takes seconds for a few hundred nodes with many edges between them.
 */
import type { FoldedGraph } from "./fold-steps.ts";

export type Point = { readonly x: number; readonly y: number };

/** Of the upper left corner of each node, in the order of the nodes; pixels. */
export type Placement = { readonly points: readonly Point[]; readonly width: number; readonly height: number };

export type NodeSize = { readonly width: number; readonly height: number };

export const COLUMN_GAP = 60;
export const ROW_GAP = 16;
/** Down and up the columns again; more changes little. */
const SWEEPS = 4;

export function placeNodes({ nodes, edges }: FoldedGraph, { width, height }: NodeSize): Placement {
  const columns = [...Map.groupBy(nodes.keys(), (node) => nodes[node]?.column ?? 0)]
    .toSorted(([a], [b]) => a - b)
    .map(([, own]) => [...own]);
  const before = neighbours(nodes.length, edges, "to", "from");
  const after = neighbours(nodes.length, edges, "from", "to");
  const rank = nodes.map(() => 0);
  for (const column of columns) number(column, rank);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const isDown = sweep % 2 === 0;
    for (const column of isDown ? columns : columns.toReversed()) {
      orderColumn(column, isDown ? before : after, rank);
      number(column, rank);
    }
  }
  const tallest = columns.reduce((most, column) => Math.max(most, column.length), 0);
  const total = heightOf(tallest, height);
  const points: Point[] = nodes.map(() => ({ x: 0, y: 0 }));
  for (const [at, column] of columns.entries()) {
    const top = (total - heightOf(column.length, height)) / 2;
    for (const [row, node] of column.entries()) {
      points[node] = { x: at * (width + COLUMN_GAP), y: top + row * (height + ROW_GAP) };
    }
  }
  return { points, width: Math.max(0, columns.length * (width + COLUMN_GAP) - COLUMN_GAP), height: total };
}

function heightOf(count: number, height: number): number {
  return Math.max(0, count * (height + ROW_GAP) - ROW_GAP);
}

function neighbours(count: number, edges: FoldedGraph["edges"], of: "from" | "to", other: "from" | "to"): number[][] {
  const found: number[][] = Array.from({ length: count }, () => []);
  for (const edge of edges) found[edge[of]]?.push(edge[other]);
  return found;
}

/** By the mean of what each is joined to; what is joined to nothing keeps its place. */
function orderColumn(column: number[], joined: readonly (readonly number[])[], rank: readonly number[]): void {
  const wanted = new Map(
    column.map((node) => {
      const others = joined[node] ?? [];
      const mean = others.reduce((sum, other) => sum + (rank[other] ?? 0), 0) / Math.max(1, others.length);
      return [node, others.length === 0 ? (rank[node] ?? 0) : mean];
    }),
  );
  column.sort((a, b) => (wanted.get(a) ?? 0) - (wanted.get(b) ?? 0) || (rank[a] ?? 0) - (rank[b] ?? 0));
}

/** From 0 to 1, so that columns of different heights compare. */
function number(column: readonly number[], rank: number[]): void {
  for (const [row, node] of column.entries()) rank[node] = (row + 0.5) / column.length;
}
