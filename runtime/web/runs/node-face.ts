/** What a node of the drawing says: a few plain values, so that a node is drawn again only when one of them has changed. */
import type { StepCounts } from "../../model/run.ts";
import type { TaskState } from "../../model/task.ts";
import type { FoldedNode } from "./fold-steps.ts";
import { isKeptStep } from "./gantt-model.ts";
import { type LiveRun, shownState } from "./live-run.ts";
import { BLOCKED_STEP } from "./live-step.ts";
import { elementSummary, summaryOf } from "./node-summary.ts";

export type NodeFace = {
  readonly kind: "step" | "map" | "group";
  readonly title: string;
  readonly note: string;
  /** Null: a job's, which is no run. */
  readonly state: TaskState | null;
  /** Milliseconds since 1970. */
  readonly startedMs: number | null;
  readonly endedMs: number | null;
  /** 2 and more are worth telling. */
  readonly attempt: number;
  /** From 0 to 1. */
  readonly progress: number | null;
  /** Of a group its steps, of a mapped step its elements. */
  readonly counts: StepCounts | null;
  readonly total: number;
  /** Taken over from the run that this one repeats. */
  readonly isKept: boolean;
};

export function faceOf(run: LiveRun, node: FoldedNode, createdMs: number): NodeFace {
  const [place] = node.places;
  return node.places.length === 1 && place !== undefined ? stepFace(run, place, createdMs) : groupFace(run, node);
}

function stepFace(run: LiveRun, place: number, createdMs: number): NodeFace {
  const { key = "", task = "", map } = run.shape.steps[place] ?? {};
  const step = run.steps[place] ?? BLOCKED_STEP;
  const elements = elementSummary(run, place);
  return {
    kind: map === undefined ? "step" : "map",
    title: key,
    note: task,
    state: shownState(run, place),
    startedMs: step.startedMs,
    endedMs: step.endedMs,
    attempt: step.attempt,
    progress: step.progress,
    counts: elements?.counts ?? null,
    total: elements?.total ?? 0,
    isKept: isKeptStep(step, createdMs),
  };
}

function groupFace(run: LiveRun, node: FoldedNode): NodeFace {
  const { state, counts, total, startedMs, endedMs } = summaryOf(run, node);
  const [first, last] = node.levels;
  const tasks = new Set(node.places.map((place) => run.shape.steps[place]?.task)).size;
  return {
    kind: "group",
    title: node.task ?? `${tasks} tasks`,
    note: first === last ? `layer ${first + 1}` : `layers ${first + 1}–${last + 1}`,
    state,
    startedMs,
    endedMs,
    attempt: 0,
    progress: null,
    counts,
    total,
    isKept: false,
  };
}

/** Faces of one moment, those that have not changed being the same objects as before. */
export function facesOf(
  run: LiveRun,
  nodes: readonly FoldedNode[],
  createdMs: number,
  before: readonly NodeFace[],
): readonly NodeFace[] {
  return nodes.map((node, at) => {
    const face = faceOf(run, node, createdMs);
    const was = before[at];
    return was !== undefined && isSame(face, was) ? was : face;
  });
}

function isSame({ counts, ...face }: NodeFace, { counts: countsBefore, ...before }: NodeFace): boolean {
  return areEqual(face, before) && areEqual(counts ?? {}, countsBefore ?? {});
}

function areEqual(one: Readonly<Record<string, unknown>>, other: Readonly<Record<string, unknown>>): boolean {
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => one[name] === other[name]);
}
