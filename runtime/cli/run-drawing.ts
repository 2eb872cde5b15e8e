/**
 * A watched run as lines of a terminal: a line a step, an error below the step it belongs to. Where a run has more steps than the terminal has
 * lines, those that are over well and those that wait are told in one line each, and the room is for what runs and what failed.
 */

import { WHOLE_RUN_KEY } from "../model/run.ts";
import type { TaskState } from "../model/task.ts";
import { styleOf } from "./progress.ts";
import type { RunProgress, WatchedStep } from "./run-progress.ts";
import type { Paper } from "./screen.ts";
import { duration, fitted, oneLine, widthOf } from "./text.ts";

export type Frame = {
  /** Wall clock, for what runs. */
  readonly nowMs: number;
  /** Since the watch began. */
  readonly elapsedMs: number;
  /** How often it was drawn: what runs turns. */
  readonly number: number;
  readonly isAway: boolean;
};

const FRAMES = [..."⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"];
const MAX_KEY_COLUMNS = 40;
const BAR_COLUMNS = 10;
/** Names of steps that another waits for. */
const MAX_WAITED_FOR = 3;

export const SIGNS: Readonly<Record<TaskState, string>> = {
  blocked: "·",
  queued: "◌",
  running: "▶",
  succeeded: "✔",
  failed: "✖",
  cancelled: "⊘",
  skipped: "↷",
};

/** At most as many lines as the terminal has, with one for the cursor. */
export function drawRun(run: RunProgress, paper: Paper, frame: Frame): string[] {
  const columns = Math.max(20, paper.columns - 1);
  const room = Math.max(3, paper.rows - 2);
  const foot = footOf(run, paper, frame, columns);
  const total = run.steps.reduce((sum, step) => sum + (errorOf(step) === null ? 1 : 2), 0);
  // Keys have letters, digits, _ and - only.
  const keyColumns = run.steps.reduce(
    (most, { key }) => Math.max(most, Math.min(MAX_KEY_COLUMNS, nameOf(key).length)),
    8,
  );
  const draw = (step: WatchedStep): string[] => linesOf(step, keyColumns, columns, paper, frame);
  if (total <= room) return [...run.steps.flatMap(draw), foot];
  return [...folded(run.steps, room, draw, paper), foot];
}

/** Everything that is not worth a line of its own in one for its kind. */
function folded(
  steps: readonly WatchedStep[],
  room: number,
  draw: (step: WatchedStep) => string[],
  paper: Paper,
): string[] {
  const of = (...states: TaskState[]) => steps.filter(({ state }) => states.includes(state));
  const failed = of("failed", "cancelled");
  const running = of("running");
  // A step that is tried again is not waiting for anybody.
  const waiting = of("blocked", "queued").toSorted((a, b) => b.attempt - a.attempt);
  const done = [
    [of("succeeded").length, "succeeded", "succeeded"],
    [of("skipped").length, "skipped", "skipped"],
  ] as const;
  const head = done.flatMap(([count, word, state]) =>
    count === 0 ? [] : [`  ${paper.style(styleOf({ state }), SIGNS[state])} ${number(count)} ${word}`],
  );
  // Each kind that is cut short, and each that is told in one line, needs one.
  const left = Math.max(2, room - head.length - 3);
  const failedRoom = Math.min(2 * failed.length, running.length === 0 ? left : Math.ceil(left / 3));
  const failedLines = cut(failed, failedRoom, draw, (count) => `  … ${number(count)} more did not succeed`);
  const runningLines = cut(
    running,
    left - failedLines.length,
    draw,
    (count) => `  … ${number(count)} more are running`,
  );
  const waitingRoom = left - failedLines.length - runningLines.length;
  const waitingLines = cut(waiting, waitingRoom, draw, (count) => `  … ${number(count)} more are waiting`);
  return [...head, ...failedLines, ...runningLines, ...waitingLines];
}

function cut(
  steps: readonly WatchedStep[],
  room: number,
  draw: (step: WatchedStep) => string[],
  rest: (count: number) => string,
): string[] {
  const lines: string[] = [];
  for (const [at, step] of steps.entries()) {
    const more = draw(step);
    if (lines.length + more.length > room) return [...lines, rest(steps.length - at)];
    lines.push(...more);
  }
  return lines;
}

function linesOf(step: WatchedStep, keyColumns: number, columns: number, paper: Paper, frame: Frame): string[] {
  const { state } = step;
  const sign = state === "running" ? (FRAMES[frame.number % FRAMES.length] ?? "") : SIGNS[state];
  const name = fitted(nameOf(step.key), keyColumns);
  const pad = " ".repeat(Math.max(0, keyColumns - widthOf(name)));
  const time = durationOf(step, frame.nowMs).padStart(9);
  const notes = notesOf(step).join(" · ");
  const text = fitted(`${pad} ${time}  ${notes}`.trimEnd(), Math.max(1, columns - 4 - widthOf(name)));
  const line = `  ${paper.style(styleOf(step), sign)} ${isIdle(step) ? paper.style("dim", name) : name}${paper.style("dim", text)}`;
  const error = errorOf(step);
  if (error === null) return [line];
  return [line, `    ${paper.style("red", fitted(error, columns - 4))}`];
}

function nameOf(key: string): string {
  return key === WHOLE_RUN_KEY ? "all in one task" : key;
}

function isIdle({ state }: WatchedStep): boolean {
  return state === "blocked" || state === "skipped";
}

function durationOf({ startedMs, endedMs, state }: WatchedStep, nowMs: number): string {
  if (startedMs === null) return "";
  if (endedMs !== null) return duration(endedMs - startedMs);
  return state === "running" ? duration(nowMs - startedMs) : "";
}

function notesOf(step: WatchedStep): string[] {
  const { state, attempt, progress, message, elements } = step;
  const isRunning = state === "running";
  return [
    ...(elements === null || attempt === 0 ? [] : elementNotes(elements)),
    ...(isRunning && progress !== null ? [bar(progress)] : []),
    ...(isRunning && message !== null ? [oneLine(message)] : []),
    ...(attempt > 1 ? [`attempt ${attempt}`] : []),
    ...(state === "queued" ? ["will be tried again"] : []),
    ...(state === "skipped" || state === "cancelled" ? [state] : []),
    ...(state === "blocked" ? waitsFor(step) : []),
  ];
}

function elementNotes({ total, over, failed, states }: NonNullable<WatchedStep["elements"]>): string[] {
  if (total === null && states.size === 0) return [];
  const all = total ?? states.size;
  const count = `${number(over)}/${number(all)}`;
  return [
    all === 0 || over === all ? count : `${bar(over / all)} ${count}`,
    ...(failed === 0 ? [] : [`${number(failed)} failed`]),
  ];
}

function waitsFor({ parents }: WatchedStep): string[] {
  const open = parents.filter(({ state }) => state === "blocked" || state === "queued" || state === "running");
  if (open.length === 0) return ["queued"];
  const names = open.slice(0, MAX_WAITED_FOR).map(({ key }) => key);
  const more = open.length > names.length ? ` and ${open.length - names.length} more` : "";
  return [`after ${names.join(", ")}${more}`];
}

/** What stands below the line of a step. */
function errorOf({ state, error }: WatchedStep): string | null {
  const isShown = error !== null && (state === "failed" || state === "queued" || state === "running");
  return isShown ? oneLine(`${error.code}: ${error.message}`) : null;
}

function footOf({ state, counts }: RunProgress, paper: Paper, frame: Frame, columns: number): string {
  const { blocked, queued, running, succeeded, failed, cancelled, skipped } = counts;
  const over = succeeded + failed + cancelled + skipped;
  const all = over + blocked + queued + running;
  const parts = [
    `${number(over)} of ${number(all)}`,
    ...(running > 0 ? [`${number(running)} running`] : []),
    ...(queued > 0 ? [`${number(queued)} queued`] : []),
    ...(failed > 0 ? [`${number(failed)} failed`] : []),
    duration(frame.elapsedMs),
    ...(frame.isAway ? ["the API does not answer, trying again"] : []),
  ];
  return `${paper.style(styleOf({ state }), state)} ${fitted(parts.join(" · "), columns - state.length - 1)}`;
}

function bar(fraction: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, fraction)) * BAR_COLUMNS);
  return `${"█".repeat(filled)}${"░".repeat(BAR_COLUMNS - filled)} ${Math.floor(fraction * 100)} %`;
}

function number(count: number): string {
  return count.toLocaleString("en-US");
}
