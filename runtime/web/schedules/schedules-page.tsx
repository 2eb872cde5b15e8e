/** The schedules, by name. */
import CalendarClock from "lucide-react/icons/calendar-clock";
import Plus from "lucide-react/icons/plus";
import { Link } from "wouter";
import type { Schedule } from "../../client/index.ts";
import { useApi } from "../api/api-provider.tsx";
import { usePolled } from "../api/use-polled.ts";
import { ButtonLink } from "../components/button.tsx";
import { Card } from "../components/card.tsx";
import { FilterBar, TextFilter } from "../components/filter-bar.tsx";
import { Empty, ErrorBox } from "../components/notice.tsx";
import { countText } from "../components/number-text.ts";
import { Page } from "../components/page.tsx";
import { Pager } from "../components/pager.tsx";
import { StateBadge } from "../components/state-badge.tsx";
import { type Column, Table } from "../components/table.tsx";
import { Time } from "../components/time.tsx";
import { useParams } from "../route/params.ts";
import { ScheduleButtons } from "./schedule-actions.tsx";
import { scheduleHref, timingText } from "./schedule-text.ts";

const PAGE_SCHEDULES = 200;

const COLUMNS: readonly Column<Schedule>[] = [
  { key: "state", title: "State", width: "118px", cell: ({ state }) => <StateBadge state={state} /> },
  {
    key: "name",
    title: "Schedule",
    cell: ({ name, scheduleId }) => (
      <Link href={scheduleHref(scheduleId)}>
        <strong>{name}</strong>
      </Link>
    ),
  },
  {
    key: "timing",
    title: "When",
    width: "19%",
    hide: "small",
    cell: (schedule) => <code>{timingText(schedule)}</code>,
  },
  { key: "task", title: "Task", width: "17%", hide: "medium", cell: ({ task }) => task },
  { key: "next", title: "Next", width: "84px", align: "end", cell: ({ nextAt }) => <Time at={nextAt} /> },
  {
    key: "last",
    title: "Last",
    width: "84px",
    align: "end",
    hide: "small",
    cell: ({ lastFiredFor }) => <Time at={lastFiredFor} />,
  },
  { key: "fired", title: "Fired", width: "68px", align: "end", hide: "medium", cell: ({ fired }) => countText(fired) },
  {
    key: "do",
    title: <span className="unseen">Actions</span>,
    width: "104px",
    align: "end",
    hide: "small",
    cell: (schedule) => <ScheduleButtons schedule={schedule} />,
  },
];

export default function SchedulesPage() {
  const { client } = useApi();
  const [params] = useParams();
  const at = params.get("at");
  const name = params.get("name") ?? "";
  const { data, error, refetch } = usePolled({
    key: ["schedules", at, name],
    look: () =>
      client.schedules.list({ limit: PAGE_SCHEDULES, ...(at !== null && { after: at }), ...(name !== "" && { name }) }),
    keep: true,
  });
  return (
    <Page
      title="Schedules"
      actions={
        <ButtonLink href="/schedules/new" icon={Plus} look="primary">
          New schedule
        </ButtonLink>
      }
      bar={
        <FilterBar params={["name", "at"]}>
          <TextFilter param="name" label="Name of the schedule" placeholder="Exact name" width={220} />
        </FilterBar>
      }
    >
      <Card flush>
        {data === undefined && error !== null ? (
          <ErrorBox title="The schedules could not be read" error={error} retry={() => void refetch()} />
        ) : (
          <Table
            label="Schedules"
            rows={data?.schedules}
            columns={COLUMNS}
            keyOf={({ scheduleId }) => scheduleId}
            hrefOf={({ scheduleId }) => scheduleHref(scheduleId)}
            empty={name === "" ? <NoSchedules /> : <Empty icon={CalendarClock} title="No schedule has this name" />}
          />
        )}
        <Pager at={at} next={data?.next ?? null} words={SCHEDULE_WORDS} />
      </Card>
    </Page>
  );
}

/** They stand in the order of their names. */
const SCHEDULE_WORDS = { first: "First", next: "More" } as const;

function NoSchedules() {
  return (
    <Empty
      icon={CalendarClock}
      title="There are no schedules"
      command={`npx taskiq-aws schedule create hourly sleep '{"duration_seconds": 3}' --every 1h`}
      actions={
        <ButtonLink href="/schedules/new" icon={Plus}>
          New schedule
        </ButtonLink>
      }
    >
      A schedule submits a task again and again, by a cron expression or every so often:
    </Empty>
  );
}
