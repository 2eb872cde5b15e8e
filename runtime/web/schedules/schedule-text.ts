/** When a schedule fires, in words. Pure. */
import type { Schedule } from "../../client/index.ts";
import { durationText } from "../components/time-text.ts";

/** `0 2 * * * UTC`, `every 5 m`. */
export function timingText({ cron, timeZone, intervalMs }: Pick<Schedule, "cron" | "timeZone" | "intervalMs">): string {
  if (cron !== null) return `${cron} ${timeZone ?? "UTC"}`;
  return intervalMs === null ? "never" : `every ${durationText(intervalMs)}`;
}

export const CATCH_UP_TEXT = {
  skip: "missed times are left out",
  one: "one task stands for all missed times",
  all: "each missed time gets its task",
} as const;

export const OVERLAP_TEXT = {
  allow: "the next task may start while the last one runs",
  skip: "a time is left out while the last task has not ended",
} as const;

export function scheduleHref(id: string): string {
  return `/schedules/${encodeURIComponent(id)}`;
}
