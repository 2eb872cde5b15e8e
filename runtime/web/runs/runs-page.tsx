/** The runs, newest first: filtered, and page by page. */
import Play from "lucide-react/icons/play";
import Workflow from "lucide-react/icons/workflow";
import type { RunPage } from "../../client/index.ts";
import { RUN_STATES } from "../../model/run.ts";
import { useApi } from "../api/api-provider.tsx";
import { usePolled } from "../api/use-polled.ts";
import { ButtonLink } from "../components/button.tsx";
import { Card } from "../components/card.tsx";
import { FilterBar, SelectFilter, StateFilter, TextFilter } from "../components/filter-bar.tsx";
import { Empty, ErrorBox } from "../components/notice.tsx";
import { Page } from "../components/page.tsx";
import { Pager } from "../components/pager.tsx";
import { Table } from "../components/table.tsx";
import { useParams } from "../route/params.ts";
import { BETWEEN, SPANS } from "../tasks/task-filter.ts";
import { TimesFilter } from "../tasks/times-filter.tsx";
import { RUN_COLUMNS, runHref } from "./run-columns.tsx";
import { RUN_PARAMS, readRunFilter } from "./run-filter.ts";

const PAGE_RUNS = 100;
/** A page may be empty although there are more: the API looks at so many runs only. */
const MOST_LOOKS = 5;
const TIMES = [["", "Any time"], ...SPANS.map(([name, text]) => [name, text] as const), [BETWEEN, "Between…"]] as const;

export default function RunsPage() {
  const { client, clock } = useApi();
  const [params] = useParams();
  const at = params.get("at");
  const look = async (): Promise<RunPage> => {
    const { filter } = readRunFilter(params, clock.wallMs());
    let page = await client.runs.page(filter, { limit: PAGE_RUNS, ...(at !== null && { cursor: at }) });
    for (let looks = 1; looks < MOST_LOOKS && page.runs.length === 0 && page.nextCursor !== null; looks++) {
      page = await client.runs.page(filter, { limit: PAGE_RUNS, cursor: page.nextCursor });
    }
    return page;
  };
  const { data, error, refetch } = usePolled({ key: ["runs", params.toString()], look, keep: true });
  const isFiltered = RUN_PARAMS.some((name) => name !== "at" && params.has(name));
  return (
    <Page
      title="Runs"
      actions={
        <ButtonLink href="/start" icon={Play} look="primary">
          Start a run
        </ButtonLink>
      }
      bar={<RunFilterBar />}
    >
      <Card flush>
        {data === undefined && error !== null ? (
          <ErrorBox title="The runs could not be read" error={error} retry={() => void refetch()} />
        ) : (
          <Table
            label="Runs"
            rows={data?.runs}
            columns={RUN_COLUMNS}
            keyOf={({ runId }) => runId}
            hrefOf={({ runId }) => runHref(runId)}
            empty={<NoRuns isFiltered={isFiltered} mayBeMore={data?.nextCursor != null} />}
          />
        )}
        <Pager at={at} next={data?.nextCursor ?? null} />
      </Card>
    </Page>
  );
}

function RunFilterBar() {
  const { client } = useApi();
  const [params] = useParams();
  const jobs = usePolled({ key: ["jobs"], look: () => client.jobs.list(), everyMs: false });
  const { issues } = readRunFilter(params, 0);
  return (
    <FilterBar params={RUN_PARAMS}>
      <StateFilter states={RUN_STATES} />
      <TextFilter
        param="job"
        label="Name of the job"
        placeholder="Job"
        suggestions={jobs.data?.map(({ name }) => name) ?? []}
      />
      <TextFilter param="label" label="Labels, name=value" placeholder="label=value" issue={issues.label} />
      <SelectFilter param="since" label="Accepted" choices={TIMES} />
      {params.get("since") === BETWEEN && <TimesFilter />}
    </FilterBar>
  );
}

function NoRuns({ isFiltered, mayBeMore }: { readonly isFiltered: boolean; readonly mayBeMore: boolean }) {
  if (mayBeMore) {
    return (
      <Empty icon={Workflow} title="None among the newest">
        The API looks at a bounded number of runs at a time. “Older” looks further.
      </Empty>
    );
  }
  if (isFiltered) {
    return (
      <Empty icon={Workflow} title="No run matches the filter">
        Names have to be exact. Finished runs are deleted after the retention time.
      </Empty>
    );
  }
  return (
    <Empty
      icon={Workflow}
      title="There are no runs yet"
      command="npx taskiq-aws run start etl --watch"
      actions={
        <ButtonLink href="/start" icon={Play}>
          Start a run from here
        </ButtonLink>
      }
    >
      A run is one execution of a job, a graph of tasks. Start the first one in a terminal, or from here:
    </Empty>
  );
}
