/** How the deployment does now, and did in the last quarter of an hour. */
import "./overview-page.css";
import Play from "lucide-react/icons/play";
import Rocket from "lucide-react/icons/rocket";
import type { Overview } from "../../client/index.ts";
import { ButtonLink } from "../components/button.tsx";
import { Card } from "../components/card.tsx";
import { Empty, ErrorBox } from "../components/notice.tsx";
import { Page } from "../components/page.tsx";
import { Table } from "../components/table.tsx";
import { queueHref } from "../queues/queue-columns.tsx";
import { Charts } from "./charts.tsx";
import { FAILURE_COLUMNS, failureHref } from "./failure-columns.tsx";
import { Figures } from "./figures.tsx";
import { QUEUE_COLUMNS } from "./queue-columns.tsx";
import { useOverview } from "./use-overview.ts";

export default function OverviewPage() {
  const { overview, error, isAway, retry } = useOverview();
  if (overview === undefined && error !== null) {
    return (
      <Page title="Overview">
        <Card>
          <ErrorBox title="The overview could not be read" error={error} retry={retry} />
        </Card>
      </Page>
    );
  }
  return (
    <Page
      title="Overview"
      actions={
        <>
          <LiveSign isAway={isAway} />
          <ButtonLink href="/start" icon={Play} look="primary">
            Start
          </ButtonLink>
        </>
      }
    >
      {overview !== undefined && isUntouched(overview) && <FirstSteps />}
      <Figures overview={overview} />
      <Charts overview={overview} />
      <div className="overview-tables">
        <Card title="Queues" flush>
          <Table
            label="Queues"
            rows={overview?.queues}
            columns={QUEUE_COLUMNS}
            keyOf={({ name }) => name}
            hrefOf={({ name }) => queueHref(name)}
            empty={<Empty title="No queue is configured" />}
          />
        </Card>
        <Card title="Failures of the last hour" flush>
          <Table
            label="Failures"
            rows={overview?.failures}
            columns={FAILURE_COLUMNS}
            keyOf={({ task, code }) => `${task} ${code}`}
            hrefOf={failureHref}
            rowPx={52}
            empty={<Empty title="Nothing failed" />}
          />
        </Card>
      </div>
    </Page>
  );
}

function LiveSign({ isAway }: { readonly isAway: boolean }) {
  return (
    <span className={isAway ? "live-sign live-away" : "live-sign"} role="status">
      <i />
      {isAway ? "The database does not answer" : "Live"}
    </span>
  );
}

function isUntouched({ totals, tasks, runs }: Overview): boolean {
  const counts = [
    totals.succeeded,
    totals.failed,
    totals.cancelled,
    totals.skipped,
    ...Object.values(tasks),
    ...Object.values(runs),
  ];
  return counts.every((count) => count === 0);
}

function FirstSteps() {
  return (
    <Card>
      <Empty
        icon={Rocket}
        title="Nothing has happened here lately"
        command={`npx taskiq-aws task run sleep '{"duration_seconds": 3}' --wait`}
        actions={
          <>
            <ButtonLink href="/start" icon={Play} look="primary">
              Start a task or a job
            </ButtonLink>
            <ButtonLink href="/tasks">All tasks</ButtonLink>
          </>
        }
      >
        Run a task in a terminal, or from here, and watch it on this page:
      </Empty>
    </Card>
  );
}
