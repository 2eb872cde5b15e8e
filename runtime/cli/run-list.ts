/** `taskiq-aws run list`: runs by filter, newest first. */
import type { RunSummary } from "../client/run.ts";
import type { RunFilter } from "../client/runs.ts";
import { systemClock } from "../clock.ts";
import type { RunState } from "../model/run.ts";
import { openClient } from "./api-client.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import type { Screen } from "./screen.ts";
import { tableLines } from "./table.ts";
import { duration } from "./text.ts";

export type RunListOptions = {
  readonly url: string;
  readonly state?: readonly RunState[];
  readonly job?: string;
  readonly label?: Readonly<Record<string, string>>;
  readonly createdAfter?: Date;
  readonly createdBefore?: Date;
  readonly limit: number;
  readonly all?: true;
  readonly json?: true;
};

/** Rows that are lined up with each other where all are shown. */
const BLOCK = 100;
const HEAD = ["ID", "STATE", "JOB", "STEPS", "CREATED", "NOTE"];

export async function listRuns(options: RunListOptions, screen: Screen): Promise<ExitCode> {
  const { url, limit, all, json } = options;
  const most = all === true ? Number.POSITIVE_INFINITY : limit;
  const nowMs = systemClock.wallMs();
  const columns = screen.out.isTerminal ? Math.max(60, screen.out.columns) : Number.POSITIVE_INFINITY;
  let block: RunSummary[] = [];
  let count = 0;
  const tell = (isFirst: boolean): void => {
    const rows = block.map((run) => rowOf(run, nowMs));
    for (const line of tableLines(isFirst ? [HEAD, ...rows] : rows, columns)) screen.out.line(line);
    block = [];
  };

  for await (const run of openClient(url).runs.list(filterOf(options))) {
    if (count === most) {
      screen.notes.line(`There are more. --limit ${limit * 10} or --all shows them.`);
      break;
    }
    count++;
    if (json === true) screen.out.line(JSON.stringify(run));
    else if (block.push(run) === BLOCK) tell(count === BLOCK);
  }
  if (block.length > 0) tell(count === block.length);
  if (count === 0 && json !== true) screen.notes.line("No run matches.");
  return EXIT.ok;
}

function filterOf({ state, job, label, createdAfter, createdBefore }: RunListOptions): RunFilter {
  return {
    ...(state !== undefined && { states: state }),
    ...(job !== undefined && { job }),
    ...(label !== undefined && { labels: label }),
    ...(createdAfter !== undefined && { createdAfter }),
    ...(createdBefore !== undefined && { createdBefore }),
  };
}

function rowOf(run: RunSummary, nowMs: number): string[] {
  const { runId, state, job, stepCount, openSteps, createdAt } = run;
  const ago = `${duration(nowMs - Number(createdAt))} ago`;
  return [runId, state, job ?? "-", `${stepCount - openSteps}/${stepCount}`, ago, noteOf(run)];
}

function noteOf({
  state,
  error,
  failedSteps,
  finishedAt,
  createdAt,
  cancelRequested,
  cancelReason,
}: RunSummary): string {
  return [
    error === null ? "" : `${error.code}: ${error.message}`,
    failedSteps === 0 ? "" : `${failedSteps} failed`,
    state === "running" && cancelRequested ? "is being stopped" : "",
    state === "cancelled" ? (cancelReason ?? "") : "",
    finishedAt === null ? "" : `took ${duration(Number(finishedAt) - Number(createdAt))}`,
  ]
    .filter((note) => note !== "")
    .join(" · ");
}
