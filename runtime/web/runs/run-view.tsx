/** A run that has been read: the heading, the figures, the views, and the panel of what is selected. Everything chosen here stands in the address. */
import "./run-view.css";
import { useCallback, useMemo } from "react";
import type { Run } from "../../client/index.ts";
import type { Graph } from "../../model/graph.ts";
import { Card } from "../components/card.tsx";
import { Page } from "../components/page.tsx";
import { Tabs, useTab } from "../components/tabs.tsx";
import { useParams } from "../route/params.ts";
import { GanttView } from "./gantt-view.tsx";
import { GraphView } from "./graph-view.tsx";
import { RunActions } from "./run-actions.tsx";
import { RunDetails } from "./run-details.tsx";
import { RunHeading } from "./run-heading.tsx";
import { RunSummaryCard } from "./run-summary.tsx";
import { SelectedPanel } from "./selected-panel.tsx";
import { selectionOf } from "./selection.ts";
import { StepsView } from "./steps-view.tsx";
import { useFoldedGraph } from "./use-folded-graph.ts";
import { useLiveRun } from "./use-live-run.ts";

export type RunViewProps = {
  readonly run: Run;
  readonly graph: Graph;
  /** Hears that the run is over: its result can be read. */
  readonly onEnd: () => void;
};

export function RunView({ run, graph, onEnd }: RunViewProps) {
  const [params, change] = useParams();
  const tab = useTab(["graph", "timeline", "steps", "details"]);
  const live = useLiveRun(run.runId, graph, onEnd);
  const drawing = useFoldedGraph(live.run.shape);
  const selection = useMemo(
    () => selectionOf(params, live.run.shape, drawing.graph),
    [params, live.run.shape, drawing.graph],
  );
  const state = live.run.state ?? run.state;
  const pickStep = useCallback((key: string | null) => change({ step: key, group: null }), [change]);
  const pickGroup = useCallback((id: string) => change({ step: null, group: id }), [change]);
  const createdMs = run.createdAt.getTime();
  const shared = { live: live.run, createdMs, selection, pickStep };
  return (
    <Page
      title={`${run.job ?? "Run"} ${run.runId.slice(-8)}`}
      heading={<RunHeading run={run} state={state} />}
      crumbs={[{ label: "Runs", href: "/runs" }]}
      actions={<RunActions run={run} live={live.run} state={state} />}
      bar={
        <Tabs
          label="Views of the run"
          value={tab}
          tabs={[
            { name: "graph", label: "Graph" },
            { name: "timeline", label: "Timeline" },
            { name: "steps", label: "Steps", count: graph.steps.length },
            { name: "details", label: "Details" },
          ]}
        />
      }
    >
      <RunSummaryCard run={run} live={live} state={state} pickStep={pickStep} />
      {tab === "details" ? (
        <RunDetails run={run} />
      ) : (
        <div className={selection === null ? "run-main" : "run-main run-main-split"}>
          <Card flush>
            {tab === "graph" && <GraphView {...shared} {...drawing} run={run} state={state} pickGroup={pickGroup} />}
            {tab === "timeline" && <GanttView {...shared} finishedAt={run.finishedAt} />}
            {tab === "steps" && <StepsView {...shared} />}
          </Card>
          {selection !== null && (
            <SelectedPanel key={selectionKey(selection)} run={run} {...shared} selection={selection} />
          )}
        </div>
      )}
    </Page>
  );
}

function selectionKey(selection: NonNullable<ReturnType<typeof selectionOf>>): string {
  return selection.kind === "group" ? selection.node.id : selection.key;
}
