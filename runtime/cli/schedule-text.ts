/** Schedules for people to read: one as a block of facts, many as a table. */
import type { Schedule } from "../client/schedules.ts";
import { memberTexts } from "../wire/json-text.ts";
import type { Paper, Style } from "./screen.ts";
import { duration, fitted, oneLine, widthOf } from "./text.ts";

const NAME_COLUMNS = 11;
const STYLES = { active: "green", paused: "yellow", disabled: "red" } as const satisfies Record<
  Schedule["state"],
  Style
>;

/** `nowMs`: wall clock, for "in 3 s". Long values are cut on a terminal only. */
export function scheduleBlock(schedule: Schedule, paper: Paper, nowMs: number): string {
  const room = paper.isTerminal ? Math.max(40, paper.columns) - NAME_COLUMNS - 3 : Number.POSITIVE_INFINITY;
  const facts = factsOf(schedule, nowMs).filter((fact): fact is [string, string] => fact[1] !== null);
  return [
    `${paper.style("bold", oneLine(schedule.name))}  ${paper.style(STYLES[schedule.state], schedule.state)}`,
    ...facts.map(
      ([name, value]) => `  ${paper.style("dim", name.padEnd(NAME_COLUMNS))}${fitted(oneLine(value), room)}`,
    ),
  ].join("\n");
}

const HEAD = ["NAME", "STATE", "TASK", "WHEN", "NEXT", "FIRED", "ID"];

export function scheduleTable(schedules: readonly Schedule[], nowMs: number): string[] {
  const rows = [HEAD, ...schedules.map((schedule) => cellsOf(schedule, nowMs).map(oneLine))];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => widthOf(row[column] ?? ""))));
  return rows.map((row) =>
    row
      .map((cell, column) => cell + " ".repeat((widths[column] ?? 0) - widthOf(cell)))
      .join("  ")
      .trimEnd(),
  );
}

function cellsOf(schedule: Schedule, nowMs: number): string[] {
  const next = schedule.nextAt === null ? "-" : `in ${duration(+schedule.nextAt - nowMs)}`;
  const { name, state, task, fired, scheduleId } = schedule;
  return [name, state, task, whenOf(schedule), next, String(fired), scheduleId];
}

function factsOf(schedule: Schedule, nowMs: number): [string, string | null][] {
  const { problem, nextAt, lastFiredFor, lastTaskId } = schedule;
  const labels = Object.entries(schedule.labels).map(([name, value]) => `${name}=${value}`);
  const catchUp = schedule.catchUp === "all" ? `all, at most ${schedule.catchUpLimit}` : schedule.catchUp;
  return [
    ["id", schedule.scheduleId],
    ["task", schedule.task],
    ["input", schedule.input === null ? null : (memberTexts(schedule.json).get("input") ?? null)],
    ["queue", schedule.queue],
    ["priority", schedule.priority === null ? null : String(schedule.priority)],
    ["labels", labels.length === 0 ? null : labels.join(" ")],
    ["when", whenOf(schedule)],
    ["catch-up", catchUp],
    ["overlap", schedule.overlap],
    ["next", nextAt === null ? null : `${nextAt.toISOString()} (in ${duration(+nextAt - nowMs)})`],
    ["fired", String(schedule.fired)],
    ["overlapped", schedule.overlapped === 0 ? null : String(schedule.overlapped)],
    ["last time", lastFiredFor === null ? null : lastFiredFor.toISOString()],
    ["last task", lastTaskId],
    ["problem", problem === null ? null : `${problem.code}: ${problem.message} (${problem.at.toISOString()})`],
    ["created", schedule.createdAt.toISOString()],
  ];
}

function whenOf({ cron, timeZone, intervalMs }: Schedule): string {
  return intervalMs === null ? `${cron} ${timeZone}` : `every ${duration(intervalMs)}`;
}
