/** What is known of a task beside its payloads. */
import { Link } from "wouter";
import type { Task } from "../../client/index.ts";
import { Facts } from "../components/card.tsx";
import { Id } from "../components/copy.tsx";
import { countedNoun } from "../components/number-text.ts";
import { Duration, Elapsed, ExactTime, None } from "../components/time.tsx";
import { Labels } from "./labels.tsx";

export function TaskFacts({ task }: { readonly task: Task }) {
  const { runId, stepKey, traceId, worker, orderingKey, queue, failures, losses } = task;
  const isDelayed = task.dueAt.getTime() - task.createdAt.getTime() > 1_000;
  return (
    <Facts
      facts={[
        runId === null
          ? undefined
          : ["Run", <Id key="run" id={runId} href={`/runs/${runId}?step=${encodeURIComponent(stepKey ?? "")}`} />],
        stepKey === null ? undefined : ["Step", <code key="step">{stepKey}</code>],
        [
          "Queue",
          <Link key="queue" className="link" href={`/queues/${encodeURIComponent(queue)}`}>
            {queue}
          </Link>,
        ],
        [
          "Worker",
          worker === null ? (
            <None key="worker" />
          ) : (
            <Link key="worker" className="link" href={`/workers/${encodeURIComponent(worker)}`}>
              {worker}
            </Link>
          ),
        ],
        ["Accepted", <ExactTime key="accepted" at={task.createdAt} />],
        isDelayed ? ["Due", <ExactTime key="due" at={task.dueAt} />] : undefined,
        ["Started", <ExactTime key="started" at={task.startedAt} />],
        ["Finished", <ExactTime key="finished" at={task.finishedAt} />],
        ["Took", <Elapsed key="took" from={task.state === "queued" ? null : task.startedAt} to={task.finishedAt} />],
        ["Attempt", attemptText(task)],
        failures > 0 ? ["Failures", failures] : undefined,
        losses > 0 ? ["Lost workers", losses] : undefined,
        ["Timeout", <Duration key="timeout" ms={task.timeoutMs} />],
        ["Priority", task.priority],
        orderingKey === null || orderingKey === task.taskId
          ? undefined
          : ["Ordering key", <code key="ordering">{orderingKey}</code>],
        traceId === null ? undefined : ["Trace", <Id key="trace" id={traceId} whole />],
        ["Labels", <Labels key="labels" labels={task.labels} />],
      ]}
    />
  );
}

function attemptText({ attempt, maxAttempts }: Task): string {
  if (attempt === 0) return "none yet";
  return maxAttempts === null ? String(attempt) : `${attempt}, gives up after ${countedNoun(maxAttempts, "failure")}`;
}
