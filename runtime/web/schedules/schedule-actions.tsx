/** What can be done with a schedule. */
import Pause from "lucide-react/icons/pause";
import Play from "lucide-react/icons/play";
import Trash from "lucide-react/icons/trash-2";
import Zap from "lucide-react/icons/zap";
import type { Schedule } from "../../client/index.ts";
import { useApi } from "../api/api-provider.tsx";
import { ActionButton } from "../components/action-button.tsx";
import { countedNoun } from "../components/number-text.ts";
import { momentText } from "../components/time-text.ts";
import { navigate } from "../route/hash-location.ts";
import { taskHref } from "../tasks/task-columns.tsx";
import { scheduleHref, timingText } from "./schedule-text.ts";

export type ScheduleActionProps = {
  readonly schedule: Schedule;
  /** In a list: an icon only. */
  readonly short?: boolean;
};

/** Those that a list has room for. */
export function ScheduleButtons({ schedule }: { readonly schedule: Schedule }) {
  return (
    <span className="row" style={{ justifyContent: "flex-end", gap: 2 }}>
      <TriggerSchedule schedule={schedule} short />
      {schedule.state === "active" ? (
        <PauseSchedule schedule={schedule} short />
      ) : (
        <ResumeSchedule schedule={schedule} short />
      )}
      <DeleteSchedule schedule={schedule} short />
    </span>
  );
}

export function PauseSchedule({ schedule, short = false }: ScheduleActionProps) {
  const { client } = useApi();
  const { scheduleId, name } = schedule;
  return (
    <ActionButton
      label="Pause"
      icon={Pause}
      {...lookOf(short)}
      confirm={{
        title: `Pause the schedule ${name}?`,
        label: "Pause the schedule",
        body: (
          <p>
            No more tasks are made until it is resumed. Tasks that it has made go on. Times that pass meanwhile are not
            made up for.
          </p>
        ),
      }}
      act={async () => {
        await client.schedules.pause(scheduleId);
        return { title: `The schedule ${name} is paused`, link: { label: "Show it", href: scheduleHref(scheduleId) } };
      }}
    />
  );
}

export function ResumeSchedule({ schedule, short = false }: ScheduleActionProps) {
  const { client } = useApi();
  const { scheduleId, name, state } = schedule;
  return (
    <ActionButton
      label="Resume"
      icon={Play}
      {...lookOf(short)}
      confirm={{
        title: `Resume the schedule ${name}?`,
        label: "Resume the schedule",
        body: (
          <p>
            It goes on with its first time from now on: <strong>{timingText(schedule)}</strong>.
            {state === "disabled" && " It was disabled because its task could not be made: look at the problem first."}
          </p>
        ),
      }}
      act={async () => {
        const { nextAt } = await client.schedules.resume(scheduleId);
        const detail = nextAt === null ? "It has no times any more." : `Next at ${momentText(nextAt)}.`;
        return {
          title: `The schedule ${name} goes on`,
          detail,
          link: { label: "Show it", href: scheduleHref(scheduleId) },
        };
      }}
    />
  );
}

export function TriggerSchedule({ schedule, short = false }: ScheduleActionProps) {
  const { client } = useApi();
  const { scheduleId, name, task } = schedule;
  return (
    <ActionButton
      label="Run now"
      icon={Zap}
      {...lookOf(short)}
      confirm={{
        title: `Run ${name} now?`,
        label: "Run it now",
        body: (
          <p>
            Its task <strong>{task}</strong> is submitted once, with its input and labels. The times of the schedule
            stay as they are.
          </p>
        ),
      }}
      act={async () => {
        const { taskId } = await client.schedules.trigger(scheduleId);
        return { title: `${task} is queued`, link: { label: "Show the task", href: taskHref(taskId) } };
      }}
    />
  );
}

export function DeleteSchedule({ schedule, short = false }: ScheduleActionProps) {
  const { client } = useApi();
  const { scheduleId, name, fired } = schedule;
  return (
    <ActionButton
      label="Delete"
      icon={Trash}
      {...lookOf(short)}
      confirm={{
        title: `Delete the schedule ${name}?`,
        label: "Delete the schedule",
        danger: true,
        body: (
          <p>It makes no more tasks and is gone for good. The {countedNoun(fired, "task")} that it has made stay.</p>
        ),
      }}
      act={async () => {
        await client.schedules.delete(scheduleId);
        return { title: `The schedule ${name} is deleted` };
      }}
      onDone={() => navigate("/schedules")}
    />
  );
}

function lookOf(short: boolean) {
  return short ? ({ iconOnly: true, look: "quiet", size: "small" } as const) : {};
}
