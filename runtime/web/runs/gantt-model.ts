/** The timeline of a run: a row for each step, and in it a bar for each attempt. Rows are few numbers, so that ten thousand are made at once. */
import type { TaskState } from "../../model/task.ts";
import { elementAt, type LiveRun, shownState } from "./live-run.ts";
import { BLOCKED_STEP, type LiveStep } from "./live-step.ts";

export type GanttBar = {
  /** Milliseconds since 1970. */
  readonly fromMs: number;
  /** Of what runs still: now. */
  readonly toMs: number;
  readonly attempt: number;
  readonly state: TaskState | "retried" | "lost" | "released";
};

export type GanttRow = {
  readonly place: number;
  /** Of an element of a mapped step; null: the step itself. */
  readonly index: number | null;
  readonly key: string;
  readonly task: string;
  readonly state: TaskState;
  readonly bars: readonly GanttBar[];
  /** It has elements; `isOpen`: their rows follow. */
  readonly elements: number | null;
  readonly isOpen: boolean;
  /** It was taken over from the run that this one repeats. */
  readonly isKept: boolean;
};

export type Gantt = { readonly rows: readonly GanttRow[]; readonly fromMs: number; readonly toMs: number };

export type GanttOptions = {
  /** When the run was accepted. */
  readonly createdMs: number;
  /** When it ended; null: it runs. */
  readonly finishedMs: number | null;
  readonly nowMs: number;
  readonly order: "start" | "graph";
  /** Places of mapped steps whose elements are shown. */
  readonly open: ReadonlySet<number>;
};

/** A run that has just begun has an axis all the same. */
const LEAST_SPAN_MS = 1_000;

export function ganttOf(run: LiveRun, options: GanttOptions): Gantt {
  const { createdMs, finishedMs, nowMs, order, open } = options;
  const places = [...run.steps.keys()];
  if (order === "start") {
    const startOf = (place: number) => run.steps[place]?.earlier[0]?.startedMs ?? run.steps[place]?.startedMs;
    const starts = places.map((place) => startOf(place) ?? Number.POSITIVE_INFINITY);
    places.sort((a, b) => compare(starts[a] ?? 0, starts[b] ?? 0) || a - b);
  }
  const endMs = finishedMs ?? nowMs;
  const rows = places.flatMap((place) => rowsOf(run, place, { createdMs, endMs, isOpen: open.has(place) }));
  return { rows, fromMs: createdMs, toMs: Math.max(endMs, createdMs + LEAST_SPAN_MS) };
}

function compare(a: number, b: number): number {
  return a === b ? 0 : a - b;
}

type RowOptions = { readonly createdMs: number; readonly endMs: number; readonly isOpen: boolean };

function rowsOf(run: LiveRun, place: number, { createdMs, endMs, isOpen }: RowOptions): GanttRow[] {
  const { key = "", task = "" } = run.shape.steps[place] ?? {};
  const step = run.steps[place] ?? BLOCKED_STEP;
  const elements = run.elements.get(place);
  const isKept = isKeptStep(step, createdMs);
  const state = shownState(run, place);
  const own: GanttRow = {
    place,
    index: null,
    key,
    task,
    state,
    bars: isKept ? [] : barsOf(step, state, endMs),
    elements: elements?.total ?? null,
    isOpen: isOpen && elements !== undefined,
    isKept,
  };
  if (!isOpen || elements === undefined) return [own];
  const inner = Array.from({ length: elements.total }, (_, index): GanttRow => {
    const element = elementAt(elements, index);
    const kept = isKeptStep(element, createdMs);
    return {
      place,
      index,
      key: `${key}[${index}]`,
      task,
      state: element.state,
      bars: kept ? [] : barsOf(element, element.state, endMs),
      elements: null,
      isOpen: false,
      isKept: kept,
    };
  });
  return [own, ...inner];
}

/** It ended before this run began. */
export function isKeptStep({ endedMs }: LiveStep, createdMs: number): boolean {
  return endedMs !== null && endedMs < createdMs;
}

function barsOf(step: LiveStep, state: TaskState, endMs: number): GanttBar[] {
  const bars: GanttBar[] = step.earlier.flatMap(({ attempt, startedMs, endedMs, outcome }) =>
    startedMs === null ? [] : [{ fromMs: startedMs, toMs: endedMs, attempt, state: outcome }],
  );
  if (step.startedMs === null) return bars;
  return [...bars, { fromMs: step.startedMs, toMs: step.endedMs ?? endMs, attempt: step.attempt, state }];
}
