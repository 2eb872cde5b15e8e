/** The drawing of a graph, worked out once for each graph: what is folded together, and where each node stands. */
import { useMemo } from "react";
import { type FoldedGraph, foldSteps } from "./fold-steps.ts";
import { NODE_SIZE } from "./graph-node.tsx";
import { placeGraph } from "./place-by-dagre.ts";
import type { Placement } from "./place-nodes.ts";
import type { RunShape } from "./run-shape.ts";

export function useFoldedGraph(shape: RunShape): { readonly graph: FoldedGraph; readonly placement: Placement } {
  return useMemo(() => {
    const graph = foldSteps(shape);
    return { graph, placement: placeGraph(graph, NODE_SIZE) };
  }, [shape]);
}
