/** The queues: what waits and runs in each, who serves it, and what lies in its dead-letter queue. */
import Boxes from "lucide-react/icons/boxes";
import { useApi } from "../api/api-provider.tsx";
import { usePolled } from "../api/use-polled.ts";
import { Card } from "../components/card.tsx";
import { Empty, ErrorBox } from "../components/notice.tsx";
import { Page } from "../components/page.tsx";
import { Table } from "../components/table.tsx";
import { QUEUE_COLUMNS, queueHref } from "./queue-columns.tsx";

export default function QueuesPage() {
  const { client } = useApi();
  const { data, error, refetch } = usePolled({ key: ["queues"], look: () => client.queues.list() });
  return (
    <Page title="Queues">
      <Card flush>
        {data === undefined && error !== null ? (
          <ErrorBox title="The queues could not be read" error={error} retry={() => void refetch()} />
        ) : (
          <Table
            label="Queues"
            rows={data}
            columns={QUEUE_COLUMNS}
            keyOf={({ name }) => name}
            hrefOf={({ name }) => queueHref(name)}
            rowPx={46}
            empty={
              <Empty icon={Boxes} title="No queue is configured">
                Queues stand in the variable TASKIQ_QUEUES of the deployment.
              </Empty>
            }
          />
        )}
      </Card>
    </Page>
  );
}
