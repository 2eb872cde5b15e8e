/** One box of the drawing: a step, a mapped step with its elements, or several steps of one task. */
import "./graph-node.css";
import { Handle, type Node, type NodeProps, Position } from "@xyflow/react";
import Check from "lucide-react/icons/check";
import History from "lucide-react/icons/history";
import { memo } from "react";
import { countText } from "../components/number-text.ts";
import { StateIcon, toneOf } from "../components/state-badge.tsx";
import { Elapsed } from "../components/time.tsx";
import type { NodeFace } from "./node-face.ts";
import { CountsMeter } from "./run-counts.tsx";

export type GraphNodeData = {
  readonly face: NodeFace;
  readonly isSelected: boolean;
  /** What a re-execution would do with it; null: none is being chosen. */
  readonly mark: "again" | "kept" | null;
  readonly onPick: (id: string) => void;
};

export type GraphNode = Node<GraphNodeData, "box">;

export const NODE_SIZE = { width: 208, height: 60 };

export const GraphBox = memo(function GraphBox({ id, data }: NodeProps<GraphNode>) {
  const { face, isSelected, mark, onPick } = data;
  return (
    <>
      <Handle type="target" position={Position.Left} isConnectable={false} />
      {face.state === null ? (
        <div className={`box box-plain box-${face.kind}`} title={`${face.title}\n${face.note}`}>
          <BoxContent face={face} mark={mark} />
        </div>
      ) : (
        <button
          type="button"
          className={`box box-${toneOf(face.state)} box-${face.kind} ${mark === null ? "" : `box-mark-${mark}`} nopan`}
          data-step={face.title}
          data-state={face.state}
          aria-pressed={isSelected}
          title={`${face.title}\n${face.note}`}
          onClick={() => onPick(id)}
        >
          <BoxContent face={face} mark={mark} />
          <span className="unseen">{unseenOf(face, mark)}</span>
        </button>
      )}
      <Handle type="source" position={Position.Right} isConnectable={false} />
    </>
  );
});

function BoxContent({ face, mark }: Pick<GraphNodeData, "face" | "mark">) {
  const { kind, title, note, state, startedMs, endedMs, attempt, progress, counts, total, isKept } = face;
  return (
    <>
      <span className="box-line">
        {state !== null && (
          <span className={`box-state box-state-${toneOf(state)}`}>
            <StateIcon state={state} size={14} />
          </span>
        )}
        <span className="box-title">{title}</span>
        {kind !== "step" && total > 0 && <span className="box-count">×{countText(total)}</span>}
        {mark === "again" && <Check size={14} aria-hidden="true" className="box-check" />}
      </span>
      <span className="box-line box-low">
        <span className="box-note">{note}</span>
        {isKept && <History size={12} aria-hidden="true" />}
        {attempt > 1 && kind === "step" && <span title="attempts">#{attempt}</span>}
        {startedMs !== null && !isKept && (
          <Elapsed from={new Date(startedMs)} to={endedMs === null ? null : new Date(endedMs)} />
        )}
      </span>
      {counts !== null && total > 0 ? (
        <CountsMeter counts={counts} total={total} />
      ) : (
        progress !== null && (
          <span className="box-progress">
            <span style={{ width: `${progress * 100}%` }} />
          </span>
        )
      )}
    </>
  );
}

/** What the box says by colours and icons, for who does not see them. */
function unseenOf({ kind, state, isKept }: NodeFace, mark: GraphNodeData["mark"]): string {
  const parts = [
    state,
    kind === "group" ? "several steps" : null,
    kind === "map" ? "for each element of a list" : null,
    isKept ? "taken over from the run before" : null,
    mark === "again" ? "runs again" : null,
    mark === "kept" ? "is kept" : null,
  ];
  return parts.filter((part) => part !== null).join(", ");
}
