/** `taskiq-aws run show`: a run with its steps as it is now. */
import type { Run, RunStep } from "../client/run.ts";
import { systemClock } from "../clock.ts";
import { memberTexts } from "../wire/json-text.ts";
import { openClient } from "./api-client.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import { styleOf } from "./progress.ts";
import { SIGNS } from "./run-drawing.ts";
import type { Paper, Screen } from "./screen.ts";
import { tableLines } from "./table.ts";
import { duration, fitted, oneLine } from "./text.ts";

export type RunShowOptions = { readonly url: string; readonly json?: true };

const NAME_COLUMNS = 11;

export async function showRun(id: string, { url, json }: RunShowOptions, screen: Screen): Promise<ExitCode> {
  const run = await openClient(url).runs.get(id);
  if (json === true) {
    screen.out.line(run.json);
    return EXIT.ok;
  }
  for (const line of runLines(run, screen.out, systemClock.wallMs())) screen.out.line(line);
  if (run.stepsCursor !== null) {
    screen.notes.line(
      `These are the first ${run.steps.length} steps. The dashboard and GET /v1/runs/${id}/steps show all.`,
    );
  }
  return EXIT.ok;
}

/** `nowMs`: wall clock. Long values are cut on a terminal only; a pipe gets all. */
export function runLines(run: Run, paper: Paper, nowMs: number): string[] {
  const columns = paper.isTerminal ? Math.max(40, paper.columns) : Number.POSITIVE_INFINITY;
  const facts = factsOf(run, nowMs).filter((fact): fact is [string, string] => fact[1] !== null);
  return [
    `${paper.style("bold", run.job ?? "run of a graph")}  ${paper.style(styleOf(run), run.state)}`,
    ...facts.map(([name, value]) => {
      const room = columns - NAME_COLUMNS - 3;
      return `  ${paper.style("dim", name.padEnd(NAME_COLUMNS))}${fitted(oneLine(value), room)}`;
    }),
    "",
    ...stepLines(run.steps, paper, columns, nowMs),
  ];
}

function factsOf(run: Run, nowMs: number): [string, string | null][] {
  const texts = memberTexts(run.json);
  const labels = Object.entries(run.labels).map(([name, value]) => `${name}=${value}`);
  const when = (time: Date | null): string | null => (time === null ? null : whenOf(time, nowMs));
  const counts = Object.entries(run.counts).flatMap(([state, count]) => (count === 0 ? [] : [`${count} ${state}`]));
  const took = run.finishedAt === null ? "" : `, took ${duration(Number(run.finishedAt) - Number(run.createdAt))}`;
  return [
    ["id", run.runId],
    ["repeats", run.parentRunId],
    ["health", run.health === "finished" ? null : run.health],
    ["mode", run.mode === "orchestrated" ? null : run.mode],
    ["steps", counts.join(", ")],
    ["priority", run.priority === 0 ? null : String(run.priority)],
    ["labels", labels.length === 0 ? null : labels.join(" ")],
    ["created", when(run.createdAt)],
    ["deadline", when(run.deadlineAt)],
    ["finished", run.finishedAt === null ? null : `${when(run.finishedAt)}${took}`],
    ["cancelled", run.cancelRequested ? (run.cancelReason ?? "yes") : null],
    ["input", run.input === null ? null : (texts.get("input") ?? null)],
    ["result", run.state === "succeeded" ? resultOf(run, texts) : null],
    ["error", run.error === null ? null : `${run.error.code}: ${run.error.message}`],
  ];
}

function resultOf(run: Run, texts: ReadonlyMap<string, string>): string | null {
  return run.resultTooLarge ? "too large for one answer" : (texts.get("result") ?? null);
}

function stepLines(steps: readonly RunStep[], paper: Paper, columns: number, nowMs: number): string[] {
  const rows = tableLines(
    steps.map((step) => [SIGNS[step.state], step.key, step.state, timeOf(step, nowMs), noteOf(step, nowMs)]),
    columns - 2,
  );
  return steps.flatMap((step, at) => {
    const line = `  ${paper.style(styleOf(step), rows[at] ?? "")}`;
    const { error } = step;
    if (error === null || step.state === "cancelled") return [line];
    return [line, paper.style("dim", fitted(`      ${oneLine(`${error.code}: ${error.message}`)}`, columns - 1))];
  });
}

function timeOf({ durationMs, startedAt, state }: RunStep, nowMs: number): string {
  if (durationMs !== null) return duration(durationMs);
  return state === "running" && startedAt !== null ? duration(nowMs - Number(startedAt)) : "";
}

function noteOf(step: RunStep, nowMs: number): string {
  const { state, elements, attempt, progress, progressMessage, dueAt, parents } = step;
  const over = elements === null ? 0 : elements.total - elements.blocked - elements.queued - elements.running;
  return [
    elements === null ? "" : `${over}/${elements.total}${elements.failed > 0 ? ` (${elements.failed} failed)` : ""}`,
    attempt > 1 ? `attempt ${attempt}` : "",
    state === "running" && progress !== null ? `${Math.floor(progress * 100)} %` : "",
    state === "running" ? (progressMessage ?? "") : "",
    state === "queued" && dueAt !== null && Number(dueAt) > nowMs ? `due at ${dueAt.toISOString()}` : "",
    state === "blocked" && elements === null ? `after ${parents.join(", ")}` : "",
  ]
    .filter((note) => note !== "")
    .join(" · ");
}

function whenOf(time: Date, nowMs: number): string {
  const agoMs = nowMs - Number(time);
  return `${time.toISOString()} (${agoMs < 0 ? `in ${duration(-agoMs)}` : `${duration(agoMs)} ago`})`;
}
