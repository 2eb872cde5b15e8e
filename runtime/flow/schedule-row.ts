/** A schedule as its row has it, and what follows from that: when it is due, and what its tasks are. */
import type { CatchUp, Overlap, Timing } from "../model/schedule.ts";
import type { TaskRequest } from "./submit.ts";

/** What every statement that reads schedules returns. */
export type ScheduleColumns = {
  readonly id: string;
  readonly tenant: string;
  readonly name: string;
  readonly task: string;
  /** Exact JSON text, as `labels`. */
  readonly input: string | null;
  readonly queue: string | null;
  readonly priority: number | null;
  readonly ordering_key: string | null;
  readonly labels: string | null;
  readonly cron: string | null;
  readonly time_zone: string | null;
  readonly interval_ms: number | null;
  readonly anchor_ms: number;
  readonly catch_up: CatchUp;
  readonly catch_up_limit: number;
  readonly overlap: Overlap;
};

export function timingOf({ cron, time_zone, interval_ms, anchor_ms }: ScheduleColumns): Timing {
  if (cron !== null && time_zone !== null) return { kind: "cron", cron, timeZone: time_zone };
  // The row has one or the other: cron_or_interval.
  return { kind: "interval", intervalMs: interval_ms as number, anchorMs: anchor_ms };
}

/** A task of this schedule. Its labels name the schedule, so that its tasks can be found; `more` goes on top. */
export function taskOf(row: ScheduleColumns, more: Readonly<Record<string, string>> = {}): TaskRequest {
  // Written by us, from labels that were checked.
  const labels = JSON.parse(row.labels ?? "{}") as Record<string, string>;
  return {
    task: row.task,
    input: row.input === null ? undefined : JSON.parse(row.input),
    queue: row.queue ?? undefined,
    priority: row.priority ?? undefined,
    orderingKey: row.ordering_key ?? undefined,
    labels: { ...labels, taskiq_aws_schedule: row.name, ...more },
  };
}
