/** Which steps the table shows, and in what order. */
import type { TaskState } from "../../model/task.ts";
import { type LiveRun, shownState } from "./live-run.ts";

export type StepSort = "graph" | "start" | "duration" | "state";

export type StepRowFilter = {
  /** Part of the key or of the task's name, whatever its case. Empty: all. */
  readonly text: string;
  /** Empty: all. */
  readonly states: readonly TaskState[];
  readonly sort: StepSort;
  /** Only these, such as those of one group. Null: all. */
  readonly among: readonly number[] | null;
};

const STATE_ORDER: Readonly<Record<TaskState, number>> = {
  failed: 0,
  running: 1,
  queued: 2,
  cancelled: 3,
  blocked: 4,
  skipped: 5,
  succeeded: 6,
};

/** Places. */
export function stepRows(run: LiveRun, { text, states, sort, among }: StepRowFilter): readonly number[] {
  const wanted = text.trim().toLowerCase();
  const rows = (among ?? [...run.steps.keys()]).filter((place) => {
    if (states.length > 0 && !states.includes(shownState(run, place))) return false;
    const { key = "", task = "" } = run.shape.steps[place] ?? {};
    return wanted === "" || key.toLowerCase().includes(wanted) || task.toLowerCase().includes(wanted);
  });
  if (sort === "graph") return rows;
  const weights = new Map(rows.map((place) => [place, weightOf(run, place, sort)]));
  return rows.sort((a, b) => (weights.get(a) ?? 0) - (weights.get(b) ?? 0) || a - b);
}

/** What comes first is least. */
function weightOf(run: LiveRun, place: number, sort: Exclude<StepSort, "graph">): number {
  const step = run.steps[place];
  if (sort === "state") return STATE_ORDER[shownState(run, place)];
  const last = Number.MAX_VALUE;
  if (sort === "start") return step?.startedMs ?? last;
  return step?.startedMs == null || step.endedMs === null ? last : step.startedMs - step.endedMs;
}
