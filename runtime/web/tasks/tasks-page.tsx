/** The tasks, newest first: filtered, page by page, and changed all at once. */
import ListChecks from "lucide-react/icons/list-checks";
import Play from "lucide-react/icons/play";
import type { TaskPage } from "../../client/index.ts";
import { useApi } from "../api/api-provider.tsx";
import { usePolled } from "../api/use-polled.ts";
import { ButtonLink } from "../components/button.tsx";
import { Card } from "../components/card.tsx";
import { Empty, ErrorBox } from "../components/notice.tsx";
import { Page } from "../components/page.tsx";
import { Pager } from "../components/pager.tsx";
import { Table } from "../components/table.tsx";
import { useParams } from "../route/params.ts";
import { BulkActions } from "./bulk-actions.tsx";
import { TASK_COLUMNS, taskHref } from "./task-columns.tsx";
import { readTaskFilter, TASK_PARAMS } from "./task-filter.ts";
import { TaskFilterBar } from "./task-filter-bar.tsx";

const PAGE_TASKS = 100;
/** A page may be empty although there are more: the API looks at so many tasks only. */
const MOST_LOOKS = 5;

export default function TasksPage() {
  const { client, clock } = useApi();
  const [params] = useParams();
  const at = params.get("at");
  const look = async (): Promise<TaskPage> => {
    const { filter } = readTaskFilter(params, clock.wallMs());
    let page = await client.tasks.list(filter, { limit: PAGE_TASKS, ...(at !== null && { cursor: at }) });
    for (let looks = 1; looks < MOST_LOOKS && page.tasks.length === 0 && page.nextCursor !== null; looks++) {
      page = await client.tasks.list(filter, { limit: PAGE_TASKS, cursor: page.nextCursor });
    }
    return page;
  };
  const { data, error, refetch } = usePolled({ key: ["tasks", params.toString()], look, keep: true });
  const isFiltered = TASK_PARAMS.some((name) => name !== "at" && params.has(name));
  return (
    <Page
      title="Tasks"
      actions={
        <>
          <BulkActions />
          <ButtonLink href="/start" icon={Play} look="primary">
            Run a task
          </ButtonLink>
        </>
      }
      bar={<TaskFilterBar />}
    >
      <Card flush>
        {data === undefined && error !== null ? (
          <ErrorBox title="The tasks could not be read" error={error} retry={() => void refetch()} />
        ) : (
          <Table
            label="Tasks"
            rows={data?.tasks}
            columns={TASK_COLUMNS}
            keyOf={({ taskId }) => taskId}
            hrefOf={({ taskId }) => taskHref(taskId)}
            empty={<NoTasks isFiltered={isFiltered} mayBeMore={data?.nextCursor != null} />}
          />
        )}
        <Pager at={at} next={data?.nextCursor ?? null} />
      </Card>
    </Page>
  );
}

function NoTasks({ isFiltered, mayBeMore }: { readonly isFiltered: boolean; readonly mayBeMore: boolean }) {
  if (mayBeMore) {
    return (
      <Empty icon={ListChecks} title="None among the newest">
        The API looks at a bounded number of tasks at a time. “Older” looks further.
      </Empty>
    );
  }
  if (isFiltered) {
    return (
      <Empty icon={ListChecks} title="No task matches the filter">
        Names have to be exact. Finished tasks are deleted after the retention time.
      </Empty>
    );
  }
  return (
    <Empty
      icon={ListChecks}
      title="There are no tasks yet"
      command={`npx taskiq-aws task run sleep '{"duration_seconds": 3}' --wait`}
      actions={
        <ButtonLink href="/start" icon={Play}>
          Run a task from here
        </ButtonLink>
      }
    >
      Run the first one in a terminal, or from here:
    </Empty>
  );
}
