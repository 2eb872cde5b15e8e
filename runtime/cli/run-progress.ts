/** How far a run is, out of its graph and its events: what the drawing and the lines of a watched run are made from. */
import type { RunEvent } from "../client/run-events.ts";
import type { Graph } from "../model/graph.ts";
import { mappedKeyOf, NO_STEPS, type RunState, type StepCounts, WHOLE_RUN_KEY } from "../model/run.ts";
import { isTerminal, type TaskError, type TaskState } from "../model/task.ts";

/** A step as far as the events have told of it. */
export type WatchedStep = {
  readonly key: string;
  readonly parents: readonly WatchedStep[];
  /** `blocked` also where it may be queued: no event tells that. */
  state: TaskState;
  attempt: number;
  /** Milliseconds since 1970. */
  startedMs: number | null;
  endedMs: number | null;
  error: TaskError | null;
  progress: number | null;
  message: string | null;
  /** Of a mapped step: how many elements it has, as far as known, and how many of these are over. */
  elements: { total: number | null; over: number; failed: number; readonly states: Map<string, TaskState> } | null;
};

export type RunProgress = {
  /** Parents before children. */
  readonly steps: readonly WatchedStep[];
  readonly state: RunState;
  /** Of steps and elements, as the API has counted last. */
  readonly counts: StepCounts;
  apply(event: RunEvent): void;
};

type StepEvent = Extract<RunEvent, { kind: "step" }>;

const ORDER = { start: 0, attempt: 1, end: 2 } as const;

export function watchProgress(
  graph: Graph,
  edges: readonly { readonly parent: string; readonly child: string }[],
  mode: "orchestrated" | "simple",
): RunProgress {
  const parentsOf = Map.groupBy(edges, ({ child }) => child);
  const byKey = new Map<string, WatchedStep>();
  const inGraph = new Map(graph.steps.map((step) => [step.key, step]));
  /** By key and attempt: which event of it was the last. */
  const latest = new Map<string, number>();
  let state: RunState = "running";
  let counts: StepCounts = NO_STEPS;

  if (mode === "simple") byKey.set(WHOLE_RUN_KEY, newStep(WHOLE_RUN_KEY, [], false));
  for (const key of parentsFirst([...inGraph.keys()], (one) =>
    (parentsOf.get(one) ?? []).map(({ parent }) => parent),
  )) {
    const parents = (parentsOf.get(key) ?? []).flatMap(({ parent }) => byKey.get(parent) ?? []);
    byKey.set(key, newStep(key, parents, inGraph.get(key)?.map !== undefined));
  }

  function applyStep(event: StepEvent): void {
    // One that came to light late must not undo what is known already.
    const place = event.attempt * 3 + ORDER[event.change];
    if (place < (latest.get(event.key) ?? -1)) return;
    latest.set(event.key, place);
    const mapped = mappedKeyOf(event.key);
    if (mapped === null) change(byKey.get(event.key), event);
    else changeElement(byKey.get(mapped), event);
  }

  return {
    steps: [...byKey.values()],
    get state() {
      return state;
    },
    get counts() {
      return counts;
    },
    apply(event) {
      if (event.kind === "step") return applyStep(event);
      if (event.kind === "run") {
        state = event.state;
        counts = event.counts;
        return;
      }
      const step = byKey.get(mappedKeyOf(event.key) ?? event.key);
      if (step === undefined) return;
      if (event.elements !== null && step.elements !== null) step.elements.total = event.elements;
      if (mappedKeyOf(event.key) !== null) return;
      step.progress = event.progress;
      step.message = event.message;
    },
  };
}

function change(step: WatchedStep | undefined, event: StepEvent): void {
  if (step === undefined) return;
  const atMs = Number(event.at);
  step.state = event.state;
  step.attempt = event.attempt;
  step.error = event.error ?? (event.change === "start" ? step.error : null);
  step.progress = null;
  step.message = null;
  if (event.change === "start") step.startedMs = atMs;
  if (event.change === "end") step.endedMs = atMs;
}

function changeElement(step: WatchedStep | undefined, { key, state }: StepEvent): void {
  const elements = step?.elements;
  if (elements === undefined || elements === null) return;
  const before = elements.states.get(key);
  elements.states.set(key, state);
  if (before !== undefined && isTerminal(before)) return;
  if (!isTerminal(state)) return;
  elements.over++;
  if (state !== "succeeded" && state !== "skipped") elements.failed++;
}

function newStep(key: string, parents: readonly WatchedStep[], isMapped: boolean): WatchedStep {
  return {
    key,
    parents,
    state: "blocked",
    attempt: 0,
    startedMs: null,
    endedMs: null,
    error: null,
    progress: null,
    message: null,
    elements: isMapped ? { total: null, over: 0, failed: 0, states: new Map() } : null,
  };
}

/** By how many steps are before each at the most, and where that is equal in the order of the graph. */
function parentsFirst(keys: readonly string[], parentsOf: (key: string) => readonly string[]): string[] {
  const children = new Map<string, string[]>();
  const open = new Map<string, number>();
  for (const key of keys) {
    const parents = parentsOf(key);
    open.set(key, parents.length);
    for (const parent of parents) {
      const siblings = children.get(parent);
      if (siblings === undefined) children.set(parent, [key]);
      else siblings.push(key);
    }
  }
  const place = new Map(keys.map((key, at) => [key, at]));
  const sorted: string[] = [];
  for (let layer = keys.filter((key) => open.get(key) === 0); layer.length > 0; ) {
    sorted.push(...layer);
    const next: string[] = [];
    for (const child of layer.flatMap((key) => children.get(key) ?? [])) {
      const left = (open.get(child) ?? 0) - 1;
      open.set(child, left);
      if (left === 0) next.push(child);
    }
    layer = next.toSorted((a, b) => (place.get(a) ?? 0) - (place.get(b) ?? 0));
  }
  return sorted;
}
