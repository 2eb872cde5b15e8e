/**
 * The loop that fires schedules. It runs in every executor and nobody leads: each due time is fired by whoever comes first (flow/schedule-fire.ts), within
 * about a second. A schedule that this process cannot fire is left to the others for a while, so that it holds nobody up.
 */

import type { Clock } from "../clock.ts";
import { type FireParts, fireDue } from "../flow/schedule-fire.ts";
import type { Log } from "../log.ts";
import type { ExecutorLoop } from "./loop.ts";

export type ScheduleLoopParts = Omit<FireParts, "patienceMs"> & {
  readonly log: Log;
  readonly clock: Clock;
  /** See `FireParts`. Default 3,600,000: a rolling deploy is over by then. */
  readonly patienceMs?: number;
};

const INTERVAL_MS = 500;
const BATCH = 100;
const PATIENCE_MS = 3_600_000;
/** How long a schedule is left to the other processes. */
const LEAVE_OUT_MS = 10_000;

export function createSchedules(parts: ScheduleLoopParts): ExecutorLoop {
  const { log, clock, patienceMs = PATIENCE_MS } = parts;
  const leftUntilMs = new Map<string, number>();

  async function step(): Promise<boolean> {
    const nowMs = clock.nowMs();
    for (const [id, untilMs] of leftUntilMs) if (untilMs <= nowMs) leftUntilMs.delete(id);
    const fired = await fireDue({ ...parts, patienceMs }, { leaveOut: [...leftUntilMs.keys()], limit: BATCH });
    for (const { id, name } of fired.leftOut) log.warn("schedule.missed", { scheduleId: id, schedule: name });
    for (const { id, name, code, message, disabled } of fired.refused) {
      leftUntilMs.set(id, nowMs + LEAVE_OUT_MS);
      const fields = { scheduleId: id, schedule: name, code, detail: message };
      if (disabled) log.error("schedule.disabled", fields);
      else log.warn("schedule.refused", fields);
    }
    for (const { id, name, error } of fired.failed) {
      leftUntilMs.set(id, nowMs + LEAVE_OUT_MS);
      log.warn("schedule.failed", { scheduleId: id, schedule: name, error });
    }
    return fired.due === BATCH;
  }

  return { name: "schedules", intervalMs: INTERVAL_MS, step };
}
