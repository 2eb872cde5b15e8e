/** The graph of a job before it runs. */
import { useMemo } from "react";
import type { Graph } from "../../model/graph.ts";
import type { FoldedGraph } from "./fold-steps.ts";
import { GraphCanvas } from "./graph-canvas.tsx";
import type { NodeFace } from "./node-face.ts";
import { shapeOf } from "./run-shape.ts";
import { useFoldedGraph } from "./use-folded-graph.ts";
import "./graph-preview.css";

export function GraphPreview({ graph }: { readonly graph: Graph }) {
  const shape = useMemo(() => shapeOf(graph), [graph]);
  const { graph: folded, placement } = useFoldedGraph(shape);
  const faces = useMemo(() => folded.nodes.map((_, at) => plainFace(folded, at, graph)), [folded, graph]);
  return (
    <div className="graph-preview">
      <GraphCanvas
        label="Graph of the job"
        graph={folded}
        placement={placement}
        faces={faces}
        selected={null}
        onPick={nothing}
      />
    </div>
  );
}

function nothing(): void {}

function plainFace({ nodes }: FoldedGraph, at: number, { steps }: Graph): NodeFace {
  const { places = [], task = null } = nodes[at] ?? {};
  const step = steps[places[0] ?? 0];
  const isGroup = places.length > 1;
  return {
    kind: isGroup ? "group" : step?.map === undefined ? "step" : "map",
    title: isGroup ? (task ?? "several tasks") : (step?.key ?? ""),
    note: isGroup ? "" : (step?.task ?? ""),
    state: null,
    startedMs: null,
    endedMs: null,
    attempt: 0,
    progress: null,
    counts: null,
    total: isGroup ? places.length : 0,
    isKept: false,
  };
}
