/** A group of steps that the graph shows as one. */
import { useMemo } from "react";
import { StateBadge } from "../components/state-badge.tsx";
import { Elapsed } from "../components/time.tsx";
import type { FoldedNode } from "./fold-steps.ts";
import { type LiveRun, shownState } from "./live-run.ts";
import { BLOCKED_STEP } from "./live-step.ts";
import { faceOf } from "./node-face.ts";
import { summaryOf } from "./node-summary.ts";
import { CountsMeter, countsText } from "./run-counts.tsx";
import { StepList } from "./step-list.tsx";

export type GroupPanelProps = {
  readonly live: LiveRun;
  readonly node: FoldedNode;
  readonly pickStep: (key: string) => void;
};

export function GroupPanel({ live, node, pickStep }: GroupPanelProps) {
  const { state, counts, total, startedMs, endedMs } = summaryOf(live, node);
  const { title, note } = faceOf(live, node, 0);
  const steps = useMemo(
    () =>
      node.places.map((place) => ({
        key: live.shape.steps[place]?.key ?? "",
        state: shownState(live, place),
        step: live.steps[place] ?? BLOCKED_STEP,
      })),
    [live, node],
  );
  return (
    <>
      <header className="panel-head">
        <h2>
          <span className="mono">{title}</span> <span className="muted">{note}</span>
        </h2>
        <div className="row">
          <StateBadge state={state} />
          {startedMs !== null && (
            <span className="muted">
              <Elapsed from={new Date(startedMs)} to={endedMs === null ? null : new Date(endedMs)} />
            </span>
          )}
        </div>
      </header>
      <div className="panel-part">
        <CountsMeter counts={counts} total={total} />
        <p className="muted">{countsText(counts, total)}</p>
      </div>
      <StepList label="Steps of the group" steps={steps} onPick={pickStep} />
    </>
  );
}
