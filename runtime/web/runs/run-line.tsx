/** The runs that repeat each other: the first one, and what was executed again from it, newest first. */
import type { Run, RunSummary } from "../../client/index.ts";
import { useApi } from "../api/api-provider.tsx";
import { usePolled } from "../api/use-polled.ts";
import { Card } from "../components/card.tsx";
import { FailureLine } from "../components/failure-line.tsx";
import { Table } from "../components/table.tsx";
import { RUN_COLUMNS, runHref } from "./run-columns.tsx";

type Line = {
  readonly runs: readonly RunSummary[];
  /** There are more runs of this job than were looked at. */
  readonly isCut: boolean;
};

/** The API keeps no list of a line: it is found among the newest runs of the job. */
const LOOKED_AT = 200;

export function RunLine({ run }: { readonly run: Run }) {
  const { client } = useApi();
  const { rootRunId, job } = run;
  const look = async (): Promise<Line> => {
    const root: RunSummary = rootRunId === run.runId ? run : await client.runs.get(rootRunId, { steps: 0 });
    const filter = { ...(job !== null && { job }), createdAfter: root.createdAt };
    const page = await client.runs.page(filter, { limit: LOOKED_AT });
    const others = page.runs.filter((one) => one.rootRunId === rootRunId && one.runId !== rootRunId);
    return { runs: [...others, root], isCut: page.nextCursor !== null };
  };
  const { data, error } = usePolled({ key: ["run-line", run.runId], look });
  if (data !== undefined && data.runs.length === 1 && !data.isCut) return null;
  return (
    <Card title="Runs of this line" flush>
      {error !== null && data === undefined ? (
        <FailureLine error={error} />
      ) : (
        <Table
          label="Runs of this line"
          rows={data?.runs}
          columns={RUN_COLUMNS}
          keyOf={({ runId }) => runId}
          hrefOf={({ runId }) => runHref(runId)}
          selectedKey={run.runId}
          empty={null}
          {...(data?.isCut === true && {
            foot: `Found among the newest ${LOOKED_AT} runs since the first of the line.`,
          })}
        />
      )}
    </Card>
  );
}
