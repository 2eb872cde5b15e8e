/** The progress of a task: one line that is drawn again and again on a terminal, else a line for each change. */
import type { Task } from "../client/task.ts";
import type { Clock } from "../clock.ts";
import { isTerminal } from "../model/task.ts";
import type { Paper, Style } from "./screen.ts";
import { duration, fitted, oneLine } from "./text.ts";

export type ProgressView = {
  update(task: Task): void;
  /** The API cannot be reached at the moment. */
  away(): void;
  /** Ends the line. Nothing may be written to this paper in between. */
  end(): void;
};

const FRAMES = [..."⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"];
const FRAME_MS = 100;
const BAR_COLUMNS = 16;
const BAR_NEEDS_COLUMNS = 60;
const AWAY = "the API does not answer, trying again";

/** Shows what `update` is told; the time that passes by itself. */
export function startProgressView(paper: Paper, clock: Clock): ProgressView {
  const startedMs = clock.nowMs();
  const elapsed = (): string => duration(clock.nowMs() - startedMs);
  return paper.isTerminal ? liveView(paper, clock, elapsed) : plainView(paper, clock, elapsed);
}

/** What a finished task comes to, for the end: `succeeded · attempt 1 · 3.2 s`. */
export function describeEnd(task: Task, paper: Paper): string {
  const sign = task.state === "succeeded" ? "✔" : "✖";
  const ran = task.startedAt === null || task.finishedAt === null ? null : +task.finishedAt - +task.startedAt;
  const rest = [task.attempt > 0 ? ` · attempt ${task.attempt}` : "", ran === null ? "" : ` · ran ${duration(ran)}`];
  return `${paper.style(styleOf(task), `${sign} ${task.state}`)}${rest.join("")}`;
}

/** The colour of a state. */
export function styleOf({ state }: Pick<Task, "state">): Style {
  switch (state) {
    case "succeeded":
      return "green";
    case "failed":
      return "red";
    case "running":
      return "cyan";
    case "cancelled":
    case "skipped":
      return "yellow";
    case "blocked":
    case "queued":
      return "dim";
  }
}

function liveView(paper: Paper, clock: Clock, elapsed: () => string): ProgressView {
  const ended = new AbortController();
  let task: Task | undefined;
  let isAway = false;
  let frame = 0;

  function draw(): void {
    const fraction = paper.columns < BAR_NEEDS_COLUMNS ? percent : bar;
    const parts = describe(task, isAway, elapsed(), clock.wallMs(), fraction);
    // The last column stays free: some terminals go to the next line when it is written.
    const text = fitted(parts.join(" · "), paper.columns - 3);
    paper.redraw(`${paper.style("cyan", FRAMES[frame++ % FRAMES.length] ?? "")} ${text}`);
  }

  async function keepDrawing(): Promise<void> {
    while (!ended.signal.aborted) {
      draw();
      await clock.after(FRAME_MS, ended.signal).catch(() => {});
    }
  }

  void keepDrawing();
  return {
    update(next) {
      task = next;
      isAway = false;
    },
    away() {
      isAway = true;
    },
    end() {
      ended.abort();
      paper.redraw("");
    },
  };
}

function plainView(paper: Paper, clock: Clock, elapsed: () => string): ProgressView {
  let shown = "";
  let task: Task | undefined;

  function show(isAway: boolean): void {
    const parts = (time: string): string =>
      describe(task, isAway, time, clock.wallMs(), percent)
        .filter((part) => part !== "")
        .join(" · ");
    // The time alone is no change.
    if (parts("") === shown) return;
    shown = parts("");
    paper.line(parts(elapsed()));
  }

  return {
    update(next) {
      task = next;
      // How it ended is told at the end.
      if (!isTerminal(next.state)) show(false);
    },
    away: () => show(true),
    end() {},
  };
}

function describe(
  task: Task | undefined,
  isAway: boolean,
  time: string,
  nowMs: number,
  fraction: (progress: number) => string,
): string[] {
  if (isAway) return [AWAY, time];
  if (task === undefined) return ["submitted", time];
  const { state, attempt, progress, progressMessage } = task;
  const dueInMs = +task.dueAt - nowMs;
  const isRunning = state === "running";
  return [
    state === "queued" && dueInMs > 1_000 ? `queued, due at ${task.dueAt.toISOString()}` : state,
    ...(attempt > 0 ? [isRunning ? `attempt ${attempt}` : `after attempt ${attempt}`] : []),
    time,
    ...(isRunning && progress !== null ? [fraction(progress)] : []),
    ...(isRunning && progressMessage !== null ? [oneLine(progressMessage)] : []),
  ];
}

function bar(progress: number): string {
  const filled = Math.round(progress * BAR_COLUMNS);
  return `${"█".repeat(filled)}${"░".repeat(BAR_COLUMNS - filled)} ${percent(progress)}`;
}

function percent(progress: number): string {
  return `${Math.floor(progress * 100)} %`;
}
