/** One schedule: when it fires, what it submits, and how it went. */
import CalendarClock from "lucide-react/icons/calendar-clock";
import { ApiError, type Schedule } from "../../client/index.ts";
import { useApi } from "../api/api-provider.tsx";
import { usePolled } from "../api/use-polled.ts";
import { ButtonLink } from "../components/button.tsx";
import { Card, Facts, Stat, Stats } from "../components/card.tsx";
import { Id } from "../components/copy.tsx";
import { JsonView } from "../components/json-view.tsx";
import { Empty, ErrorBox } from "../components/notice.tsx";
import { countText } from "../components/number-text.ts";
import { Page } from "../components/page.tsx";
import { RowsSkeleton } from "../components/skeleton.tsx";
import { StateBadge } from "../components/state-badge.tsx";
import { ExactTime, None, Time } from "../components/time.tsx";
import { momentText } from "../components/time-text.ts";
import { Labels } from "../tasks/labels.tsx";
import { taskHref } from "../tasks/task-columns.tsx";
import { DeleteSchedule, PauseSchedule, ResumeSchedule, TriggerSchedule } from "./schedule-actions.tsx";
import { CATCH_UP_TEXT, OVERLAP_TEXT, timingText } from "./schedule-text.ts";

const CRUMBS = [{ label: "Schedules", href: "/schedules" }];

export default function SchedulePage({ id }: { readonly id: string }) {
  const { client } = useApi();
  const { data: schedule, error, refetch } = usePolled({ key: ["schedule", id], look: () => client.schedules.get(id) });
  if (schedule === undefined) {
    return (
      <Page title="Schedule" crumbs={CRUMBS}>
        <Card>
          {error === null ? <RowsSkeleton rows={5} /> : <NoSchedule error={error} retry={() => void refetch()} />}
        </Card>
      </Page>
    );
  }
  return (
    <Page
      title={schedule.name}
      crumbs={CRUMBS}
      heading={
        <>
          {schedule.name}
          <StateBadge state={schedule.state} />
        </>
      }
      actions={
        <>
          <TriggerSchedule schedule={schedule} />
          {schedule.state === "active" ? <PauseSchedule schedule={schedule} /> : <ResumeSchedule schedule={schedule} />}
          <DeleteSchedule schedule={schedule} />
        </>
      }
    >
      {schedule.problem !== null && <Problem problem={schedule.problem} />}
      <Stats>
        <Stat label="Next" note={schedule.nextAt === null ? "it has no next time" : momentText(schedule.nextAt)}>
          <Time at={schedule.nextAt} />
        </Stat>
        <Stat
          label="Last"
          note={schedule.lastFiredFor === null ? "it has not fired" : momentText(schedule.lastFiredFor)}
        >
          <Time at={schedule.lastFiredFor} />
        </Stat>
        <Stat label="Fired" note="times that became tasks">
          {countText(schedule.fired)}
        </Stat>
        <Stat label="Overlapped" note="left out, the last one still ran">
          {countText(schedule.overlapped)}
        </Stat>
      </Stats>
      <Card title="Settings">
        <Settings schedule={schedule} />
      </Card>
      <Card title="Input">
        <JsonView value={schedule.input} what="input" none="It gives none." />
      </Card>
    </Page>
  );
}

function Settings({ schedule }: { readonly schedule: Schedule }) {
  const { task, queue, priority, catchUp, catchUpLimit, overlap, lastTaskId } = schedule;
  return (
    <Facts
      facts={[
        ["When", <code key="timing">{timingText(schedule)}</code>],
        ["Task", task],
        [
          "Last task",
          lastTaskId === null ? <None key="last" /> : <Id key="last" id={lastTaskId} href={taskHref(lastTaskId)} />,
        ],
        ["Queue", queue ?? "that of the task"],
        ["Priority", priority ?? "that of the task"],
        [
          "Missed times",
          `${catchUp}: ${CATCH_UP_TEXT[catchUp]}${catchUp === "all" ? `, at most ${catchUpLimit}` : ""}`,
        ],
        ["Overlap", `${overlap}: ${OVERLAP_TEXT[overlap]}`],
        ["Made", <ExactTime key="made" at={schedule.createdAt} />],
        ["Labels", <Labels key="labels" labels={schedule.labels} />],
        ["Id", <Id key="id" id={schedule.scheduleId} whole />],
      ]}
    />
  );
}

function Problem({ problem: { code, message, at } }: { readonly problem: NonNullable<Schedule["problem"]> }) {
  return (
    <Card title="Its task could not be made">
      <p>
        <code>{code}</code> {message}
      </p>
      <p className="muted">
        <Time at={at} />. After an hour of this it is disabled; resume it when the cause is gone.
      </p>
    </Card>
  );
}

function NoSchedule({ error, retry }: { readonly error: unknown; readonly retry: () => void }) {
  if (!(error instanceof ApiError) || error.code !== "schedule_not_found") {
    return <ErrorBox title="The schedule could not be read" error={error} retry={retry} />;
  }
  return (
    <Empty
      icon={CalendarClock}
      title="No schedule has this id"
      actions={<ButtonLink href="/schedules">To the schedules</ButtonLink>}
    >
      It may have been deleted, or belong to another tenant.
    </Empty>
  );
}
