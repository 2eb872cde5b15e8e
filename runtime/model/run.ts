/** The words for a run's life: its states, its health as a launcher sees it, and how its steps are counted. */
import type { TaskState } from "./task.ts";

export const RUN_STATES = ["running", "succeeded", "failed", "cancelled"] as const;
export type RunState = (typeof RUN_STATES)[number];

/**
 * - `running` some step runs
 * - `waiting` nothing runs, something is queued: also what is due later, or waits for a limit
 * - `stalled` nothing runs and nothing is queued, though steps are open: somebody has to look
 * - `finished` the run is over
 */
export const RUN_HEALTHS = ["running", "waiting", "stalled", "finished"] as const;
export type RunHealth = (typeof RUN_HEALTHS)[number];

/** How many steps and elements of a run are in each state. */
export type StepCounts = Readonly<Record<TaskState, number>>;

export const NO_STEPS: StepCounts = {
  blocked: 0,
  queued: 0,
  running: 0,
  succeeded: 0,
  failed: 0,
  cancelled: 0,
  skipped: 0,
};

export function healthOf(state: RunState, counts: Pick<StepCounts, "queued" | "running">): RunHealth {
  if (state !== "running") return "finished";
  if (counts.running > 0) return "running";
  return counts.queued > 0 ? "waiting" : "stalled";
}

/** The task that a run of mode `simple` is. */
export const SIMPLE_RUN_TASK = "taskiq.simple_run";

/** The step key of the one row that a run of mode `simple` has. */
export const WHOLE_RUN_KEY = "*";

/** The mapped step that an element belongs to; null: this is no element. */
export function mappedKeyOf(key: string): string | null {
  return key.endsWith("]") ? key.slice(0, key.lastIndexOf("[")) : null;
}
