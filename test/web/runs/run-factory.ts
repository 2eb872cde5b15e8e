/** Graphs and events of runs, for tests of what the pages make of them. */
import type { RunEvent } from "../../../runtime/client/run-events.ts";
import type { Step } from "../../../runtime/model/graph.ts";
import type { StepCounts } from "../../../runtime/model/run.ts";
import { NO_STEPS } from "../../../runtime/model/run.ts";
import { type LiveRun, newLiveRun, withEvents } from "../../../runtime/web/runs/live-run.ts";
import { shapeOf } from "../../../runtime/web/runs/run-shape.ts";

type StepEvent = Extract<RunEvent, { readonly kind: "step" }>;

/** When the runs of these tests are accepted. */
export const CREATED_MS = Date.parse("2026-01-01T12:00:00Z");

/** `"load": "parse,check"`: load comes after parse and check. All of the task `work`, unless `tasks` says otherwise. */
export function graphOf(parents: Readonly<Record<string, string>>, more: Readonly<Record<string, Partial<Step>>> = {}) {
  const steps = Object.entries(parents).map(
    ([key, names]): Step => ({ key, task: "work", after: names === "" ? [] : names.split(","), ...more[key] }),
  );
  return { steps };
}

export function runOf(parents: Readonly<Record<string, string>>, more: Readonly<Record<string, Partial<Step>>> = {}) {
  return newLiveRun(shapeOf(graphOf(parents, more)));
}

/** `layers` layers of `width` steps, each of which comes after one of the layer before. */
export function layeredSteps(layers: number, width: number, taskOf: (layer: number) => string = () => "work"): Step[] {
  return Array.from({ length: layers * width }, (_, at) => {
    const layer = Math.floor(at / width);
    const place = at % width;
    return { key: `s${layer}-${place}`, task: taskOf(layer), after: layer === 0 ? [] : [`s${layer - 1}-${place}`] };
  });
}

/** @param atMs after the run was accepted */
export function start(key: string, atMs: number, attempt = 1): StepEvent {
  return event(key, { change: "start", state: "running", attempt, atMs });
}

export function end(key: string, atMs: number, state: StepEvent["state"] = "succeeded", attempt = 1): StepEvent {
  const error = state === "failed" ? { code: "handler_failed", type: "Error", message: "broken" } : null;
  return event(key, { change: "end", state, attempt, atMs, error });
}

export function retried(key: string, atMs: number, attempt = 1): StepEvent {
  return event(key, { change: "attempt", state: "queued", attempt, atMs, outcome: "retried" });
}

export function expanded(key: string, elements: number): RunEvent {
  return { kind: "progress", key, taskId: "", attempt: 1, progress: null, message: null, elements };
}

export function counts(given: Partial<StepCounts>): StepCounts {
  return { ...NO_STEPS, ...given };
}

/** Each of the steps started and ended. */
export function ended(run: LiveRun, states: Readonly<Record<string, StepEvent["state"]>>): LiveRun {
  return withEvents(
    run,
    Object.entries(states).flatMap(([key, state], at) =>
      state === "skipped" ? [end(key, at + 1, state, 0)] : [start(key, at), end(key, at + 1, state)],
    ),
  );
}

export function stepOf(run: LiveRun, key: string) {
  const step = run.steps[run.shape.placeOf.get(key) ?? -1];
  if (step === undefined) throw new Error(`expected a step of the run, got ${key}`);
  return step;
}

type Given = Pick<StepEvent, "change" | "state" | "attempt"> & {
  readonly atMs: number;
  readonly outcome?: StepEvent["outcome"];
  readonly error?: StepEvent["error"];
};

function event(key: string, { atMs, outcome = null, error = null, change, state, attempt }: Given): StepEvent {
  const id = `${atMs}.${key}:${attempt}:${change}`;
  const at = new Date(CREATED_MS + atMs);
  return { kind: "step", id, key, taskId: null, task: "work", change, state, attempt, at, outcome, error };
}
