/** The form of a new schedule. */
import { describe, expect, test } from "vitest";
import { JsonText } from "../../../runtime/client/task-request.ts";
import { EMPTY_SCHEDULE, fieldIssues, readSchedule } from "../../../runtime/web/schedules/schedule-form.ts";
import { timingText } from "../../../runtime/web/schedules/schedule-text.ts";

const FILLED = { ...EMPTY_SCHEDULE, name: " nightly ", task: "sleep" };

describe("a filled form", () => {
  test("gives a schedule with what was said, and leaves the rest to the API", () => {
    expect(readSchedule(FILLED)).toEqual({
      kind: "schedule",
      schedule: {
        name: "nightly",
        task: "sleep",
        cron: "0 2 * * *",
        timeZone: "UTC",
        catchUp: "one",
        overlap: "allow",
      },
    });
  });

  test("gives an interval in place of a cron expression", () => {
    const read = readSchedule({ ...FILLED, kind: "interval", intervalSeconds: "2.5", paused: true });
    expect(read).toMatchObject({ kind: "schedule", schedule: { intervalMs: 2_500, paused: true } });
    expect(read.kind === "schedule" && read.schedule.cron).toBeUndefined();
  });

  test("hands the input on as the text that was typed: a browser would round its numbers", () => {
    const read = readSchedule({ ...FILLED, input: '{"id": 18446744073709551617}', labels: "team=data" });
    expect(read.kind === "schedule" && read.schedule.input).toEqual(new JsonText('{"id": 18446744073709551617}'));
    expect(read.kind === "schedule" && read.schedule.labels).toEqual({ team: "data" });
  });
});

test.each([
  ["name", { name: " " }],
  ["task", { task: "" }],
  ["input", { input: "{rows: 3}" }],
  ["cron", { cron: " " }],
  ["intervalSeconds", { kind: "interval", intervalSeconds: "0.5" }],
  ["intervalSeconds", { kind: "interval", intervalSeconds: "often" }],
  ["priority", { priority: "1.5" }],
  ["labels", { labels: "team" }],
] as const)("what is wrong with %s stands there alone", (field, changes) => {
  const read = readSchedule({ ...FILLED, ...changes });
  expect(read.kind === "wrong" && Object.keys(read.issues)).toEqual([field]);
});

test("the issues of the API stand at the fields that they are about", () => {
  const issues = [
    { path: "input.duration_seconds", message: "expected a number" },
    { path: "time_zone", message: "expected a zone" },
    { path: "", message: "something else" },
  ];
  expect(fieldIssues(issues)).toEqual({ input: "duration_seconds: expected a number", timeZone: "expected a zone" });
});

test("when a schedule fires can be said", () => {
  expect(timingText({ cron: "0 2 * * *", timeZone: "Europe/Berlin", intervalMs: null })).toBe(
    "0 2 * * * Europe/Berlin",
  );
  expect(timingText({ cron: null, timeZone: null, intervalMs: 90_000 })).toBe("every 1 m 30 s");
});
