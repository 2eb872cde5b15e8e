import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { timesOf } from "../../runtime/flow/schedule-times.ts";
import type { Times } from "../../runtime/model/schedule.ts";

const cron = (expression: string, timeZone = "UTC") => timesOf({ kind: "cron", cron: expression, timeZone });

/** The next `count` times. */
function following(times: Times, from: string, count: number): string[] {
  const found: string[] = [];
  let ms: number | null = Date.parse(from);
  for (let index = 0; index < count; index++) {
    ms = ms === null ? null : times.after(ms);
    if (ms !== null) found.push(new Date(ms).toISOString().replace(":00.000Z", "Z"));
  }
  return found;
}

describe("in Europe/Berlin, where clocks go from 2:00 to 3:00 on 29 March 2026 and from 3:00 to 2:00 on 25 October", () => {
  test.each([
    // 1:30Z is 3:30 in summer time.
    [
      "a time in the missing hour comes in the hour after it",
      "30 2 * * *",
      "2026-03-28T12:00Z",
      ["2026-03-29T01:30Z", "2026-03-30T00:30Z"],
    ],
    [
      "a time in the repeated hour comes in its first pass",
      "30 2 * * *",
      "2026-10-24T12:00Z",
      ["2026-10-25T00:30Z", "2026-10-26T01:30Z"],
    ],
    [
      "half-hours go on through the missing hour",
      "*/30 * * * *",
      "2026-03-29T00:00Z",
      ["2026-03-29T00:30Z", "2026-03-29T01:00Z", "2026-03-29T01:30Z"],
    ],
    [
      "half-hours go on through the repeated hour",
      "*/30 * * * *",
      "2026-10-25T00:00Z",
      ["2026-10-25T00:30Z", "2026-10-25T01:00Z", "2026-10-25T01:30Z", "2026-10-25T02:00Z"],
    ],
    ["midnight stays midnight", "0 0 * * *", "2026-10-24T12:00Z", ["2026-10-24T22:00Z", "2026-10-25T23:00Z"]],
  ])("%s", (_name, expression, from, expected) => {
    expect(following(cron(expression, "Europe/Berlin"), from, expected.length)).toEqual(expected);
  });

  test("asking in the second pass of the repeated hour does not fire the first one's times again", () => {
    for (const expression of ["55 2 * * *", "*/5 2 * * *", "* * 2 * * *", "15 1-4 * * *"]) {
      const times = cron(expression, "Europe/Berlin");
      const second = { from: Date.parse("2026-10-25T01:00Z"), to: Date.parse("2026-10-25T02:00Z") };
      for (let ms = second.from; ms < second.to; ms += 7 * 60_000) {
        expect(times.after(ms)).toBeGreaterThanOrEqual(second.to);
      }
    }
  });
});

test("a midnight that the change of clocks leaves out comes at one", () => {
  expect(following(cron("0 0 * * *", "America/Santiago"), "2026-09-05T12:00Z", 2)).toEqual([
    "2026-09-06T04:00Z",
    "2026-09-07T03:00Z",
  ]);
});

test("29 February is found years ahead", () => {
  expect(following(cron("0 12 29 2 *"), "2096-03-01T00:00Z", 2)).toEqual(["2104-02-29T12:00Z", "2108-02-29T12:00Z"]);
});

test("day of the month and day of the week are joined by or, as cron does", () => {
  expect(following(cron("0 0 1 * MON"), "2026-03-28T00:00Z", 3)).toEqual([
    "2026-03-30T00:00Z",
    "2026-04-01T00:00Z",
    "2026-04-06T00:00Z",
  ]);
});

test.each([
  ["", "cron"],
  ["* *", "cron"],
  ["* * * *", "cron"],
  ["* * * * * * *", "cron"],
  ["bogus", "cron"],
  ["60 * * * *", "cron"],
  ["0 0 30 2 *", "cron"],
  ["H H * * *", "cron"],
  ["@sometimes", "cron"],
  [`0 0 ${"1,".repeat(150)}1 * *`, "cron"],
])("refuses %j as a cron expression", (expression, path) => {
  expect(() => cron(expression)).toThrow(
    expect.objectContaining({
      code: "schedule_invalid",
      details: { issues: [{ path, message: expect.stringContaining("expected") }] },
    }),
  );
});

test.each(["", "Nowhere/Land", "+05:30", "UTC+3", "Europe/Berlin "])("refuses %j as a time zone", (zone) => {
  expect(() => cron("0 0 * * *", zone)).toThrow(
    expect.objectContaining({
      code: "schedule_invalid",
      details: { issues: [expect.objectContaining({ path: "time_zone" })] },
    }),
  );
});

test.each(["0 0 * * THU", "0 0 * JAN-mar ?", "0 0 L * *", "@daily", "0 30 2 * * 1-5", "  5 4 * * 1#2 "])(
  "takes %j",
  (expression) => {
    expect(cron(expression).after(Date.parse("2026-11-21T00:00Z"))).toBeGreaterThan(0);
  },
);

const ZONES = [
  "UTC",
  "Europe/Berlin",
  "America/New_York",
  "America/Santiago",
  "Asia/Kathmandu",
  "Pacific/Chatham",
  "Africa/Casablanca",
];
const field = (min: number, max: number) =>
  fc.oneof(
    fc.constant("*"),
    fc.integer({ min, max }).map(String),
    fc.uniqueArray(fc.integer({ min, max }), { minLength: 1, maxLength: 4 }).map((list) => list.join(",")),
    fc.integer({ min: 2, max: 20 }).map((step) => `*/${step}`),
    fc.tuple(fc.integer({ min, max }), fc.integer({ min, max })).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`),
  );
const expressions = fc
  .tuple(
    field(0, 59),
    field(0, 23),
    fc.constantFrom("*", "1", "15", "28"),
    fc.constantFrom("*", "3,10", "*/2"),
    fc.constantFrom("*", "1-5", "0"),
  )
  .map((fields) => fields.join(" "));
/** Around the changes of clocks, and elsewhere. */
const starts = fc
  .oneof(
    fc
      .constantFrom(
        "2026-03-29T01:00Z",
        "2026-10-25T01:00Z",
        "2026-03-08T07:00Z",
        "2026-11-01T06:00Z",
        "2026-09-06T04:00Z",
        "2026-04-05T03:00Z",
      )
      .map(Date.parse),
    fc.integer({ min: Date.parse("2025-01-01T00:00Z"), max: Date.parse("2030-01-01T00:00Z") }),
  )
  .chain((ms) => fc.integer({ min: -6 * 3_600_000, max: 6 * 3_600_000 }).map((more) => ms + more));

describe("whatever the expression, the zone and the moment", () => {
  test("the next time is later, on a whole minute, and on one that the expression names, or right after one that the clocks left out", () => {
    fc.assert(
      fc.property(expressions, fc.constantFrom(...ZONES), starts, (expression, zone, ms) => {
        const next = cron(expression, zone).after(ms) ?? Number.NaN;
        expect(next).toBeGreaterThan(ms);
        expect(next % 60_000).toBe(0);
        const wall = wallOf(next, zone);
        const minutes = valuesOf(expression.split(" ")[0] ?? "", 0, 59);
        expect(minutes).toContain(wall.minute);
        const hours = valuesOf(expression.split(" ")[1] ?? "", 0, 23);
        // The hour before this one was left out where three hours ago it was not three hours earlier.
        const isAfterGap = wallOf(next - 3 * 3_600_000, zone).hour !== (wall.hour + 21) % 24;
        if (!isAfterGap) expect(hours).toContain(wall.hour);
      }),
      { numRuns: 300 },
    );
  });

  test("the chain of times is the same from wherever one asks", () => {
    fc.assert(
      fc.property(
        expressions,
        fc.constantFrom(...ZONES),
        starts,
        fc.integer({ min: 1, max: 5 * 3_600_000 }),
        (expression, zone, ms, more) => {
          const times = cron(expression, zone);
          const later = ms + more;
          let next = times.after(ms);
          while (next !== null && next <= later) next = times.after(next);
          expect(times.after(later)).toBe(next);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("no time in between is left out: away from changes of clocks it is what minute by minute finds", () => {
    fc.assert(
      fc.property(expressions, fc.constantFrom("UTC", "Asia/Kathmandu"), starts, (expression, zone, ms) => {
        const next = cron(expression, zone).after(ms);
        const limit = ms + 2 * 86_400_000;
        let minute = (Math.floor(ms / 60_000) + 1) * 60_000;
        while (minute < limit && !matches(expression, wallOf(minute, zone))) minute += 60_000;
        if (minute < limit) expect(next).toBe(minute);
        else expect(next).toBeGreaterThanOrEqual(limit);
      }),
      { numRuns: 60 },
    );
  }, 60_000);
});

describe("an interval", () => {
  const times = timesOf({ kind: "interval", intervalMs: 1_500, anchorMs: 10_000 });
  test("is counted from its anchor, the first time one interval later", () => {
    expect([0, 10_000, 11_499, 11_500, 13_000].map((ms) => times.after(ms))).toEqual([
      11_500, 11_500, 11_500, 13_000, 14_500,
    ]);
  });
  test("looks back by as many times as asked", () => {
    expect(times.before(20_000, 3)).toBe(14_500);
  });
});

type Wall = { minute: number; hour: number; day: number; month: number; weekday: number };
const formats = new Map<string, Intl.DateTimeFormat>();

/** What the clocks show, by the platform and not by the library under test. */
function wallOf(ms: number, timeZone: string): Wall {
  const format =
    formats.get(timeZone) ??
    new Intl.DateTimeFormat("en-GB", {
      timeZone,
      hourCycle: "h23",
      minute: "numeric",
      hour: "numeric",
      day: "numeric",
      month: "numeric",
      weekday: "short",
    });
  formats.set(timeZone, format);
  const parts = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, value]));
  return {
    minute: Number(parts.minute),
    hour: Number(parts.hour),
    day: Number(parts.day),
    month: Number(parts.month),
    weekday: ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"].indexOf(parts.weekday ?? ""),
  };
}

function valuesOf(text: string, min: number, max: number): number[] {
  return text.split(",").flatMap((part) => {
    const [range = "", step = "1"] = part.split("/");
    const [from = min, to = from] = range === "*" ? [min, max] : range.split("-").map(Number);
    const values: number[] = [];
    for (let value = from; value <= to; value += Number(step)) values.push(value);
    return values;
  });
}

function matches(expression: string, wall: Wall): boolean {
  const [minute = "", hour = "", day = "", month = "", weekday = ""] = expression.split(" ");
  const has = (text: string, min: number, max: number, value: number) => valuesOf(text, min, max).includes(value);
  const inDay =
    day !== "*" && weekday !== "*"
      ? has(day, 1, 31, wall.day) || has(weekday, 0, 7, wall.weekday)
      : has(day, 1, 31, wall.day) && has(weekday, 0, 7, wall.weekday);
  return has(minute, 0, 59, wall.minute) && has(hour, 0, 23, wall.hour) && has(month, 1, 12, wall.month) && inDay;
}
