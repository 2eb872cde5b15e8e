/** How a queue looks on the overview. */
import { Link } from "wouter";
import type { Overview } from "../../client/index.ts";
import { cappedText, rateText } from "../components/number-text.ts";
import { StateBadge } from "../components/state-badge.tsx";
import type { Column } from "../components/table.tsx";
import { Duration } from "../components/time.tsx";
import { DeadLetters, queueHref } from "../queues/queue-columns.tsx";

type Row = Overview["queues"][number];

export const QUEUE_COLUMNS: readonly Column<Row>[] = [
  {
    key: "name",
    title: "Queue",
    cell: ({ name, pausedAt }) => (
      <span className="row">
        <Link href={queueHref(name)}>{name}</Link>
        {pausedAt !== null && <StateBadge state="paused" />}
      </span>
    ),
  },
  { key: "rate", title: "Ended", width: "72px", align: "end", cell: ({ ratePerSecond }) => rateText(ratePerSecond) },
  { key: "queued", title: "Waiting", width: "76px", align: "end", cell: ({ queued }) => cappedText(queued) },
  {
    key: "oldest",
    title: "Oldest due",
    width: "96px",
    align: "end",
    hide: "small",
    cell: ({ oldestAgeMs }) => <Duration ms={oldestAgeMs} />,
  },
  {
    key: "running",
    title: "Running",
    width: "76px",
    align: "end",
    hide: "small",
    cell: ({ running }) => cappedText(running),
  },
  {
    key: "dead",
    title: "Dead",
    width: "72px",
    align: "end",
    cell: ({ deadLettered }) => <DeadLetters count={deadLettered} />,
  },
];
