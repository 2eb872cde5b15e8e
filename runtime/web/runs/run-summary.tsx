/** The figures of a run, and what is wrong with it. */
import "./run-summary.css";
import TriangleAlert from "lucide-react/icons/triangle-alert";
import { Link } from "wouter";
import type { Run } from "../../client/index.ts";
import { healthOf, NO_STEPS, type RunState } from "../../model/run.ts";
import { Stat, Stats } from "../components/card.tsx";
import { shortId } from "../components/copy.tsx";
import { FailureLine } from "../components/failure-line.tsx";
import { countText } from "../components/number-text.ts";
import { Elapsed, Time } from "../components/time.tsx";
import type { LiveRun } from "./live-run.ts";
import { runHref } from "./run-columns.tsx";
import { CountsMeter } from "./run-counts.tsx";
import type { LiveView } from "./use-live-run.ts";

export type RunSummaryCardProps = {
  readonly run: Run;
  readonly live: LiveView;
  readonly state: RunState;
  readonly pickStep: (key: string) => void;
};

const MOST_FAILED = 4;

export function RunSummaryCard({ run, live, state, pickStep }: RunSummaryCardProps) {
  const counts = { ...NO_STEPS, ...(live.run.counts ?? run.counts) };
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const over = counts.succeeded + counts.failed + counts.cancelled + counts.skipped;
  const error = live.run.error ?? run.error;
  const isStalled = live.isCaughtUp && healthOf(state, counts) === "stalled";
  return (
    <div className="run-summary">
      <Stats>
        <Stat label="Steps over" note={<CountsMeter counts={counts} total={total} />}>
          {countText(over)} <span className="run-summary-of">of {countText(total)}</span>
        </Stat>
        <Stat label="Running" note={`${countText(counts.queued)} queued, ${countText(counts.blocked)} blocked`}>
          {countText(counts.running)}
        </Stat>
        <Stat label="Failed" note={`${countText(counts.skipped)} skipped, ${countText(counts.cancelled)} cancelled`}>
          <span className={counts.failed > 0 ? "run-summary-failed" : ""}>{countText(counts.failed)}</span>
        </Stat>
        <Stat label="Took" note={run.mode === "simple" ? "as one task" : `priority ${run.priority}`}>
          <Elapsed from={run.createdAt} to={run.finishedAt} />
        </Stat>
        <Stat
          label="Accepted"
          note={
            run.parentRunId !== null && (
              <>
                repeats{" "}
                <Link className="link mono" href={runHref(run.parentRunId)}>
                  {shortId(run.parentRunId)}
                </Link>
              </>
            )
          }
        >
          <Time at={run.createdAt} />
        </Stat>
      </Stats>
      {error !== null && <Alert code={error.code}>{error.message}</Alert>}
      {counts.failed > 0 && <FailedSteps live={live.run} pickStep={pickStep} />}
      {isStalled && (
        <Alert code="stalled">
          Steps are open, but nothing runs and nothing is queued. Resume rings for what waits; look at the log of the
          executor.
        </Alert>
      )}
      {live.error !== null && <FailureLine error={live.error} />}
    </div>
  );
}

function Alert({ code, children }: { readonly code: string; readonly children: string }) {
  return (
    <div className="failure-line">
      <TriangleAlert size={15} aria-hidden="true" />
      <div className="grow">
        <code>{code}</code>
        <p>{children}</p>
      </div>
    </div>
  );
}

/** The first ones, with why. */
function FailedSteps({ live, pickStep }: { readonly live: LiveRun; readonly pickStep: (key: string) => void }) {
  const failed = live.shape.order.filter((place) => live.steps[place]?.state === "failed");
  if (failed.length === 0) return null;
  return (
    <ul className="failure-line run-failures">
      {failed.slice(0, MOST_FAILED).map((place) => {
        const key = live.shape.steps[place]?.key ?? "";
        const error = live.steps[place]?.error;
        return (
          <li key={key}>
            <TriangleAlert size={15} aria-hidden="true" />
            <button type="button" className="run-failure mono" onClick={() => pickStep(key)}>
              {key}
            </button>
            <span className="truncate" title={error?.message}>
              {error === null || error === undefined ? "failed" : `${error.code}: ${error.message}`}
            </span>
          </li>
        );
      })}
      {failed.length > MOST_FAILED && (
        <li>
          <Link href="?tab=steps&state=failed" className="link">
            and {countText(failed.length - MOST_FAILED)} more
          </Link>
        </li>
      )}
    </ul>
  );
}
