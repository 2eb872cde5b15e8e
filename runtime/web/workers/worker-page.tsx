/** One worker, with what it runs now. */
import "./worker-page.css";
import Server from "lucide-react/icons/server";
import { ApiError, type Worker } from "../../client/index.ts";
import { useApi } from "../api/api-provider.tsx";
import { useRefusal } from "../api/session.tsx";
import { usePolled } from "../api/use-polled.ts";
import { ButtonLink } from "../components/button.tsx";
import { Card, Facts } from "../components/card.tsx";
import { Empty, ErrorBox } from "../components/notice.tsx";
import { countedNoun } from "../components/number-text.ts";
import { Page } from "../components/page.tsx";
import { RowsSkeleton } from "../components/skeleton.tsx";
import { StateBadge } from "../components/state-badge.tsx";
import { Table } from "../components/table.tsx";
import { ExactTime } from "../components/time.tsx";
import { TASK_COLUMNS, taskHref } from "../tasks/task-columns.tsx";
import { WorkerSlots } from "./workers-page.tsx";

const CRUMBS = [{ label: "Workers", href: "/workers" }];
/** More than the slots of any worker. */
const MOST_TASKS = 200;

export default function WorkerPage({ name }: { readonly name: string }) {
  const { client } = useApi();
  const refusal = useRefusal("read", true);
  const look = async () => {
    const [worker, { tasks }] = await Promise.all([
      client.workers.get(name),
      client.tasks.list({ states: ["running"] }, { limit: MOST_TASKS }),
    ]);
    return { worker, tasks: tasks.filter((task) => task.worker === name) };
  };
  const { data, error, refetch } = usePolled({ key: ["worker", name], look, enabled: refusal === null });
  if (data === undefined) {
    return (
      <Page title={name} crumbs={CRUMBS}>
        <Card>
          {refusal !== null ? (
            <Empty icon={Server} title="The workers serve all tenants">
              {refusal}
            </Empty>
          ) : error === null ? (
            <RowsSkeleton rows={5} />
          ) : (
            <NoWorker error={error} retry={() => void refetch()} />
          )}
        </Card>
      </Page>
    );
  }
  const { worker, tasks } = data;
  const others = Math.max(0, worker.running - tasks.length);
  return (
    <Page
      title={name}
      crumbs={CRUMBS}
      heading={
        <>
          {name}
          <StateBadge state={worker.state} />
        </>
      }
    >
      {worker.state === "lost" && (
        <p className="muted">
          Three heartbeats are missing. What it ran goes on elsewhere when the leases have run out; the worker stays in
          the list for a day.
        </p>
      )}
      <Card title="About">
        <WorkerFacts worker={worker} />
      </Card>
      <Card title={countedNoun(worker.running, "running task")} flush>
        <Table
          label="Running tasks"
          rows={tasks}
          columns={TASK_COLUMNS}
          keyOf={({ taskId }) => taskId}
          hrefOf={({ taskId }) => taskHref(taskId)}
          empty={
            <Empty title={others === 0 ? "It runs nothing at the moment" : "It runs tasks of other tenants only"} />
          }
          {...(others > 0 && tasks.length > 0 && { foot: `and ${others} more, as it said with its last heartbeat` })}
        />
      </Card>
    </Page>
  );
}

function WorkerFacts({ worker }: { readonly worker: Worker }) {
  return (
    <Facts
      facts={[
        [
          "Slots in use",
          <span key="slots" className="worker-slots">
            <WorkerSlots worker={worker} />
          </span>,
        ],
        ["Queues", worker.queues.join(", ")],
        ["Version", worker.version],
        worker.revision === null ? undefined : ["Task definition", `revision ${worker.revision}`],
        ["Started", <ExactTime key="started" at={worker.startedAt} />],
        ["Heartbeat", <ExactTime key="beat" at={worker.beatAt} />],
      ]}
    />
  );
}

function NoWorker({ error, retry }: { readonly error: unknown; readonly retry: () => void }) {
  if (!(error instanceof ApiError) || error.code !== "worker_not_found") {
    return <ErrorBox title="The worker could not be read" error={error} retry={retry} />;
  }
  return (
    <Empty
      icon={Server}
      title="No worker has this name"
      actions={<ButtonLink href="/workers">To the workers</ButtonLink>}
    >
      One that stopped in good order is forgotten; a lost one after a day.
    </Empty>
  );
}
