/** What is known of a step, or of an element of a mapped one, while its run goes; and what an event makes of it. */
import type { RunEvent } from "../../client/run-events.ts";
import { isTerminal, type TaskError, type TaskState } from "../../model/task.ts";

export type EarlierAttempt = {
  readonly attempt: number;
  /** Milliseconds since 1970, as all times here. Null: it is not known. */
  readonly startedMs: number | null;
  readonly endedMs: number;
  readonly outcome: "retried" | "lost" | "released";
  readonly error: TaskError | null;
};

export type LiveStep = {
  readonly state: TaskState;
  /** 0: none has claimed it yet. */
  readonly attempt: number;
  /** Of the last attempt. */
  readonly startedMs: number | null;
  readonly endedMs: number | null;
  /** From 0 to 1. */
  readonly progress: number | null;
  readonly message: string | null;
  readonly error: TaskError | null;
  /** Attempts that came to nothing, oldest first. */
  readonly earlier: readonly EarlierAttempt[];
};

export type StepEvent = Extract<RunEvent, { readonly kind: "step" }>;
export type ProgressEvent = Extract<RunEvent, { readonly kind: "progress" }>;

const UNTOUCHED = {
  attempt: 0,
  startedMs: null,
  endedMs: null,
  progress: null,
  message: null,
  error: null,
  earlier: [],
};

export const BLOCKED_STEP: LiveStep = { ...UNTOUCHED, state: "blocked" };
export const QUEUED_STEP: LiveStep = { ...UNTOUCHED, state: "queued" };

/** The same object where the event tells nothing new: it was told again after a break, or comes late. */
export function afterStepEvent(step: LiveStep, event: StepEvent): LiveStep {
  const atMs = Number(event.at);
  switch (event.change) {
    case "start":
      return started(step, event.attempt, atMs);
    case "attempt":
      return missed(step, event, atMs);
    case "end":
      if (event.attempt < step.attempt || (event.attempt === step.attempt && step.endedMs !== null)) return step;
      return {
        ...step,
        state: event.state,
        attempt: event.attempt,
        // An end without a start: it was skipped, or cancelled before anybody claimed it.
        startedMs: event.attempt === step.attempt ? step.startedMs : null,
        endedMs: atMs,
        progress: null,
        message: null,
        error: event.error,
      };
  }
}

export function afterProgress(step: LiveStep, { attempt, progress, message }: ProgressEvent): LiveStep {
  if (isTerminal(step.state) || attempt < step.attempt) return step;
  if (step.progress === progress && step.message === message) return step;
  return { ...step, progress, message };
}

function started(step: LiveStep, attempt: number, atMs: number): LiveStep {
  if (attempt === step.attempt && step.startedMs === null) return { ...step, startedMs: atMs };
  if (attempt <= step.attempt) return step;
  return {
    ...step,
    state: "running",
    attempt,
    startedMs: atMs,
    endedMs: null,
    progress: null,
    message: null,
    error: null,
  };
}

function missed(step: LiveStep, { attempt, outcome, error }: StepEvent, atMs: number): LiveStep {
  if (outcome === null || step.earlier.some((one) => one.attempt === attempt)) return step;
  const startedMs = attempt === step.attempt ? step.startedMs : null;
  const earlier = [...step.earlier, { attempt, startedMs, endedMs: atMs, outcome, error }];
  earlier.sort((a, b) => a.attempt - b.attempt);
  // Told late: the step has gone on since.
  if (attempt < step.attempt || isTerminal(step.state)) return { ...step, earlier };
  return { ...step, earlier, state: "queued", attempt, startedMs: null, progress: null, message: null, error };
}
