/** How a queue looks in a list. */
import { Link } from "wouter";
import type { Queue } from "../../client/index.ts";
import { Meter } from "../components/meter.tsx";
import { cappedText, countText } from "../components/number-text.ts";
import { StateBadge } from "../components/state-badge.tsx";
import type { Column } from "../components/table.tsx";
import { Duration, None } from "../components/time.tsx";

export const QUEUE_COLUMNS: readonly Column<Queue>[] = [
  { key: "name", title: "Queue", cell: (queue) => <QueueName queue={queue} /> },
  { key: "queued", title: "Waiting", width: "96px", align: "end", cell: ({ queued }) => cappedText(queued) },
  {
    key: "oldest",
    title: "Oldest due for",
    width: "120px",
    align: "end",
    hide: "small",
    cell: ({ oldestAgeMs }) => <Duration ms={oldestAgeMs} />,
  },
  { key: "running", title: "Running", width: "180px", hide: "small", cell: (queue) => <Slots {...queue} /> },
  {
    key: "unsent",
    title: "Unsent",
    width: "90px",
    align: "end",
    hide: "medium",
    cell: ({ unsent }) => cappedText(unsent),
  },
  {
    key: "visible",
    title: "Messages",
    width: "100px",
    align: "end",
    hide: "medium",
    cell: ({ visible }) => <Known count={visible} />,
  },
  {
    key: "dead",
    title: "Dead letters",
    width: "104px",
    align: "end",
    cell: ({ deadLettered }) => <DeadLetters count={deadLettered} />,
  },
];

export function queueHref(name: string): string {
  return `/queues/${encodeURIComponent(name)}`;
}

function QueueName({ queue: { name, type, pausedAt } }: { readonly queue: Queue }) {
  return (
    <span className="row">
      <Link href={queueHref(name)}>
        <strong>{name}</strong>
      </Link>
      {type === "fifo" && <span className="faint">fifo</span>}
      {pausedAt !== null && <StateBadge state="paused" />}
    </span>
  );
}

/** How many of the slots that serve it are in use. */
export function Slots({ running, slots }: Pick<Queue, "running" | "slots">) {
  return (
    <span className="row">
      <span className="nowrap">
        {cappedText(running)} <span className="faint">of {countText(slots)}</span>
      </span>
      <Meter
        parts={[{ tone: "running", value: running, label: "running" }]}
        max={slots}
        label={`${running} run, of ${slots} slots`}
      />
    </span>
  );
}

/** What SQS says, approximately; a dash where it did not answer. */
export function Known({ count }: { readonly count: number | null }) {
  return count === null ? <None /> : countText(count);
}

export function DeadLetters({ count }: { readonly count: number | null }) {
  if (count === null) return <None />;
  return count === 0 ? 0 : <StateBadge state="failed" label={countText(count)} />;
}
