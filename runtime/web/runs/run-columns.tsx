/** How a run looks in a list. */
import { Link } from "wouter";
import type { RunSummary } from "../../client/index.ts";
import { shortId } from "../components/copy.tsx";
import { StateBadge } from "../components/state-badge.tsx";
import type { Column } from "../components/table.tsx";
import { Elapsed, Time } from "../components/time.tsx";
import { CountsProgress } from "./run-counts.tsx";

export const RUN_COLUMNS: readonly Column<RunSummary>[] = [
  { key: "state", title: "State", width: "128px", cell: (run) => <RunStateBadge run={run} /> },
  {
    key: "run",
    title: "Run",
    cell: ({ job, runId }) => (
      <span className="run-name">
        <Link href={runHref(runId)} data-run={runId}>
          {job ?? "a graph"}
        </Link>
        <span className="mono faint hide-small" title={runId}>
          {shortId(runId)}
        </span>
      </span>
    ),
  },
  {
    key: "steps",
    title: "Steps",
    width: "26%",
    hide: "small",
    cell: (run) => <CountsProgress counts={countsOfSummary(run)} total={run.stepCount} />,
  },
  { key: "note", title: "What happened", width: "22%", hide: "medium", cell: (run) => <RunNote run={run} /> },
  {
    key: "took",
    title: "Took",
    width: "92px",
    align: "end",
    hide: "small",
    cell: ({ createdAt, finishedAt }) => <Elapsed from={createdAt} to={finishedAt} />,
  },
  { key: "created", title: "Accepted", width: "92px", align: "end", cell: ({ createdAt }) => <Time at={createdAt} /> },
];

export function runHref(id: string): string {
  return `/runs/${encodeURIComponent(id)}`;
}

export function countsOfSummary(run: RunSummary) {
  const { succeededSteps: succeeded, failedSteps: failed, cancelledSteps: cancelled, skippedSteps: skipped } = run;
  return { succeeded, failed, cancelled, skipped };
}

/** The state, and whether it is being stopped. */
export function RunStateBadge({ run }: { readonly run: Pick<RunSummary, "state" | "cancelRequested"> }) {
  const isStopping = run.state === "running" && run.cancelRequested;
  return <StateBadge state={run.state} {...(isStopping && { label: "stopping" })} />;
}

/** The one thing to know about it. */
function RunNote({ run: { error, cancelReason, failedSteps, parentRunId, state } }: { readonly run: RunSummary }) {
  if (error !== null) {
    return (
      <span className="muted" title={error.message}>
        <code>{error.code}</code> {error.message}
      </span>
    );
  }
  if (state === "cancelled" && cancelReason !== null) return <span className="muted">{cancelReason}</span>;
  if (failedSteps > 0)
    return <span className="muted">{failedSteps === 1 ? "1 step" : `${failedSteps} steps`} failed</span>;
  if (parentRunId === null) return null;
  return <span className="muted">repeats {shortId(parentRunId)}</span>;
}
