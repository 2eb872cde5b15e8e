/** What a caller says about a schedule to be created: its shape, and how it reaches the flow. */
import { z } from "zod";
import type { ScheduleRequest } from "../flow/schedules.ts";
import { CATCH_UP_POLICIES, OVERLAP_POLICIES, SCHEDULE_DEFAULTS, SCHEDULE_LIMITS } from "../model/schedule.ts";
import { DOCS } from "./docs.ts";
import { type TaskLimits, taskBody, taskRequestOf } from "./task-request.ts";

export type ScheduleBody = z.output<ReturnType<typeof scheduleBody>>;

const { intervalMs, catchUpLimit, nameChars, cronChars, timeZoneChars } = SCHEDULE_LIMITS;
/** Shown in terminals and listed in their order, so without control characters and blanks at the ends. */
const NAME = /^[^\p{C}\s](?:[^\p{C}]*[^\p{C}\s])?$/u;

export const SCHEDULE_NAME = z
  .string()
  .max(nameChars)
  .regex(NAME, `expected 1 to ${nameChars} printable characters, no blank first or last`);

export function scheduleBody(taskNames: readonly string[], limits: TaskLimits) {
  const { task, input, queue, priority, ordering_key, labels } = taskBody(taskNames, limits).shape;
  return z
    .strictObject({
      name: SCHEDULE_NAME.register(DOCS, { description: "Unique." }),
      task,
      input,
      queue,
      priority,
      ordering_key,
      labels,
      cron: z
        .string()
        .max(cronChars)
        .optional()
        .register(DOCS, {
          description:
            "Minute, hour, day of the month, month, day of the week, as in `30 2 * * 1-5`; with six fields the first is the second. Names " +
            "(`MON`, `JAN`), `L`, `#`, `@daily` and the like are understood. Give this or `interval_seconds`.",
        }),
      time_zone: z
        .string()
        .max(timeZoneChars)
        .optional()
        .register(DOCS, {
          description:
            "Of `cron`, such as `Europe/Berlin`. A time that the change to summer time leaves out comes in the hour after it, one that comes twice is " +
            `used once, unless the hour is \`*\`. Default \`${SCHEDULE_DEFAULTS.timeZone}\`.`,
        }),
      interval_seconds: z
        .number()
        .min(intervalMs.min / 1_000)
        .max(intervalMs.max / 1_000)
        .multipleOf(0.001)
        .optional()
        .register(DOCS, { description: "Every so often, for the first time that long after it was created." }),
      catch_up: z
        .enum(CATCH_UP_POLICIES)
        .optional()
        .register(DOCS, {
          description:
            "For times more than a minute ago, because nothing ran that could fire them: `skip` leaves them out, `one` makes one task for them, " +
            `\`all\` one for each of the last \`catch_up_limit\`. Default \`${SCHEDULE_DEFAULTS.catchUp}\`.`,
        }),
      catch_up_limit: z
        .int()
        .min(catchUpLimit.min)
        .max(catchUpLimit.max)
        .optional()
        .register(DOCS, { description: `Default ${catchUpLimit.default}.` }),
      overlap: z
        .enum(OVERLAP_POLICIES)
        .optional()
        .register(DOCS, {
          description: `\`skip\`: a time is left out while the task of the last one has not ended. Default \`${SCHEDULE_DEFAULTS.overlap}\`.`,
        }),
      paused: z.boolean().optional().register(DOCS, { description: "It starts when it is resumed. Default false." }),
    })
    .check(({ value, issues }) => {
      const refuse = (path: string, message: string) =>
        issues.push({ code: "custom", input: value, path: [path], message });
      if (value.cron !== undefined && value.interval_seconds !== undefined) {
        refuse("interval_seconds", "expected cron or interval_seconds, got both");
      }
      if (value.cron === undefined && value.interval_seconds === undefined) {
        refuse("cron", "expected cron or interval_seconds, got neither");
      }
      if (value.cron === undefined && value.time_zone !== undefined) {
        refuse("time_zone", "expected none without cron: an interval is the same in every time zone");
      }
    });
}

export function scheduleRequestOf(body: ScheduleBody): ScheduleRequest {
  const { name, cron, time_zone: timeZone, interval_seconds: intervalSeconds, paused } = body;
  const { task, input, queue, priority, ordering_key, labels } = body;
  return {
    name,
    task: taskRequestOf({ task, input, queue, priority, ordering_key, labels }),
    timing:
      cron === undefined
        ? // One of the two is there, says the schema.
          { kind: "interval", intervalMs: Math.round((intervalSeconds as number) * 1_000) }
        : { kind: "cron", cron, timeZone },
    catchUp: body.catch_up,
    catchUpLimit: body.catch_up_limit,
    overlap: body.overlap,
    paused,
  };
}
