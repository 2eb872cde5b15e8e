/** What a node of the drawing says of the steps in it: how many are in each state, and the one state that stands for all. */
import { NO_STEPS, type StepCounts } from "../../model/run.ts";
import type { TaskState } from "../../model/task.ts";
import type { FoldedNode } from "./fold-steps.ts";
import { countsOf, type LiveRun, shownState } from "./live-run.ts";

export type NodeSummary = {
  readonly state: TaskState;
  readonly counts: StepCounts;
  readonly total: number;
  /** Milliseconds since 1970: the first start, and the last end once all are over. */
  readonly startedMs: number | null;
  readonly endedMs: number | null;
};

/** What is worth seeing first: one failure among a thousand successes is what somebody looks for. */
const WORST_FIRST: readonly TaskState[] = [
  "failed",
  "running",
  "queued",
  "blocked",
  "cancelled",
  "succeeded",
  "skipped",
];

export function summaryOf(run: LiveRun, { places }: FoldedNode): NodeSummary {
  const counts = { ...NO_STEPS };
  let startedMs: number | null = null;
  let endedMs: number | null = null;
  for (const place of places) {
    counts[shownState(run, place)]++;
    const step = run.steps[place];
    if (step?.startedMs != null) startedMs = Math.min(startedMs ?? step.startedMs, step.startedMs);
    if (step?.endedMs != null) endedMs = Math.max(endedMs ?? step.endedMs, step.endedMs);
  }
  const isOver = counts.blocked + counts.queued + counts.running === 0;
  return { state: stateOf(counts), counts, total: places.length, startedMs, endedMs: isOver ? endedMs : null };
}

/** Of the elements of a mapped step; null: this is none, or its list is not known. */
export function elementSummary(run: LiveRun, place: number): Pick<NodeSummary, "counts" | "total"> | null {
  const elements = run.elements.get(place);
  return elements === undefined ? null : { counts: countsOf(elements), total: elements.total };
}

export function stateOf(counts: StepCounts): TaskState {
  return WORST_FIRST.find((state) => counts[state] > 0) ?? "blocked";
}
