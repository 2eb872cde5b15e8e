/** One queue: its figures, its settings, and its dead letters with their reasons. */
import Boxes from "lucide-react/icons/boxes";
import ListChecks from "lucide-react/icons/list-checks";
import type { Queue } from "../../client/index.ts";
import { useApi } from "../api/api-provider.tsx";
import { usePolled } from "../api/use-polled.ts";
import { ButtonLink } from "../components/button.tsx";
import { Card, Facts, Stat, Stats } from "../components/card.tsx";
import { Empty, ErrorBox } from "../components/notice.tsx";
import { cappedText, countText } from "../components/number-text.ts";
import { Page } from "../components/page.tsx";
import { RowsSkeleton } from "../components/skeleton.tsx";
import { StateBadge } from "../components/state-badge.tsx";
import { Duration, ExactTime, None } from "../components/time.tsx";
import { DeadLetterCard } from "./dead-letter-card.tsx";
import { PauseQueue, ResumeQueue } from "./queue-actions.tsx";
import { Known } from "./queue-columns.tsx";

const CRUMBS = [{ label: "Queues", href: "/queues" }];

export default function QueuePage({ name }: { readonly name: string }) {
  const { client } = useApi();
  // One look serves this page and the list.
  const { data, error, refetch } = usePolled({ key: ["queues"], look: () => client.queues.list() });
  const queue = data?.find((one) => one.name === name);
  if (queue === undefined) {
    return (
      <Page title={name} crumbs={CRUMBS}>
        <Card>
          {data !== undefined ? (
            <NoQueue names={data.map((one) => one.name)} />
          ) : error === null ? (
            <RowsSkeleton rows={5} />
          ) : (
            <ErrorBox title="The queue could not be read" error={error} retry={() => void refetch()} />
          )}
        </Card>
      </Page>
    );
  }
  return (
    <Page
      title={name}
      crumbs={CRUMBS}
      heading={
        <>
          {name}
          {queue.pausedAt !== null && <StateBadge state="paused" />}
        </>
      }
      actions={
        <>
          <ButtonLink href={`/tasks?${new URLSearchParams({ queue: name })}`} icon={ListChecks}>
            Its tasks
          </ButtonLink>
          {queue.pausedAt === null ? <PauseQueue queue={queue} /> : <ResumeQueue queue={queue} />}
        </>
      }
    >
      <Stats>
        <Stat
          label="Waiting"
          note={
            queue.oldestAgeMs === null ? (
              "none of them is due"
            ) : (
              <>
                oldest due for <Duration ms={queue.oldestAgeMs} />
              </>
            )
          }
        >
          {cappedText(queue.queued)}
        </Stat>
        <Stat label="Running" note={`of ${countText(queue.slots)} slots of ${countText(queue.workers)} workers`}>
          {cappedText(queue.running)}
        </Stat>
        <Stat label="Messages" note="visible in SQS">
          <Known count={queue.visible} />
        </Stat>
        <Stat label="In flight" note="received, not deleted">
          <Known count={queue.inFlight} />
        </Stat>
        <Stat label="Unsent" note="due, still in the outbox">
          {cappedText(queue.unsent)}
        </Stat>
      </Stats>
      {queue.error !== null && <p className="muted">SQS did not answer: {queue.error}</p>}
      <DeadLetterCard queue={queue} />
      <Card title="Settings">
        <Settings queue={queue} />
      </Card>
    </Page>
  );
}

function Settings({ queue }: { readonly queue: Queue }) {
  const { type, order, fair, ack, weight, maxSlots, delayByPriority, pausedAt, pausedBy } = queue;
  return (
    <Facts
      facts={[
        ["Type", type],
        [
          "Order",
          order === "priority"
            ? "by priority: a message starts the best task of the queue"
            : "named: a message starts its own task",
        ],
        ["Fair", fair ? "yes, between tenants" : "no"],
        ["Message deleted", ack === "claimed" ? "when its task is claimed" : "when its task is over"],
        ["Weight", weight],
        ["Most slots", maxSlots === null ? "all of a worker" : `${countText(maxSlots)} of a worker`],
        delayByPriority ? ["Delay", "a low priority also waits in SQS"] : undefined,
        pausedAt === null ? undefined : ["Paused", <ExactTime key="paused" at={pausedAt} />],
        pausedAt === null ? undefined : ["Paused by", pausedBy ?? <None key="by" />],
      ]}
    />
  );
}

function NoQueue({ names }: { readonly names: readonly string[] }) {
  return (
    <Empty icon={Boxes} title="No queue has this name" actions={<ButtonLink href="/queues">To the queues</ButtonLink>}>
      There are: {names.join(", ")}.
    </Empty>
  );
}
