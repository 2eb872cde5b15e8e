/**
 * A run as it goes: its graph, and what its events have told so far. `withEvents` is the only move. It takes many events at once and copies each
 * list once, so that the twenty thousand events of a large run cost a fraction of a second, and the page draws what changed once per frame.
 */
import type { RunEvent } from "../../client/run-events.ts";
import { mappedKeyOf, NO_STEPS, type RunState, type StepCounts, WHOLE_RUN_KEY } from "../../model/run.ts";
import { isTerminal, type TaskError, type TaskState } from "../../model/task.ts";
import {
  afterProgress,
  afterStepEvent,
  BLOCKED_STEP,
  type LiveStep,
  QUEUED_STEP,
  type StepEvent,
} from "./live-step.ts";
import type { RunShape } from "./run-shape.ts";

/** The elements of a mapped step. One that nobody has heard of is queued. */
export type LiveElements = {
  readonly total: number;
  /** By index; absent: queued. */
  readonly steps: ReadonlyMap<number, LiveStep>;
  readonly counts: StepCounts;
};

export type LiveRun = {
  readonly shape: RunShape;
  /** By place. */
  readonly steps: readonly LiveStep[];
  /** By place of the mapped step, once its list is known. */
  readonly elements: ReadonlyMap<number, LiveElements>;
  /** Null: no event has told it yet. */
  readonly state: RunState | null;
  readonly counts: StepCounts | null;
  readonly error: TaskError | null;
  /** Of the one task that a run of the mode `simple` is; null in other runs. */
  readonly whole: LiveStep | null;
  /** How many parents of each step are not over. */
  readonly openParents: readonly number[];
};

export function newLiveRun(shape: RunShape): LiveRun {
  return {
    shape,
    steps: shape.parents.map((parents) => (parents.length === 0 ? QUEUED_STEP : BLOCKED_STEP)),
    elements: new Map(),
    state: null,
    counts: null,
    error: null,
    whole: null,
    openParents: shape.parents.map((parents) => parents.length),
  };
}

export function withEvents(run: LiveRun, events: readonly RunEvent[]): LiveRun {
  const draft = draftOf(run);
  for (const event of events) {
    if (event.kind === "run") Object.assign(draft, { state: event.state, counts: event.counts, error: event.error });
    else if (event.kind === "step") takeStep(draft, event);
    else {
      const place = run.shape.placeOf.get(event.key);
      if (place !== undefined) {
        if (event.elements !== null) elementsIn(draft, place).total = event.elements;
        draft.steps[place] = afterProgress(draft.steps[place] ?? BLOCKED_STEP, event);
      } else changeElement(draft, event.key, (step) => afterProgress(step, event));
    }
  }
  return finished(draft, run);
}

/** What an element is that nobody may have heard of yet. */
export function elementAt(elements: LiveElements, index: number): LiveStep {
  return elements.steps.get(index) ?? QUEUED_STEP;
}

/** A mapped step waits for its elements in the state `blocked`; on the page it runs while they do. */
export function shownState(run: LiveRun, place: number): TaskState {
  const { state } = run.steps[place] ?? BLOCKED_STEP;
  return run.elements.has(place) && !isTerminal(state) ? "running" : state;
}

type ElementsDraft = { total: number; steps: Map<number, LiveStep>; counts: Record<TaskState, number> };
type Draft = {
  -readonly [Name in "state" | "counts" | "error" | "whole"]: LiveRun[Name];
} & {
  readonly shape: RunShape;
  readonly steps: LiveStep[];
  readonly openParents: number[];
  readonly elements: Map<number, LiveElements>;
  /** Copies of this turn. */
  readonly changed: Map<number, ElementsDraft>;
};

function draftOf(run: LiveRun): Draft {
  return {
    ...run,
    steps: [...run.steps],
    openParents: [...run.openParents],
    elements: new Map(run.elements),
    changed: new Map(),
  };
}

function finished({ changed, ...draft }: Draft, before: LiveRun): LiveRun {
  for (const [place, elements] of changed) draft.elements.set(place, elements);
  return { ...before, ...draft };
}

function takeStep(draft: Draft, event: StepEvent): void {
  if (event.key === WHOLE_RUN_KEY) {
    draft.whole = afterStepEvent(draft.whole ?? QUEUED_STEP, event);
    return;
  }
  const place = draft.shape.placeOf.get(event.key);
  if (place === undefined) {
    changeElement(draft, event.key, (step) => afterStepEvent(step, event));
    return;
  }
  const before = draft.steps[place] ?? BLOCKED_STEP;
  const after = afterStepEvent(before, event);
  draft.steps[place] = after;
  const change = Number(isTerminal(before.state)) - Number(isTerminal(after.state));
  if (change !== 0) tellChildren(draft, place, change);
}

/** A step is runnable when its last parent is over, which no event tells. */
function tellChildren(draft: Draft, place: number, change: number): void {
  for (const child of draft.shape.children[place] ?? []) {
    const open = (draft.openParents[child] ?? 0) + change;
    draft.openParents[child] = open;
    if (open === 0 && draft.steps[child] === BLOCKED_STEP) draft.steps[child] = QUEUED_STEP;
    else if (open > 0 && draft.steps[child] === QUEUED_STEP) draft.steps[child] = BLOCKED_STEP;
  }
}

function changeElement(draft: Draft, key: string, change: (step: LiveStep) => LiveStep): void {
  const mapped = mappedKeyOf(key);
  const place = mapped === null ? undefined : draft.shape.placeOf.get(mapped);
  const index = Number(key.slice((mapped?.length ?? 0) + 1, -1));
  if (place === undefined || !Number.isSafeInteger(index)) return;
  const elements = elementsIn(draft, place);
  elements.total = Math.max(elements.total, index + 1);
  const before = elements.steps.get(index);
  const after = change(before ?? QUEUED_STEP);
  elements.steps.set(index, after);
  if (before !== undefined) elements.counts[before.state]--;
  elements.counts[after.state]++;
}

function elementsIn(draft: Draft, place: number): ElementsDraft {
  const made = draft.changed.get(place);
  if (made !== undefined) return made;
  const { total, steps, counts } = draft.elements.get(place) ?? { total: 0, steps: new Map(), counts: NO_STEPS };
  const copy = { total, steps: new Map(steps), counts: { ...counts } };
  draft.changed.set(place, copy);
  return copy;
}

/** With those that nobody has heard of. */
export function countsOf({ total, counts }: LiveElements): StepCounts {
  const known = Object.values(counts).reduce((sum, count) => sum + count, 0);
  return { ...counts, queued: counts.queued + Math.max(0, total - known) };
}
