/** A task as the API shows it. */
import type { TaskError, TaskState } from "../model/task.ts";
import { jsonObject } from "./problem.ts";

/** A task as a list shows it, without its payloads. */
export type TaskSummary = {
  readonly taskId: string;
  /** The name it was defined under. */
  readonly task: string;
  readonly queue: string;
  readonly state: TaskState;
  /** How often it was claimed by a worker. */
  readonly attempt: number;
  /** How often its handler failed. */
  readonly failures: number;
  /** How often a worker died while running it. */
  readonly losses: number;
  readonly priority: number;
  /** FIFO queues: tasks with equal keys run one after the other. */
  readonly orderingKey: string | null;
  readonly labels: Readonly<Record<string, string>>;
  /** Why the task, or its last attempt, failed; in a list without its stack. */
  readonly error: TaskError | null;
  /** Who runs it, or ran it last. */
  readonly worker: string | null;
  /** From 0 to 1. */
  readonly progress: number | null;
  readonly progressMessage: string | null;
  /** Somebody asked to cancel it; what runs is being stopped. */
  readonly cancelRequested: boolean;
  readonly cancelReason: string | null;
  /** When it may start at the earliest. */
  readonly dueAt: Date;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
};

/** An attempt that came to nothing. */
export type UnsuccessfulAttempt = {
  readonly attempt: number;
  readonly outcome: "failed" | "retried" | "lost" | "released" | "cancelled";
  readonly worker: string | null;
  readonly error: TaskError | null;
  readonly startedAt: Date | null;
  readonly endedAt: Date;
};

export type Task = TaskSummary & {
  /** The run that it is a step of, with its key there. Null: it is no step, or the API is older than this client; so with the next four. */
  readonly runId: string | null;
  readonly stepKey: string | null;
  /** Longest run of one attempt. */
  readonly timeoutMs: number | null;
  /** How often its handler may fail before the task has failed. */
  readonly maxAttempts: number | null;
  /** The trace that it was submitted in, 32 hex digits. */
  readonly traceId: string | null;
  readonly input: unknown;
  /** What the handler returned; null until the task has succeeded. */
  readonly result: unknown;
  /** The latest that came to nothing, at most 50, oldest first. */
  readonly attempts: readonly UnsuccessfulAttempt[];
  /** The answer as it came. Numbers that JavaScript would round, such as 2^64, stand exact in it. */
  readonly json: string;
};

/** The names of the answer, which this version of the API always has. */
type TaskBody = {
  task_id: string;
  task: string;
  queue: string;
  state: TaskState;
  attempt: number;
  failures: number;
  losses: number;
  priority: number;
  /** Absent in answers of an API older than this client, as the next ones with a question mark. */
  ordering_key?: string | null;
  labels: Record<string, string>;
  input: unknown;
  result: unknown;
  error: TaskError | null;
  worker: string | null;
  progress: number | null;
  progress_message: string | null;
  cancel_requested?: boolean;
  cancel_reason?: string | null;
  due_at: string;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  attempts?: AttemptBody[];
  run_id?: string | null;
  step_key?: string | null;
  timeout_ms?: number;
  max_attempts?: number;
  trace_id?: string | null;
};

type AttemptBody = {
  attempt: number;
  outcome: UnsuccessfulAttempt["outcome"];
  worker: string | null;
  error: TaskError | null;
  started_at: string | null;
  ended_at: string;
};

/** The task in an answer; undefined when there is none. */
export function readTask(json: string): Task | undefined {
  const object = jsonObject(json);
  const summary = readSummary(object);
  if (summary === undefined) return undefined;
  // What is a task at all is one as the API describes it.
  const body = object as TaskBody;
  const { input, result, attempts = [] } = body;
  return {
    ...summary,
    runId: body.run_id ?? null,
    stepKey: body.step_key ?? null,
    timeoutMs: body.timeout_ms ?? null,
    maxAttempts: body.max_attempts ?? null,
    traceId: body.trace_id ?? null,
    input,
    result,
    attempts: attempts.map(readAttempt),
    json,
  };
}

/** One task of a list; undefined for what is none. */
export function readSummary(value: unknown): TaskSummary | undefined {
  if (typeof value !== "object" || value === null || !("task_id" in value) || !("state" in value)) return undefined;
  if (typeof value.task_id !== "string" || typeof value.state !== "string") return undefined;
  // Whoever answers with an id and a state is the API, which keeps to its OpenAPI description.
  const body = value as TaskBody;
  return {
    taskId: body.task_id,
    task: body.task,
    queue: body.queue,
    state: body.state,
    attempt: body.attempt,
    failures: body.failures,
    losses: body.losses,
    priority: body.priority,
    orderingKey: body.ordering_key ?? null,
    labels: body.labels,
    error: body.error,
    worker: body.worker,
    progress: body.progress,
    progressMessage: body.progress_message,
    cancelRequested: body.cancel_requested ?? false,
    cancelReason: body.cancel_reason ?? null,
    dueAt: new Date(body.due_at),
    createdAt: new Date(body.created_at),
    startedAt: dateOrNull(body.started_at),
    finishedAt: dateOrNull(body.finished_at),
  };
}

function readAttempt({ attempt, outcome, worker, error, started_at, ended_at }: AttemptBody): UnsuccessfulAttempt {
  return { attempt, outcome, worker, error, startedAt: dateOrNull(started_at), endedAt: new Date(ended_at) };
}

function dateOrNull(text: string | null): Date | null {
  return text === null ? null : new Date(text);
}
