/** The name of a run with its state. */
import { Link } from "wouter";
import type { Run } from "../../client/index.ts";
import type { RunState } from "../../model/run.ts";
import { Id } from "../components/copy.tsx";
import { RunStateBadge } from "./run-columns.tsx";

export function RunHeading({ run, state }: { readonly run: Run; readonly state: RunState }) {
  return (
    <>
      {run.job === null ? "A graph" : <Link href={`/start/job/${encodeURIComponent(run.job)}`}>{run.job}</Link>}
      <span className="muted">
        <Id id={run.runId} />
      </span>
      <RunStateBadge run={{ state, cancelRequested: run.cancelRequested }} />
    </>
  );
}
