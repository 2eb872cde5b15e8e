/** The filter of the list of tasks as it stands in the address, as the API takes it, and in words. Pure. */
import type { TaskFilter } from "../../client/index.ts";
import { TASK_STATES, type TaskState } from "../../model/task.ts";
import { momentText } from "../components/time-text.ts";

export const TASK_PARAMS = ["state", "task", "queue", "label", "since", "after", "before", "at"] as const;

/** What `since` may be. */
export const SPANS = [
  ["15m", "Last 15 minutes", 900_000],
  ["1h", "Last hour", 3_600_000],
  ["24h", "Last 24 hours", 86_400_000],
  ["7d", "Last 7 days", 604_800_000],
] as const;

/** `since` where `after` and `before` say more. */
export const BETWEEN = "between";

export type ReadFilter = {
  readonly filter: TaskFilter;
  /** What is wrong with a parameter, which is then left out. */
  readonly issues: Readonly<Record<string, string>>;
};

/** @param nowMs what `since` counts from, in milliseconds since 1970 */
export function readTaskFilter(params: URLSearchParams, nowMs: number): ReadFilter {
  const issues: Record<string, string> = {};
  const states = TASK_STATES.filter((state) => params.getAll("state").includes(state));
  const labels = readLabels(params.get("label") ?? "");
  if (labels === undefined) issues.label = "Expected name=value, several of them with commas between.";
  const text = (name: "task" | "queue") => params.get(name) || undefined;
  const task = text("task");
  const queue = text("queue");
  return {
    filter: {
      ...(states.length > 0 && { states }),
      ...(task !== undefined && { task }),
      ...(queue !== undefined && { queue }),
      ...(labels !== undefined && Object.keys(labels).length > 0 && { labels }),
      ...readTimes(params, nowMs),
    },
    issues,
  };
}

/** `env=prod, team=a` as names and values; undefined: it is none. */
export function readLabels(text: string): Readonly<Record<string, string>> | undefined {
  const parts = text.split(",").map((part) => part.trim());
  const pairs = parts.filter((part) => part !== "").map((part) => [part.indexOf("="), part] as const);
  if (pairs.some(([at]) => at < 1)) return undefined;
  return Object.fromEntries(pairs.map(([at, part]) => [part.slice(0, at), part.slice(at + 1)]));
}

/** What a filter says, for a question about all that match: `failed tasks of sleep in the queue default`. */
export function filterText({ states, task, queue, labels, createdAfter, createdBefore }: TaskFilter): string {
  return [
    states === undefined ? "" : states.join(" or "),
    "tasks",
    task === undefined ? "" : `called ${task}`,
    queue === undefined ? "" : `in the queue ${queue}`,
    labels === undefined
      ? ""
      : `with ${Object.entries(labels)
          .map((pair) => pair.join("="))
          .join(" and ")}`,
    createdAfter === undefined ? "" : `accepted after ${momentText(createdAfter)}`,
    createdBefore === undefined ? "" : `accepted before ${momentText(createdBefore)}`,
  ]
    .filter((part) => part !== "")
    .join(" ");
}

/** Of what the filter is for, that an action is for: undefined where there is none of it. */
export function narrowed(filter: TaskFilter, allowed: readonly TaskState[]): TaskFilter | undefined {
  if (filter.states === undefined) return filter;
  const states = filter.states.filter((state) => allowed.includes(state));
  return states.length === 0 ? undefined : { ...filter, states };
}

/** When what is looked for was accepted. */
export function readTimes(params: URLSearchParams, nowMs: number): Pick<TaskFilter, "createdAfter" | "createdBefore"> {
  const since = params.get("since");
  const span = SPANS.find(([name]) => name === since);
  if (span !== undefined) return { createdAfter: new Date(nowMs - span[2]) };
  if (since !== BETWEEN) return {};
  const after = dateOf(params.get("after"));
  const before = dateOf(params.get("before"));
  return { ...(after && { createdAfter: after }), ...(before && { createdBefore: before }) };
}

function dateOf(text: string | null): Date | undefined {
  const date = text === null ? undefined : new Date(text);
  return date === undefined || Number.isNaN(date.getTime()) ? undefined : date;
}
