/**
 * The times of a schedule, from a cron expression and a time zone or from an interval.
 *
 * Where clocks are set forward, a time in the missing hour comes in the hour after it; where they are set back, a time in the repeated hour comes once,
 * in its first pass, unless the hour is `*`: every five minutes stays every five minutes. In zones that change by half an hour (Lord Howe) a time in
 * the missing half hour is left out.
 */
import { CronExpressionParser } from "cron-parser";
import { TaskiqError } from "../errors.ts";
import { SCHEDULE_LIMITS, type Times, type Timing } from "../model/schedule.ts";

const ZONE = /^[A-Za-z][A-Za-z0-9_+\-/]*$/;
/** Longer than any change of the clocks, with the hours before and after it that are affected. */
const AROUND_CHANGE_MS = 3 * 3_600_000;

/** Throws TaskiqError `schedule_invalid`, with the field as its issue, for a timing that has no times. */
export function timesOf(timing: Timing): Times {
  return timing.kind === "cron" ? cronTimes(timing.cron, timing.timeZone) : intervalTimes(timing);
}

function intervalTimes({ intervalMs, anchorMs }: { readonly intervalMs: number; readonly anchorMs: number }): Times {
  const at = (index: number) => anchorMs + index * intervalMs;
  return {
    after: (ms) => at(Math.max(1, Math.floor((ms - anchorMs) / intervalMs) + 1)),
    before: (ms, count) => at(Math.floor((ms - anchorMs) / intervalMs) - count),
  };
}

function cronTimes(cron: string, timeZone: string): Times {
  const offset = offsetsOf(timeZone);
  const expression = parse(cron, timeZone);

  /** The library's own next time: right unless `ms` lies in the repeated hour, whose first pass it then has not seen. */
  function next(ms: number): number | null {
    expression.reset(new Date(ms));
    try {
      return +expression.next().toDate();
    } catch {
      // It has looked for many years.
      return null;
    }
  }

  return {
    after(ms) {
      const earlier = ms - AROUND_CHANGE_MS;
      if (offset(ms) === offset(earlier)) return next(ms);
      // The clocks were changed just now. Walking on from before that gives the same times from wherever one asks.
      expression.reset(new Date(earlier));
      try {
        for (;;) {
          const time = +expression.next().toDate();
          if (time > ms) return time;
        }
      } catch {
        return null;
      }
    },
    before(ms, count) {
      expression.reset(new Date(ms + 1));
      try {
        let time = ms;
        for (let index = 0; index < count; index++) time = +expression.prev().toDate();
        return time;
      } catch {
        return null;
      }
    },
  };
}

function parse(cron: string, tz: string) {
  if (cron.length > SCHEDULE_LIMITS.cronChars || !hasKnownShape(cron)) {
    throw invalid(
      "cron",
      `expected five fields, or six with seconds first, such as "30 2 * * 1-5", got ${shown(cron)}`,
    );
  }
  try {
    const expression = CronExpressionParser.parse(cron.trim(), { currentDate: new Date(0), tz });
    expression.next();
    return expression;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw invalid("cron", `expected a cron expression such as "30 2 * * 1-5", got ${shown(cron)} (${reason})`, cause);
  }
}

/** The library fills up missing fields, and takes `H` for a number that is another one in each process. */
function hasKnownShape(cron: string): boolean {
  const fields = cron.trim().split(/\s+/);
  if (fields.length === 1) return /^@[a-z]+$/.test(fields[0] ?? "");
  return (fields.length === 5 || fields.length === 6) && !/h/i.test(cron.replaceAll(/thu/gi, ""));
}

/** How far the zone's clocks are from UTC at a point in time, as text. */
function offsetsOf(timeZone: string): (ms: number) => string {
  const expected = `expected the name of a time zone such as Europe/Berlin or UTC, got ${shown(timeZone)}`;
  if (!ZONE.test(timeZone)) throw invalid("time_zone", expected);
  try {
    const format = new Intl.DateTimeFormat("en", { timeZone, timeZoneName: "longOffset", year: "numeric" });
    return (ms) => format.formatToParts(ms).find(({ type }) => type === "timeZoneName")?.value ?? "";
  } catch (cause) {
    throw invalid("time_zone", expected, cause);
  }
}

function shown(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}

function invalid(path: string, message: string, cause?: unknown): TaskiqError {
  return new TaskiqError("schedule_invalid", `${path}: ${message}.`, {
    cause,
    details: { issues: [{ path, message }] },
  });
}
