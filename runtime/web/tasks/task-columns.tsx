/** How a task looks in a list. */
import { Link } from "wouter";
import type { TaskSummary } from "../../client/index.ts";
import { shortId } from "../components/copy.tsx";
import { Progress } from "../components/meter.tsx";
import { StateBadge } from "../components/state-badge.tsx";
import type { Column } from "../components/table.tsx";
import { Elapsed, None, Time } from "../components/time.tsx";
import "./task-columns.css";

export const TASK_COLUMNS: readonly Column<TaskSummary>[] = [
  { key: "state", title: "State", width: "130px", cell: (task) => <TaskState task={task} /> },
  {
    key: "task",
    title: "Task",
    cell: ({ task, taskId }) => (
      <span className="task-name">
        <Link href={taskHref(taskId)}>{task}</Link>
        <span className="mono faint" title={taskId}>
          {shortId(taskId)}
        </span>
      </span>
    ),
  },
  { key: "note", title: "About it", width: "30%", hide: "small", cell: (task) => <TaskNote task={task} /> },
  {
    key: "queue",
    title: "Queue",
    width: "120px",
    hide: "small",
    cell: ({ queue }) => <Link href={`/queues/${encodeURIComponent(queue)}`}>{queue}</Link>,
  },
  {
    key: "attempt",
    title: "Attempt",
    width: "74px",
    align: "end",
    hide: "medium",
    cell: ({ attempt }) => (attempt === 0 ? <None /> : attempt),
  },
  {
    key: "took",
    title: "Took",
    width: "96px",
    align: "end",
    hide: "small",
    cell: ({ startedAt, finishedAt, state }) => (
      <Elapsed from={state === "queued" ? null : startedAt} to={finishedAt} />
    ),
  },
  { key: "created", title: "Accepted", width: "92px", align: "end", cell: ({ createdAt }) => <Time at={createdAt} /> },
];

export function taskHref(id: string): string {
  return `/tasks/${encodeURIComponent(id)}`;
}

/** The state, and whether it is being stopped. */
export function TaskState({
  task: { state, cancelRequested },
}: {
  readonly task: Pick<TaskSummary, "state" | "cancelRequested">;
}) {
  return <StateBadge state={state} {...(cancelRequested && state === "running" && { label: "stopping" })} />;
}

/** The one thing to know about it now. */
function TaskNote({ task }: { readonly task: TaskSummary }) {
  const { state, error, progress, progressMessage, dueAt, createdAt, cancelReason } = task;
  if (state === "running") {
    return (
      <span className="task-note">
        {progress !== null && <Progress share={progress} />}
        <span className="truncate muted">{progressMessage ?? (progress === null ? task.worker : null)}</span>
      </span>
    );
  }
  if (state === "cancelled" && cancelReason !== null) return <span className="muted">{cancelReason}</span>;
  if (error !== null && state !== "succeeded") {
    return (
      <span className="muted" title={error.message}>
        <code>{error.code}</code> {error.message}
      </span>
    );
  }
  if (state === "queued" && dueAt.getTime() - createdAt.getTime() > 1_000) {
    return (
      <span className="muted">
        due <Time at={dueAt} />
      </span>
    );
  }
  return (
    <span className="faint">
      {Object.entries(task.labels)
        .map((pair) => pair.join("="))
        .join("  ")}
    </span>
  );
}
