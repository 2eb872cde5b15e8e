/** What a run was started with and what came of it, and the other runs of its line. */
import { Link } from "wouter";
import type { Run } from "../../client/index.ts";
import { Card, Facts } from "../components/card.tsx";
import { Id } from "../components/copy.tsx";
import { JsonView } from "../components/json-view.tsx";
import { ExactTime } from "../components/time.tsx";
import { runHref } from "./run-columns.tsx";
import { RunLine } from "./run-line.tsx";

export function RunDetails({ run }: { readonly run: Run }) {
  const labels = Object.entries(run.labels);
  return (
    <div className="stack run-details">
      <Card title="Facts">
        <Facts
          facts={[
            ["Run", <Id key="id" id={run.runId} whole />],
            ["Job", run.job === null ? "a graph that was posted as it is" : <JobLink key="job" name={run.job} />],
            ["Mode", run.mode === "simple" ? "simple: one worker does all steps" : "orchestrated: each step is a task"],
            ["Priority", run.priority],
            labels.length === 0 ? undefined : ["Labels", <Labels key="labels" labels={labels} />],
            ["Accepted", <ExactTime key="created" at={run.createdAt} />],
            run.startedAt === null ? undefined : ["First start", <ExactTime key="started" at={run.startedAt} />],
            run.deadlineAt === null ? undefined : ["Deadline", <ExactTime key="deadline" at={run.deadlineAt} />],
            ["Ended", <ExactTime key="finished" at={run.finishedAt} />],
            run.cancelReason === null ? undefined : ["Cancelled", run.cancelReason],
            run.parentRunId === null
              ? undefined
              : ["Repeats", <Id key="parent" id={run.parentRunId} href={runHref(run.parentRunId)} />],
            run.onFinishedTaskId === null
              ? undefined
              : [
                  "When it is over",
                  <Id key="hook" id={run.onFinishedTaskId} href={`/tasks/${run.onFinishedTaskId}`} />,
                ],
          ]}
        />
      </Card>
      <Card title="Input">
        <JsonView value={run.input} what="input" />
      </Card>
      <Card title="Result">
        <JsonView value={run.result} what="result" none={noResultText(run)} />
      </Card>
      <RunLine run={run} />
    </div>
  );
}

function noResultText({ resultTooLarge, state }: Run): string {
  if (resultTooLarge) return "It is larger than an answer: the results of the steps are at their tasks.";
  if (state === "running") return "None yet: the run is not over.";
  return state === "succeeded" ? "null" : `None: the run ${state === "failed" ? "failed" : "was cancelled"}.`;
}

function JobLink({ name }: { readonly name: string }) {
  return (
    <Link className="link" href={`/runs?job=${encodeURIComponent(name)}`}>
      {name}
    </Link>
  );
}

function Labels({ labels }: { readonly labels: readonly (readonly [string, string])[] }) {
  return (
    <>
      {labels.map(([name, value]) => (
        <div key={name} className="mono">
          {name}={value}
        </div>
      ))}
    </>
  );
}
