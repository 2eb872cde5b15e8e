/** Shows a run to whoever watches it: drawn again and again on a terminal, else a line for each event. */
import type { RunEvent } from "../client/run-events.ts";
import type { Clock } from "../clock.ts";
import { drawRun } from "./run-drawing.ts";
import type { RunProgress } from "./run-progress.ts";
import type { Paper } from "./screen.ts";
import { duration, oneLine } from "./text.ts";

export type RunView = {
  /** After it was applied to the progress. */
  tell(event: RunEvent): void;
  /** The API cannot be reached at the moment. */
  away(): void;
  /** Draws it for the last time. Nothing may be written to this paper in between. */
  end(): void;
};

const FRAME_MS = 100;

/** `keptBefore`: of a run that repeats another, when it was created; what ended before that it has kept. */
export function startRunView(
  run: RunProgress,
  { paper, clock, keptBefore }: { readonly paper: Paper; readonly clock: Clock; readonly keptBefore: Date | null },
): RunView {
  return paper.isTerminal ? liveView(run, paper, clock) : plainView(run, paper, keptBefore);
}

function liveView(run: RunProgress, paper: Paper, clock: Clock): RunView {
  const ended = new AbortController();
  const startedMs = clock.nowMs();
  let isAway = false;
  let frames = 0;
  let drawn = 0;

  function draw(): void {
    const elapsedMs = clock.nowMs() - startedMs;
    const lines = drawRun(run, paper, { nowMs: clock.wallMs(), elapsedMs, number: frames++, isAway });
    paper.redrawLines(lines, drawn);
    drawn = lines.length;
  }

  async function keepDrawing(): Promise<void> {
    while (!ended.signal.aborted) {
      draw();
      await clock.after(FRAME_MS, ended.signal).catch(() => {});
    }
  }

  void keepDrawing();
  return {
    tell() {
      isAway = false;
    },
    away() {
      isAway = true;
    },
    end() {
      ended.abort();
      draw();
    },
  };
}

function plainView(run: RunProgress, paper: Paper, keptBefore: Date | null): RunView {
  let isAway = false;
  let kept = 0;
  /** When the attempt that is told of began. */
  const startedMs = new Map<string, number>();
  return {
    tell(event) {
      isAway = false;
      if (event.kind === "step" && keptBefore !== null && event.at < keptBefore) {
        if (event.change === "end") kept++;
        return;
      }
      if (event.kind === "step" && kept > 0) {
        paper.line(`  ${kept} ${kept === 1 ? "result is" : "results are"} kept`);
        kept = 0;
      }
      if (event.kind === "step" && event.change === "start") startedMs.set(event.key, Number(event.at));
      const line = describeEvent(event, startedMs);
      if (line !== null && (event.kind !== "progress" || run.state === "running")) paper.line(`  ${line}`);
      if (event.kind === "step" && event.change !== "start") startedMs.delete(event.key);
    },
    away() {
      if (!isAway) paper.line("the API does not answer, trying again");
      isAway = true;
    },
    end() {},
  };
}

/** Null: not worth a line. */
function describeEvent(event: RunEvent, startedMs: ReadonlyMap<string, number>): string | null {
  if (event.kind === "run") return null;
  if (event.kind === "progress") {
    const { key, progress, message, elements } = event;
    const parts = [
      ...(elements === null ? [] : [`${elements} elements`]),
      ...(progress === null ? [] : [`${Math.floor(progress * 100)} %`]),
      ...(message === null ? [] : [message]),
    ];
    return oneLine(`${key}: ${parts.join(" · ")}`);
  }
  const { key, change, attempt, state, at, outcome, error } = event;
  const fromMs = startedMs.get(key);
  const ran = fromMs === undefined ? "" : ` · ${duration(Number(at) - fromMs)}`;
  const why = error === null ? "" : `: ${error.code}: ${error.message}`;
  switch (change) {
    case "start":
      return oneLine(`${key} started${attempt > 1 ? ` · attempt ${attempt}` : ""}`);
    case "attempt":
      return oneLine(`${key} attempt ${attempt} ${outcome ?? ""}${ran}${why}`);
    case "end":
      return oneLine(`${key} ${state}${ran}${why}`);
  }
}
