/** What a step and a graph may say in numbers and words, beside their references. The shape is known to be right. */

import { GRAPH_LIMITS, type Graph, type Step } from "./graph.ts";
import { POLICY_LIMITS, PRIORITY_LIMITS } from "./task.ts";

type Bounds = { readonly min: number; readonly max: number };
type Report = (path: string, message: string) => void;

/** From 1 s to 365 d. */
export const DEADLINE_LIMITS = { min: 1_000, max: 31_536_000_000 } as const;
export const MAX_RUNNING_LIMITS = { min: 1, max: 1_000_000 } as const;
export const LABEL_LIMITS = { count: 50, nameChars: 200, chars: 1_000, reserved: "taskiq_aws" } as const;

const KEY = /^[A-Za-z0-9_-]{1,100}$/;

export function checkKey(key: string, report: Report): void {
  if (KEY.test(key)) return;
  report("key", `expected 1 to 100 letters, digits, _ and -, got ${JSON.stringify(key.slice(0, 100))}`);
}

export function checkBounds(step: Step, report: Report): void {
  within(step.priority, PRIORITY_LIMITS, "priority", report);
  within(step.retry?.max_attempts, POLICY_LIMITS.maxAttempts, "retry.max_attempts", report);
  within(step.retry?.backoff_ms, POLICY_LIMITS.backoffMs, "retry.backoff_ms", report);
  within(step.retry?.max_backoff_ms, POLICY_LIMITS.maxBackoffMs, "retry.max_backoff_ms", report);
  within(step.timeout_ms, POLICY_LIMITS.timeoutMs, "timeout_ms", report);
  within(step.grace_ms, POLICY_LIMITS.graceMs, "grace_ms", report);
  within(step.concurrency?.max_running, MAX_RUNNING_LIMITS, "concurrency.max_running", report);
  if (step.labels !== undefined) checkLabels(step.labels, report);
}

export function checkDeadline(graph: Graph, report: Report): void {
  within(graph.deadline_ms, DEADLINE_LIMITS, "deadline_ms", report);
}

/** Whether there are few enough steps for the rest to be looked at. */
export function checkSize({ steps }: Graph, report: Report): boolean {
  if (steps.length >= 1 && steps.length <= GRAPH_LIMITS.steps) return true;
  report("steps", `expected 1 to ${GRAPH_LIMITS.steps} steps, got ${steps.length}`);
  return false;
}

function checkLabels(given: Readonly<Record<string, string>>, report: Report): void {
  const labels = Object.entries(given);
  const { count, nameChars, chars, reserved } = LABEL_LIMITS;
  if (labels.length > count) return void report("labels", `expected at most ${count} labels, got ${labels.length}`);
  for (const [name, text] of labels) {
    const at = `labels.${name.slice(0, nameChars)}`;
    if (name.length > nameChars) report(at, `expected a name of at most ${nameChars} characters, got ${name.length}`);
    if (name.startsWith(reserved)) report(at, `names that start with ${reserved} are reserved`);
    if (text.length > chars) report(at, `expected at most ${chars} characters, got ${text.length}`);
  }
}

function within(value: number | undefined, { min, max }: Bounds, path: string, report: Report): void {
  if (value === undefined || (value >= min && value <= max)) return;
  report(path, `expected a number from ${min} to ${max}, got ${value}`);
}
