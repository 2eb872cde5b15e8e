/**
 * Which of a schedule's times become tasks. Pure: the times themselves come from a calendar (flow/schedule-times.ts), and "now" from the database.
 *
 * A time that has come is on time for a minute, which covers a deploy of the executors; after that it was missed, and `catchUp` says what follows.
 */

/** What happens to times missed while no executor ran: none is made up for, one task stands for all of them, or each gets its own. */
export const CATCH_UP_POLICIES = ["skip", "one", "all"] as const;
export type CatchUp = (typeof CATCH_UP_POLICIES)[number];

/** Whether a time is left out while the task of an earlier one has not ended. */
export const OVERLAP_POLICIES = ["allow", "skip"] as const;
export type Overlap = (typeof OVERLAP_POLICIES)[number];

/** `disabled`: by the executor, because its task could not be made. */
export const SCHEDULE_STATES = ["active", "paused", "disabled"] as const;
export type ScheduleState = (typeof SCHEDULE_STATES)[number];

/** When a schedule is due: by a cron expression in a time zone, or every so often. */
export type Timing =
  | { readonly kind: "cron"; readonly cron: string; readonly timeZone: string }
  | { readonly kind: "interval"; readonly intervalMs: number; readonly anchorMs: number };

/** The times of a schedule, in milliseconds since 1970. */
export type Times = {
  /** The first time later than `ms`; null: there is none any more. */
  after(ms: number): number | null;
  /** Some point at or before `ms` with about `count` times in between; null: there are not so many. */
  before(ms: number, count: number): number | null;
};

export type SchedulePolicy = {
  readonly catchUp: CatchUp;
  /** Most tasks made for one look at the schedule with `all`: the latest times win. */
  readonly catchUpLimit: number;
  readonly overlap: Overlap;
};

export type Firings = {
  /** Times that become tasks, earliest first. */
  readonly fire: readonly number[];
  /** The schedule's next time; null: it has none. */
  readonly nextAtMs: number | null;
  /** Times before these were missed and are not made up for. */
  readonly leftOut: boolean;
};

export const SCHEDULE_LIMITS = {
  /** A second to a year. */
  intervalMs: { min: 1_000, max: 31_536_000_000 },
  catchUpLimit: { min: 1, max: 100, default: 100 },
  nameChars: 200,
  cronChars: 200,
  timeZoneChars: 64,
  inputBytes: 262_144,
} as const;

export const SCHEDULE_DEFAULTS = { catchUp: "one", overlap: "allow", timeZone: "UTC" } as const;

/** How late a time may be and still count as on time. */
export const ON_TIME_MS = 60_000;

/** What to do about a schedule whose next time, `nextAtMs`, is not later than `nowMs`. */
export function planFirings(times: Times, nextAtMs: number, nowMs: number, policy: SchedulePolicy): Firings {
  const due = latestDue(times, nextAtMs, nowMs, policy.catchUpLimit);
  const first = due[0] ?? nextAtMs;
  const wasMissed = nextAtMs < nowMs - ON_TIME_MS;
  const chosen = choose(due, wasMissed, nowMs, policy);
  return {
    fire: chosen,
    nextAtMs: times.after(nowMs),
    leftOut: wasMissed && (first > nextAtMs || chosen.length < due.length),
  };
}

function choose(
  due: readonly number[],
  wasMissed: boolean,
  nowMs: number,
  { catchUp, overlap }: SchedulePolicy,
): number[] {
  const kept = wasMissed && catchUp === "skip" ? due.filter((ms) => ms >= nowMs - ON_TIME_MS) : [...due];
  // With `overlap: skip` the second of two tasks made together would always be one too many.
  const justOne = overlap === "skip" || (wasMissed && catchUp === "one");
  return justOne ? kept.slice(-1) : kept;
}

/** The last `limit` times from `nextAtMs` to `nowMs`. Looks back from now: since the first of them there may have been millions. */
function latestDue(times: Times, nextAtMs: number, nowMs: number, limit: number): number[] {
  for (let count = limit; ; count *= 2) {
    const start = times.before(nowMs, count);
    const from = start === null || start <= nextAtMs ? nextAtMs : start;
    const found = between(times, from, nowMs, from === nextAtMs);
    // A point that `before` gives need not be one of the times: look further back, at the latest to the first.
    if (found.length >= limit || from === nextAtMs) return found.slice(-limit);
  }
}

function between(times: Times, fromMs: number, toMs: number, isTime: boolean): number[] {
  const found: number[] = [];
  let next = isTime ? fromMs : times.after(fromMs - 1);
  while (next !== null && next <= toMs) {
    found.push(next);
    next = times.after(next);
  }
  return found;
}
