/** A run and its steps as the API shows them. */
import type { RunMode } from "../model/graph.ts";
import type { RunHealth, RunState, StepCounts } from "../model/run.ts";
import type { TaskError, TaskState } from "../model/task.ts";
import { jsonObject } from "./problem.ts";

/** A run as a list shows it, without its payloads and steps. */
export type RunSummary = {
  readonly runId: string;
  /** Null: a graph that was posted as it is. */
  readonly job: string | null;
  readonly mode: RunMode;
  readonly state: RunState;
  readonly priority: number;
  readonly labels: Readonly<Record<string, string>>;
  /** Steps, with the elements of mapped ones. In the mode `simple` all of them are one. */
  readonly stepCount: number;
  readonly openSteps: number;
  readonly succeededSteps: number;
  readonly failedSteps: number;
  readonly cancelledSteps: number;
  readonly skippedSteps: number;
  /** Why the run as a whole failed, such as its deadline. Errors of steps stand with these. */
  readonly error: TaskError | null;
  readonly cancelRequested: boolean;
  readonly cancelReason: string | null;
  /** The run that this one repeats. */
  readonly parentRunId: string | null;
  /** The first run of that line; its own id where it repeats none. */
  readonly rootRunId: string;
  /** The task that runs when this run is over. */
  readonly onFinishedTaskId: string | null;
  readonly createdAt: Date;
  /** When it fails if it is not over. */
  readonly deadlineAt: Date | null;
  readonly finishedAt: Date | null;
};

export type ElementCounts = StepCounts & { readonly total: number };

export type RunStep = {
  /** As in the graph; of an element `KEY[index]`. */
  readonly key: string;
  /** `client.get` has its input, result and attempts. Null in a run of the mode `simple`, whose steps are no tasks. */
  readonly taskId: string | null;
  readonly task: string;
  readonly queue: string | null;
  readonly state: TaskState;
  readonly attempt: number;
  readonly failures: number;
  readonly losses: number;
  /** Keys of the steps that it comes after, or refers to. */
  readonly parents: readonly string[];
  /** Of a mapped step, once its list is known. */
  readonly elements: ElementCounts | null;
  readonly error: TaskError | null;
  readonly worker: string | null;
  /** From 0 to 1. */
  readonly progress: number | null;
  readonly progressMessage: string | null;
  readonly dueAt: Date | null;
  readonly createdAt: Date | null;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
  /** From the start of the last attempt to the end; null until it is over. */
  readonly durationMs: number | null;
};

export type Run = RunSummary & {
  /** `stalled`: steps are open, but nothing runs and nothing is queued. */
  readonly health: RunHealth;
  readonly counts: StepCounts;
  readonly startedAt: Date | null;
  readonly input: unknown;
  /** Null until the run has succeeded. */
  readonly result: unknown;
  /** `result` is null because it is larger than an answer; the results of steps are at their tasks. */
  readonly resultTooLarge: boolean;
  /** The first ones, in the order of the graph. */
  readonly steps: readonly RunStep[];
  /** Where `runs.steps` goes on; null: these are all. */
  readonly stepsCursor: string | null;
  /** The answer as it came. Numbers that JavaScript would round, such as 2^64, stand exact in it. */
  readonly json: string;
};

/** The names of the answer, which this version of the API always has. */
type SummaryBody = {
  run_id: string;
  job: string | null;
  mode: RunMode;
  state: RunState;
  priority: number;
  labels: Record<string, string>;
  step_count: number;
  open_steps: number;
  succeeded_steps: number;
  failed_steps: number;
  cancelled_steps: number;
  skipped_steps: number;
  error: TaskError | null;
  cancel_requested: boolean;
  cancel_reason: string | null;
  parent_run_id: string | null;
  root_run_id: string;
  on_finished_task_id: string | null;
  created_at: string;
  deadline_at: string | null;
  finished_at: string | null;
};

type RunBody = SummaryBody & {
  health: RunHealth;
  counts: StepCounts;
  started_at: string | null;
  input: unknown;
  result: unknown;
  result_too_large: boolean;
  steps: StepBody[];
  steps_cursor: string | null;
};

type StepBody = {
  key: string;
  task_id: string | null;
  task: string;
  queue: string | null;
  state: TaskState;
  attempt: number;
  failures: number;
  losses: number;
  parents: string[];
  elements: ElementCounts | null;
  error: TaskError | null;
  worker: string | null;
  progress: number | null;
  progress_message: string | null;
  due_at: string | null;
  created_at: string | null;
  started_at: string | null;
  finished_at: string | null;
  duration_ms: number | null;
};

/** The run in an answer; undefined when there is none. */
export function readRun(json: string): Run | undefined {
  const object = jsonObject(json);
  const summary = readRunSummary(object);
  if (summary === undefined || !Array.isArray(object?.steps)) return undefined;
  // What is a run at all is one as the API describes it.
  const body = object as RunBody;
  return {
    ...summary,
    health: body.health,
    counts: body.counts,
    startedAt: dateOrNull(body.started_at),
    input: body.input,
    result: body.result,
    resultTooLarge: body.result_too_large,
    steps: body.steps.map(readStep),
    stepsCursor: body.steps_cursor,
    json,
  };
}

/** One run of a list; undefined for what is none. */
export function readRunSummary(value: unknown): RunSummary | undefined {
  if (typeof value !== "object" || value === null || !("run_id" in value) || !("state" in value)) return undefined;
  if (typeof value.run_id !== "string" || typeof value.state !== "string") return undefined;
  // Whoever answers with an id and a state is the API, which keeps to its OpenAPI description.
  const body = value as SummaryBody;
  return {
    runId: body.run_id,
    job: body.job,
    mode: body.mode,
    state: body.state,
    priority: body.priority,
    labels: body.labels,
    stepCount: body.step_count,
    openSteps: body.open_steps,
    succeededSteps: body.succeeded_steps,
    failedSteps: body.failed_steps,
    cancelledSteps: body.cancelled_steps,
    skippedSteps: body.skipped_steps,
    error: body.error,
    cancelRequested: body.cancel_requested,
    cancelReason: body.cancel_reason,
    parentRunId: body.parent_run_id,
    rootRunId: body.root_run_id,
    onFinishedTaskId: body.on_finished_task_id,
    createdAt: new Date(body.created_at),
    deadlineAt: dateOrNull(body.deadline_at),
    finishedAt: dateOrNull(body.finished_at),
  };
}

/** The steps of a page; undefined when there are none. */
export function readSteps(values: unknown): readonly RunStep[] | undefined {
  // A list of steps is one as the API describes it.
  return Array.isArray(values) ? (values as StepBody[]).map(readStep) : undefined;
}

function readStep(body: StepBody): RunStep {
  const { task_id: taskId, progress_message: progressMessage, duration_ms: durationMs } = body;
  const { due_at, created_at, started_at, finished_at } = body;
  return {
    key: body.key,
    taskId,
    task: body.task,
    queue: body.queue,
    state: body.state,
    attempt: body.attempt,
    failures: body.failures,
    losses: body.losses,
    parents: body.parents,
    elements: body.elements,
    error: body.error,
    worker: body.worker,
    progress: body.progress,
    progressMessage,
    dueAt: dateOrNull(due_at),
    createdAt: dateOrNull(created_at),
    startedAt: dateOrNull(started_at),
    finishedAt: dateOrNull(finished_at),
    durationMs,
  };
}

function dateOrNull(text: string | null): Date | null {
  return text === null ? null : new Date(text);
}
