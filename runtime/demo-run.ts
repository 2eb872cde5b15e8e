/** What `npm run demo -- --exit` does after its tasks: a run of the job `etl`, followed to its end, and when each of its steps ran. */

import { styleText } from "node:util";
import { SIGNS } from "./cli/run-drawing.ts";
import { tableLines } from "./cli/table.ts";
import { duration, oneLine, wrapped } from "./cli/text.ts";
import type { Client } from "./client/client.ts";
import type { Run, RunStep } from "./client/run.ts";
import { drawProgress, endProgress } from "./demo-progress.ts";

/** Resolves when the run is over, however it ended. */
export async function followRun(client: Client, job: string, signal: AbortSignal): Promise<Run> {
  const { runId } = await client.runs.start({ job });
  try {
    for await (const event of client.runs.watch(runId, { signal })) {
      if (event.kind !== "run") continue;
      const { blocked, queued, running, ...over } = event.counts;
      const finished = Object.values(over).reduce((sum, count) => sum + count, 0);
      drawProgress({ finished, running, queued: queued + blocked });
    }
  } finally {
    endProgress();
  }
  return await client.runs.get(runId);
}

const BAR_COLUMNS = 24;
const MAX_COLUMNS = 79;

/** How the whole went, and for each step how long it took and where in the run that was. */
export function runLines(run: Run): string[] {
  const { job, state, steps, createdAt, finishedAt, result } = run;
  const beganMs = Number(createdAt);
  const tookMs = Math.max(1, Number(finishedAt ?? createdAt) - beganMs);
  const rows = tableLines(
    steps.map((step) => [
      SIGNS[step.state],
      step.key,
      step.durationMs === null ? step.state : duration(step.durationMs),
      barOf(step, beganMs, tookMs),
      noteOf(step),
    ]),
    MAX_COLUMNS - 2,
  );
  const count = `${steps.length} ${steps.length === 1 ? "step" : "steps"}`;
  return [
    `run of ${job ?? "a graph"} ${state}: ${count} in ${duration(tookMs)}`,
    ...rows.map((row, at) => {
      const failed = steps[at]?.state !== "succeeded";
      return `  ${failed ? styleText("yellow", row) : row}`;
    }),
    ...(state === "succeeded" ? indented(wrapped(JSON.stringify(result), MAX_COLUMNS - 2)) : []),
  ];
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`);
}

/** From the start of the step to its end, on the time of the run. */
function barOf({ startedAt, finishedAt }: RunStep, beganMs: number, tookMs: number): string {
  if (startedAt === null || finishedAt === null) return " ".repeat(BAR_COLUMNS);
  const columnOf = (at: Date) => Math.round(((Number(at) - beganMs) / tookMs) * BAR_COLUMNS);
  const first = Math.min(BAR_COLUMNS - 1, Math.max(0, columnOf(startedAt)));
  const length = Math.max(1, Math.min(BAR_COLUMNS, columnOf(finishedAt)) - first);
  return `${"░".repeat(first)}${"█".repeat(length)}`.padEnd(BAR_COLUMNS, "░");
}

function noteOf({ elements, error, attempt }: RunStep): string {
  return [
    elements === null ? "" : `${elements.succeeded} of ${elements.total} elements`,
    attempt > 1 && elements === null ? `attempt ${attempt}` : "",
    error === null ? "" : oneLine(`${error.code}: ${error.message}`),
  ]
    .filter((note) => note !== "")
    .join(" · ");
}
