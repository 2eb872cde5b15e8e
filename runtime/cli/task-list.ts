/** `taskiq-aws task list`: tasks by filter, newest first. */
import type { TaskSummary } from "../client/task.ts";
import { systemClock } from "../clock.ts";
import { openClient } from "./api-client.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import { type FilterOptions, filterOf } from "./filter-options.ts";
import type { Screen } from "./screen.ts";
import { tableLines } from "./table.ts";
import { duration } from "./text.ts";

export type TaskListOptions = FilterOptions & {
  readonly url: string;
  readonly limit: number;
  readonly all?: true;
  readonly json?: true;
};

/** Rows that are lined up with each other where all are shown. */
const BLOCK = 100;

export async function listTasks(options: TaskListOptions, screen: Screen): Promise<ExitCode> {
  const { url, limit, all, json } = options;
  const most = all === true ? Number.POSITIVE_INFINITY : limit;
  const nowMs = systemClock.wallMs();
  let block: TaskSummary[] = [];
  let count = 0;
  const tell = (isFirst: boolean): void => {
    const rows = block.map((task) => rowOf(task, nowMs));
    const lines = tableLines(isFirst ? [HEAD, ...rows] : rows, columnsOf(screen));
    for (const line of lines) screen.out.line(line);
    block = [];
  };

  for await (const task of openClient(url).tasks.iterate(filterOf(options))) {
    if (count === most) {
      screen.notes.line(`There are more. --limit ${limit * 10} or --all shows them.`);
      break;
    }
    count++;
    if (json === true) screen.out.line(JSON.stringify(task));
    else if (block.push(task) === BLOCK) tell(count === BLOCK);
  }
  if (block.length > 0) tell(count === block.length);
  if (count === 0 && json !== true) screen.notes.line("No task matches.");
  return EXIT.ok;
}

const HEAD = ["ID", "STATE", "TASK", "QUEUE", "ATTEMPT", "CREATED", "NOTE"];

function rowOf(task: TaskSummary, nowMs: number): string[] {
  const { taskId, state, queue, attempt, createdAt } = task;
  return [taskId, state, task.task, queue, String(attempt), `${duration(nowMs - +createdAt)} ago`, noteOf(task, nowMs)];
}

function noteOf(task: TaskSummary, nowMs: number): string {
  const { state, error, progress, progressMessage, dueAt, cancelRequested, worker } = task;
  if (state === "failed" && error !== null) return `${error.code}: ${error.message}`;
  if (state === "queued" && +dueAt - nowMs > 1_000) return `due in ${duration(+dueAt - nowMs)}`;
  if (state !== "running") return "";
  const parts = [progress === null ? "" : `${Math.floor(progress * 100)} %`, progressMessage ?? ""];
  return [...parts, `on ${worker ?? "?"}`, cancelRequested ? "is being stopped" : ""]
    .filter((part) => part !== "")
    .join(" ");
}

function columnsOf({ out }: Screen): number {
  return out.isTerminal ? Math.max(60, out.columns) : Number.POSITIVE_INFINITY;
}
