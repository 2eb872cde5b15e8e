/**
 * Labels that say where a task goes, for callers who can label and nothing else: `taskiq/queue`, `taskiq/priority` (from -100 to 100), and on a run
 * `taskiq/run_priority`, which is added to that of its steps. What is said in a field of its own wins over a tag, a tag over the definition.
 */

import { PRIORITY_LIMITS } from "./task.ts";

type Labels = Readonly<Record<string, string>>;

export const QUEUE_TAG = "taskiq/queue";
export const PRIORITY_TAG = "taskiq/priority";
export const RUN_PRIORITY_TAG = "taskiq/run_priority";

/** Undefined: there is no such tag. */
export function queueTagOf(labels: Labels | undefined): string | undefined {
  return labels?.[QUEUE_TAG];
}

/** Undefined: there is no such tag. NaN: it is no priority. */
export function priorityTagOf(labels: Labels | undefined, tag = PRIORITY_TAG): number | undefined {
  const text = labels?.[tag];
  if (text === undefined) return undefined;
  const value = /^-?\d{1,3}$/.test(text) ? Number(text) : Number.NaN;
  return value >= PRIORITY_LIMITS.min && value <= PRIORITY_LIMITS.max ? value : Number.NaN;
}

/** What was expected of a tag that is no priority. */
export function priorityProblem(labels: Labels | undefined, tag = PRIORITY_TAG): string | null {
  if (!Number.isNaN(priorityTagOf(labels, tag))) return null;
  return `expected a whole number from ${PRIORITY_LIMITS.min} to ${PRIORITY_LIMITS.max}, got ${JSON.stringify(labels?.[tag])}`;
}
