/** The graph of a run as it goes. While a re-execution is being chosen, it shows what will run again, and clicking chooses. */
import { useCallback, useMemo, useRef } from "react";
import type { Run } from "../../client/index.ts";
import type { RunState } from "../../model/run.ts";
import type { FoldedGraph } from "./fold-steps.ts";
import { GraphCanvas } from "./graph-canvas.tsx";
import type { LiveRun } from "./live-run.ts";
import { facesOf, type NodeFace } from "./node-face.ts";
import type { Placement } from "./place-nodes.ts";
import { ReexecuteBar } from "./reexecute-bar.tsx";
import { planReexecution } from "./reexecution.ts";
import { type Selection, selectedNode } from "./selection.ts";
import { useChoice } from "./use-choice.ts";

export type GraphViewProps = {
  readonly run: Run;
  readonly live: LiveRun;
  readonly state: RunState;
  readonly createdMs: number;
  readonly graph: FoldedGraph;
  readonly placement: Placement;
  readonly selection: Selection | null;
  readonly pickStep: (key: string | null) => void;
  readonly pickGroup: (id: string) => void;
};

export function GraphView(props: GraphViewProps) {
  const { run, live, state, createdMs, graph, placement, selection, pickStep, pickGroup } = props;
  const known = useRef<readonly NodeFace[]>([]);
  const faces = useMemo(() => {
    known.current = facesOf(live, graph.nodes, createdMs, known.current);
    return known.current;
  }, [live, graph, createdMs]);
  const { choice, toggle } = useChoice(live.shape);
  const isChoosing = choice !== null && state !== "running";
  const plan = useMemo(
    () => (choice === null || !isChoosing ? null : planReexecution(live, choice)),
    [live, choice, isChoosing],
  );
  const marks = useMemo(() => {
    if (plan === null) return undefined;
    const repeated = new Set(plan.repeated);
    return graph.nodes.map(({ places }) => (places.some((place) => repeated.has(place)) ? "again" : "kept"));
  }, [plan, graph]);
  const onPick = useCallback(
    (id: string) => {
      const node = graph.nodes.find((one) => one.id === id);
      if (node === undefined) return;
      if (isChoosing && choice?.kind === "chosen") toggle(node.places);
      else if (node.places.length > 1) pickGroup(id);
      else pickStep(id);
    },
    [graph, isChoosing, choice?.kind, toggle, pickGroup, pickStep],
  );
  return (
    <>
      {isChoosing && plan !== null && <ReexecuteBar run={run} live={live} choice={choice} plan={plan} />}
      <GraphCanvas
        label="Graph of the run"
        graph={graph}
        placement={placement}
        faces={faces}
        {...(marks !== undefined && { marks })}
        selected={selectedNode(selection, graph)}
        onPick={onPick}
      />
    </>
  );
}
