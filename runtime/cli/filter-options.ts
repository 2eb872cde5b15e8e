/** The options that say which tasks are meant, the same for a list and for what is done to many. */
import { type Command, InvalidArgumentError } from "commander";
import type { TaskFilter } from "../client/tasks.ts";
import { TASK_STATES, type TaskState } from "../model/task.ts";
import { label, pointInTime, span } from "./option-values.ts";

export type FilterOptions = {
  readonly state?: readonly TaskState[];
  readonly task?: string;
  readonly queue?: string;
  readonly label?: Readonly<Record<string, string>>;
  readonly createdAfter?: Date;
  readonly createdBefore?: Date;
};

const YEAR_MS = 31_536_000_000;

export function addFilterOptions(command: Command, nowMs: () => number): Command {
  const time = (text: string): Date => timeOrAge(text, nowMs());
  return command
    .option("--state <states>", "one or several: failed,cancelled", states)
    .option("--task <name>", "name of the task")
    .option("--queue <name>", "name of the queue")
    .option("--label <name=value>", "may be repeated; all have to match", label)
    .option("--created-after <time>", "2026-12-24T18:00:00Z, or 15m, 2h, 3d ago", time)
    .option("--created-before <time>", "the same", time);
}

export function filterOf(options: FilterOptions): TaskFilter {
  const { state, task, queue, label: labels, createdAfter, createdBefore } = options;
  return {
    ...(state !== undefined && { states: state }),
    ...(task !== undefined && { task }),
    ...(queue !== undefined && { queue }),
    ...(labels !== undefined && { labels }),
    ...(createdAfter !== undefined && { createdAfter }),
    ...(createdBefore !== undefined && { createdBefore }),
  };
}

export function isEmpty(options: FilterOptions): boolean {
  return Object.keys(filterOf(options)).length === 0;
}

function states(text: string): readonly TaskState[] {
  const words = text.split(",").map((word) => word.trim());
  const known = words.flatMap((word) => TASK_STATES.find((state) => state === word) ?? []);
  if (known.length === words.length) return known;
  throw new InvalidArgumentError(`Expected states out of ${TASK_STATES.join(", ")}, separated by commas.`);
}

/** A point in time, or how long ago. */
export function timeOrAge(text: string, nowMs: number): Date {
  return /^\d+(\.\d+)?[smhd]$/.test(text) ? new Date(nowMs - span(0, 10 * YEAR_MS)(text)) : pointInTime(text);
}
