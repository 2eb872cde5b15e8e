/** A task as the API shows it. */
import type { TaskError, TaskState } from "../model/task.ts";
import { jsonObject } from "./problem.ts";

export type Task = {
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
  readonly labels: Readonly<Record<string, string>>;
  readonly input: unknown;
  /** What the handler returned; null until the task has succeeded. */
  readonly result: unknown;
  readonly error: TaskError | null;
  /** Who runs it, or ran it last. */
  readonly worker: string | null;
  /** From 0 to 1. */
  readonly progress: number | null;
  readonly progressMessage: string | null;
  /** When it may start at the earliest. */
  readonly dueAt: Date;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
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
  labels: Record<string, string>;
  input: unknown;
  result: unknown;
  error: TaskError | null;
  worker: string | null;
  progress: number | null;
  progress_message: string | null;
  due_at: string;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
};

/** The task in an answer; undefined when there is none. */
export function readTask(json: string): Task | undefined {
  const object = jsonObject(json);
  if (typeof object?.task_id !== "string" || typeof object.state !== "string") return undefined;
  // Whoever answers with an id and a state is the API, which keeps to its OpenAPI description.
  const body = object as TaskBody;
  return {
    taskId: body.task_id,
    task: body.task,
    queue: body.queue,
    state: body.state,
    attempt: body.attempt,
    failures: body.failures,
    losses: body.losses,
    priority: body.priority,
    labels: body.labels,
    input: body.input,
    result: body.result,
    error: body.error,
    worker: body.worker,
    progress: body.progress,
    progressMessage: body.progress_message,
    dueAt: new Date(body.due_at),
    createdAt: new Date(body.created_at),
    startedAt: dateOrNull(body.started_at),
    finishedAt: dateOrNull(body.finished_at),
    json,
  };
}

function dateOrNull(text: string | null): Date | null {
  return text === null ? null : new Date(text);
}
