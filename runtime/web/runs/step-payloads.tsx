/** What the task of a step took and gave, and the attempts that came to nothing. */

import { isTerminal, type TaskError, type TaskState } from "../../model/task.ts";
import { useApi } from "../api/api-provider.tsx";
import { REFRESH_MS, usePolled } from "../api/use-polled.ts";
import { FailureLine } from "../components/failure-line.tsx";
import { JsonView } from "../components/json-view.tsx";
import { Skeleton } from "../components/skeleton.tsx";
import { StateBadge } from "../components/state-badge.tsx";
import { Time } from "../components/time.tsx";
import type { LiveStep } from "./live-step.ts";

export type StepPayloadsProps = {
  readonly taskId: string;
  /** As the events tell it: the task is read again when they change. */
  readonly state: TaskState;
  readonly attempt: number;
};

export function StepPayloads({ taskId, state, attempt }: StepPayloadsProps) {
  const { client } = useApi();
  const { data: task, error } = usePolled({
    key: ["task", taskId, state, attempt],
    look: () => client.get(taskId),
    everyMs: isTerminal(state) ? false : REFRESH_MS,
    keep: true,
  });
  if (task === undefined) return error === null ? <Skeleton height={80} /> : <FailureLine error={error} />;
  return (
    <>
      <section className="panel-part">
        <h3>Input</h3>
        <JsonView value={task.input} what="input" />
      </section>
      {task.state === "succeeded" && (
        <section className="panel-part">
          <h3>Result</h3>
          <JsonView value={task.result} what="result" />
        </section>
      )}
    </>
  );
}

/** The error of the last attempt, and the attempts before it. */
export function StepAttempts({ step: { error, earlier, state } }: { readonly step: LiveStep }) {
  return (
    <>
      {error !== null && state !== "succeeded" && <ErrorText error={error} />}
      {earlier.length > 0 && (
        <section className="panel-part">
          <h3>Earlier attempts</h3>
          <ol className="panel-attempts">
            {earlier.map(({ attempt, outcome, endedMs, error: why }) => (
              <li key={attempt}>
                <span className="row">
                  <span className="muted">#{attempt}</span> <StateBadge state={outcome} />{" "}
                  <Time at={new Date(endedMs)} />
                </span>
                {why !== null && (
                  <span className="muted">
                    <code>{why.code}</code> {why.message}
                  </span>
                )}
              </li>
            ))}
          </ol>
        </section>
      )}
    </>
  );
}

function ErrorText({ error: { code, type, message } }: { readonly error: TaskError }) {
  return (
    <div className="failure-line">
      <div className="grow">
        <code>
          {code} · {type}
        </code>
        <p>{message}</p>
      </div>
    </div>
  );
}
