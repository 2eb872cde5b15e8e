/** One task: what it was given, what became of it, and when. */
import FileText from "lucide-react/icons/file-text";
import ListChecks from "lucide-react/icons/list-checks";
import type { ReactNode } from "react";
import { ApiError, type Task } from "../../client/index.ts";
import { useSession } from "../api/session.tsx";
import { ButtonLink } from "../components/button.tsx";
import { Card } from "../components/card.tsx";
import { Id } from "../components/copy.tsx";
import { ErrorDetail } from "../components/error-detail.tsx";
import { JsonView } from "../components/json-view.tsx";
import { Progress } from "../components/meter.tsx";
import { Empty, ErrorBox } from "../components/notice.tsx";
import { Page } from "../components/page.tsx";
import { RowsSkeleton } from "../components/skeleton.tsx";
import { CancelTask, RetryTask } from "./task-actions.tsx";
import { TaskState } from "./task-columns.tsx";
import { TaskFacts } from "./task-facts.tsx";
import "./task-page.css";
import { TaskTimeline } from "./task-timeline.tsx";
import { useTask } from "./use-task.ts";

const CRUMBS = [{ label: "Tasks", href: "/tasks" }];

export default function TaskPage({ id }: { readonly id: string }) {
  const { data: task, error, refetch } = useTask(id);
  const { logsUrl } = useSession();
  if (task === undefined) {
    return (
      <Page title="Task" crumbs={CRUMBS}>
        <Card>
          {error === null ? <RowsSkeleton rows={6} /> : <NoTask error={error} retry={() => void refetch()} />}
        </Card>
      </Page>
    );
  }
  return (
    <Page
      title={task.task}
      crumbs={CRUMBS}
      heading={
        <>
          {task.task}
          <TaskState task={task} />
          <span className="task-id">
            <Id id={task.taskId} whole />
          </span>
        </>
      }
      actions={
        <>
          {logsUrl !== null && (
            <ButtonLink href={logsUrl.replaceAll("{taskId}", encodeURIComponent(id))} icon={FileText}>
              Logs
            </ButtonLink>
          )}
          <RetryTask task={task} />
          <CancelTask task={task} />
        </>
      }
    >
      <div className="task-parts">
        <div className="stack">
          <Outcome task={task} />
          <Card title="Timeline">
            <TaskTimeline task={task} />
          </Card>
          <Card title="Input">
            <JsonView value={task.input} what="input" none="It was given none." />
          </Card>
        </div>
        <Card title="About">
          <TaskFacts task={task} />
        </Card>
      </div>
    </Page>
  );
}

/** Of a task that runs, how far it is; of one that ended, how. */
function Outcome({ task }: { readonly task: Task }): ReactNode {
  const { state, progress, progressMessage, result, error, cancelRequested, cancelReason } = task;
  if (state === "running") {
    return (
      <Card title={cancelRequested ? "Being stopped" : "Progress"}>
        <div className="stack" aria-live="polite">
          {progress !== null && <Progress share={progress} />}
          <p className="muted">
            {progressMessage ?? (progress === null ? "It runs, and has not said how far it is." : "")}
          </p>
        </div>
      </Card>
    );
  }
  if (state === "succeeded") {
    return (
      <Card title="Result">
        <JsonView value={result} what="result" none="It returned nothing." />
      </Card>
    );
  }
  if (state === "cancelled") {
    return (
      <Card title="Cancelled">
        {cancelReason === null ? <p className="muted">Nobody said why.</p> : <p>{cancelReason}</p>}
      </Card>
    );
  }
  if (error === null) return null;
  return (
    <Card title={state === "failed" ? "Error" : "Error of the last attempt"}>
      <ErrorDetail error={error} />
    </Card>
  );
}

function NoTask({ error, retry }: { readonly error: unknown; readonly retry: () => void }) {
  if (!(error instanceof ApiError) || error.code !== "task_not_found") {
    return <ErrorBox title="The task could not be read" error={error} retry={retry} />;
  }
  return (
    <Empty icon={ListChecks} title="No task has this id" actions={<ButtonLink href="/tasks">To the tasks</ButtonLink>}>
      It may belong to another tenant, or be gone: finished tasks are deleted after the retention time.
    </Empty>
  );
}
