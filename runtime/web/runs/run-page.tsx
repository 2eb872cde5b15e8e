/** One run: its steps as a graph, on a timeline or as a table, live; and what can be done with it. */
import { useCallback } from "react";
import { useApi } from "../api/api-provider.tsx";
import { usePolled } from "../api/use-polled.ts";
import { shortId } from "../components/copy.tsx";
import { ErrorBox } from "../components/notice.tsx";
import { Page } from "../components/page.tsx";
import { RowsSkeleton } from "../components/skeleton.tsx";
import { RunView } from "./run-view.tsx";

/** What its events tell is not waited for. */
const LOOK_MS = 60_000;

export default function RunPage({ id }: { readonly id: string }) {
  const { client } = useApi();
  const run = usePolled({
    key: ["run", id],
    look: () => client.runs.get(id, { steps: 0 }),
    everyMs: LOOK_MS,
  });
  const graph = usePolled({ key: ["run-graph", id], look: () => client.runs.graph(id), everyMs: false });
  const { refetch: lookAgain } = run;
  const onEnd = useCallback(() => void lookAgain(), [lookAgain]);
  const error = run.error ?? graph.error;
  if (run.data !== undefined && graph.data !== undefined) {
    return <RunView run={run.data} graph={graph.data.graph} onEnd={onEnd} />;
  }
  return (
    <Page title={`Run ${shortId(id)}`} crumbs={[{ label: "Runs", href: "/runs" }]}>
      {error === null ? (
        <RowsSkeleton />
      ) : (
        <ErrorBox
          title="The run could not be read"
          error={error}
          retry={() => void Promise.all([run.refetch(), graph.refetch()])}
        />
      )}
    </Page>
  );
}
