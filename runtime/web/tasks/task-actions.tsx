/** What can be done with one task. */
import Ban from "lucide-react/icons/ban";
import RotateCcw from "lucide-react/icons/rotate-ccw";
import { useState } from "react";
import type { Task } from "../../client/index.ts";
import { isTerminal, type TaskState, type TerminalState } from "../../model/task.ts";
import { useApi } from "../api/api-provider.tsx";
import { ActionButton } from "../components/action-button.tsx";
import { TextField } from "../components/field.tsx";
import { taskHref } from "./task-columns.tsx";

export function CancelTask({ task }: { readonly task: Task }) {
  const { client } = useApi();
  const [reason, setReason] = useState("");
  const { taskId, state, cancelRequested } = task;
  const refusal = isTerminal(state) ? endText(state) : cancelRequested ? "It is being stopped." : null;
  return (
    <ActionButton
      label="Cancel"
      icon={Ban}
      refusal={refusal}
      confirm={{
        title: `Cancel ${task.task}?`,
        label: "Cancel the task",
        danger: true,
        body: (
          <>
            <p>
              {state === "running"
                ? "It runs. Its worker is told to stop it within two seconds, and ends it after its grace time."
                : "It has not started, and never will."}
              {task.runId !== null && " Steps of its run that need it will not run."}
            </p>
            <TextField
              label="Reason"
              note="For whoever looks at it later. May be empty."
              value={reason}
              onChange={setReason}
              autoFocus
            />
          </>
        ),
      }}
      act={async () => {
        const text = reason.trim();
        const outcome = await client.tasks.cancel(taskId, text === "" ? {} : { reason: text });
        const link = { label: "Show the task", href: taskHref(taskId) };
        return {
          title: outcome.state === "running" ? "The task is being stopped" : `The task is ${outcome.state}`,
          link,
        };
      }}
    />
  );
}

export function RetryTask({ task }: { readonly task: Task }) {
  const { client } = useApi();
  const { taskId, state, runId } = task;
  return (
    <ActionButton
      label="Retry"
      icon={RotateCcw}
      refusal={retryRefusal(state, runId)}
      confirm={{
        title: `Run ${task.task} again?`,
        label: "Retry the task",
        body: <p>The same task is queued again with the same input and a new budget of attempts.</p>,
      }}
      act={async () => {
        const outcome = await client.tasks.retry(taskId);
        return { title: `The task is ${outcome.state}`, link: { label: "Show the task", href: taskHref(taskId) } };
      }}
    />
  );
}

function retryRefusal(state: TaskState, runId: string | null): string | null {
  if (!isTerminal(state)) return "The task is not over yet.";
  if (runId !== null) return "It is a step of a run: re-execute the run from its failure instead.";
  return state === "failed" || state === "cancelled" ? null : endText(state);
}

function endText(state: TerminalState): string {
  return `The task ${state === "cancelled" || state === "skipped" ? "was" : "has"} ${state}.`;
}
