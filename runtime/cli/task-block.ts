/** A task for people to read: one fact a line, in a column that lines up. */
import type { Task } from "../client/task.ts";
import { isTerminal } from "../model/task.ts";
import { memberTexts } from "../wire/json-text.ts";
import { styleOf } from "./progress.ts";
import type { Paper } from "./screen.ts";
import { duration, fitted, oneLine } from "./text.ts";

const NAME_COLUMNS = 11;
const MAX_STACK_LINES = 12;

/** `nowMs`: wall clock, for "3 s ago". Long values are cut on a terminal only; a pipe gets all. */
export function taskBlock(task: Task, paper: Paper, nowMs: number): string {
  const columns = paper.isTerminal ? Math.max(40, paper.columns) : Number.POSITIVE_INFINITY;
  const facts = factsOf(task, nowMs).filter((fact): fact is [string, string] => fact[1] !== null);
  return [
    `${paper.style("bold", task.task)}  ${paper.style(styleOf(task), task.state)}`,
    ...facts.map(([name, value]) => {
      const room = columns - NAME_COLUMNS - 3;
      return `  ${paper.style("dim", name.padEnd(NAME_COLUMNS))}${cut(oneLine(value), room)}`;
    }),
    ...stackLines(task, columns).map((line) => paper.style("dim", line)),
  ].join("\n");
}

function factsOf(task: Task, nowMs: number): [string, string | null][] {
  const texts = memberTexts(task.json);
  const labels = Object.entries(task.labels).map(([name, value]) => `${name}=${value}`);
  const isWaiting = !isTerminal(task.state) && task.startedAt === null;
  return [
    ["id", task.taskId],
    ["queue", task.queue],
    ["attempt", attempts(task)],
    ["priority", task.priority === 0 ? null : String(task.priority)],
    ["labels", labels.length === 0 ? null : labels.join(" ")],
    ["created", when(task.createdAt, nowMs)],
    ["due", isWaiting || +task.dueAt - +task.createdAt > 1_000 ? when(task.dueAt, nowMs) : null],
    ["started", task.startedAt === null ? null : when(task.startedAt, nowMs)],
    ["finished", task.finishedAt === null ? null : `${when(task.finishedAt, nowMs)}${ran(task)}`],
    ["worker", task.worker],
    ["progress", progress(task)],
    ["input", texts.get("input") ?? null],
    ["result", task.state === "succeeded" ? (texts.get("result") ?? null) : null],
    ["error", task.error === null ? null : `${task.error.code}: ${task.error.type}: ${task.error.message}`],
  ];
}

function attempts({ attempt, failures, losses }: Task): string {
  const notes = [
    failures === 0 ? [] : [`${failures} ${failures === 1 ? "failure" : "failures"}`],
    losses === 0 ? [] : [`${losses} ${losses === 1 ? "worker" : "workers"} lost`],
  ].flat();
  return notes.length === 0 ? String(attempt) : `${attempt} (${notes.join(", ")})`;
}

function progress({ state, progress: fraction, progressMessage }: Task): string | null {
  if (state !== "running" || fraction === null) return null;
  return [`${Math.floor(fraction * 100)} %`, progressMessage ?? ""].join(" ");
}

function when(time: Date, nowMs: number): string {
  const agoMs = nowMs - +time;
  return `${time.toISOString()} (${agoMs < 0 ? `in ${duration(-agoMs)}` : `${duration(agoMs)} ago`})`;
}

function ran({ startedAt, finishedAt }: Task): string {
  return startedAt === null || finishedAt === null ? "" : `, ran ${duration(+finishedAt - +startedAt)}`;
}

function cut(value: string, columns: number): string {
  const note = ` (${value.length} characters, all with --json)`;
  const short = fitted(value, columns);
  return short === value ? value : `${fitted(value, columns - note.length)}${note}`;
}

function stackLines({ error }: Task, columns: number): string[] {
  // Its first line says again what the error's line says.
  const lines = error?.stack?.split("\n").slice(1) ?? [];
  const shown = Number.isFinite(columns) ? lines.slice(0, MAX_STACK_LINES) : lines;
  return shown.map((line) => fitted(`    ${oneLine(line)}`, columns - 1));
}
