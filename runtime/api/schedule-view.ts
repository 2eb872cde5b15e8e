/** A schedule as the API shows it. */
import { z } from "zod";
import type { ScheduleRow } from "../flow/schedules.ts";
import { CATCH_UP_POLICIES, OVERLAP_POLICIES, SCHEDULE_STATES, type ScheduleState } from "../model/schedule.ts";
import { DOCS } from "./docs.ts";

/** The row as JSON text. The input is spliced in as the text it is stored in: parsing would round numbers. */
export function scheduleText(row: ScheduleRow): string {
  const state = stateOf(row);
  const members = [
    `"schedule_id":"${row.id}"`,
    `"name":${JSON.stringify(row.name)}`,
    `"state":"${state}"`,
    `"task":${JSON.stringify(row.task)}`,
    `"input":${row.input ?? "null"}`,
    `"queue":${JSON.stringify(row.queue)}`,
    `"priority":${row.priority ?? "null"}`,
    `"ordering_key":${JSON.stringify(row.ordering_key)}`,
    `"labels":${row.labels ?? "{}"}`,
    `"cron":${JSON.stringify(row.cron)}`,
    `"time_zone":${JSON.stringify(row.time_zone)}`,
    `"interval_seconds":${row.interval_ms === null ? "null" : row.interval_ms / 1_000}`,
    `"catch_up":"${row.catch_up}"`,
    `"catch_up_limit":${row.catch_up_limit}`,
    `"overlap":"${row.overlap}"`,
    `"problem":${row.problem ?? "null"}`,
    `"next_at":${JSON.stringify(state === "active" ? row.next_at : null)}`,
    `"last_fired_for":${JSON.stringify(row.last_fired_for)}`,
    `"last_task_id":${JSON.stringify(row.last_task_id)}`,
    `"fired":${row.fired}`,
    `"overlapped":${row.overlapped}`,
    `"created_at":${JSON.stringify(row.created_at)}`,
  ];
  return `{${members.join(",")}}`;
}

function stateOf({ paused_at, disabled_at }: ScheduleRow): ScheduleState {
  if (disabled_at !== null) return "disabled";
  return paused_at === null ? "active" : "paused";
}

const at = (description: string) => z.iso.datetime().register(DOCS, { description });

/** For the OpenAPI document only: answers are written by `scheduleText`. */
export const SCHEDULE = z
  .object({
    schedule_id: z.uuid(),
    name: z.string(),
    state: z.enum(SCHEDULE_STATES).register(DOCS, {
      description:
        "`disabled`: its task could not be made for an hour; `problem` says why. Resume it when that is put right.",
    }),
    task: z.string(),
    input: z.unknown(),
    queue: z.string().nullable().register(DOCS, { description: "Null: that of the task." }),
    priority: z.int().nullable().register(DOCS, { description: "Null: that of the task." }),
    ordering_key: z.string().nullable(),
    labels: z.record(z.string(), z.string()),
    cron: z.string().nullable(),
    time_zone: z.string().nullable(),
    interval_seconds: z.number().nullable(),
    catch_up: z.enum(CATCH_UP_POLICIES),
    catch_up_limit: z.int(),
    overlap: z.enum(OVERLAP_POLICIES),
    problem: z
      .object({ code: z.string(), message: z.string(), at: z.iso.datetime() })
      .nullable()
      .register(DOCS, { description: "Why its task cannot be made. Null: it can, or was not tried." }),
    next_at: at("When it fires next; null while it is not active.").nullable(),
    last_fired_for: at("The last time that became a task.").nullable(),
    last_task_id: z.uuid().nullable().register(DOCS, { description: "That task." }),
    fired: z.int().min(0).register(DOCS, { description: "Times that became tasks." }),
    overlapped: z.int().min(0).register(DOCS, {
      description: "Times left out because the task of an earlier one had not ended.",
    }),
    created_at: at("When it was created."),
  })
  .register(DOCS, { id: "Schedule", description: "A schedule. Times are ISO 8601 in UTC." });
