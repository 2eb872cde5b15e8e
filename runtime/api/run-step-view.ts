/** A step of a run as the API shows it: from its row, or from the record of a run that one worker did as a whole. */
import { z } from "zod";
import { NO_STEPS, type StepCounts } from "../model/run.ts";
import { TASK_STATES, type TaskState } from "../model/task.ts";
import { ERROR } from "./attempts.ts";
import { DOCS } from "./docs.ts";
import { STEP_COUNTS } from "./run-view.ts";
import { withoutStack } from "./task-view.ts";

export type StepView = {
  readonly key: string;
  /** Null: it has no row. */
  readonly taskId: string | null;
  readonly task: string;
  readonly queue: string | null;
  readonly state: TaskState;
  readonly attempt: number;
  readonly failures: number;
  readonly losses: number;
  readonly parents: readonly string[];
  /** Of a mapped step that is expanded. */
  readonly elements: StepCounts | null;
  /** JSON text. */
  readonly error: string | null;
  readonly worker: string | null;
  readonly progress: number | null;
  readonly progressMessage: string | null;
  readonly dueAt: Date | null;
  readonly createdAt: Date | null;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
};

/** A row of read-steps.sql. */
export type StepRow = {
  readonly place: number;
  readonly id: string;
  readonly step_key: string;
  readonly name: string;
  readonly queue: string;
  readonly state: TaskState;
  readonly attempt: number;
  readonly failures: number;
  readonly losses: number;
  readonly elements: number | null;
  readonly error: string | null;
  readonly worker: string | null;
  readonly progress: number | null;
  readonly progress_message: string | null;
  readonly not_before: Date;
  readonly created_at: Date;
  readonly started_at: Date | null;
  readonly finished_at: Date | null;
};

/** @param elements of the steps that are expanded, by key; one without rows has none */
export function stepOfRow(
  row: StepRow,
  parents: readonly string[],
  elements: ReadonlyMap<string, StepCounts>,
): StepView {
  return {
    key: row.step_key,
    taskId: row.id,
    task: row.name,
    queue: row.queue,
    state: row.state,
    attempt: row.attempt,
    failures: row.failures,
    losses: row.losses,
    parents,
    elements: row.elements === null ? null : (elements.get(row.step_key) ?? NO_STEPS),
    error: row.error,
    worker: row.worker,
    progress: row.progress,
    progressMessage: row.progress_message,
    dueAt: row.not_before,
    createdAt: row.created_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
  };
}

export function stepText(step: StepView): string {
  const { startedAt, finishedAt } = step;
  const durationMs = startedAt === null || finishedAt === null ? null : Number(finishedAt) - Number(startedAt);
  const members = [
    `"key":${JSON.stringify(step.key)}`,
    `"task_id":${JSON.stringify(step.taskId)}`,
    `"task":${JSON.stringify(step.task)}`,
    `"queue":${JSON.stringify(step.queue)}`,
    `"state":"${step.state}"`,
    `"attempt":${step.attempt}`,
    `"failures":${step.failures}`,
    `"losses":${step.losses}`,
    `"parents":${JSON.stringify(step.parents)}`,
    `"elements":${elementsText(step.elements)}`,
    `"error":${withoutStack(step.error) ?? "null"}`,
    `"worker":${JSON.stringify(step.worker)}`,
    `"progress":${step.progress ?? "null"}`,
    `"progress_message":${JSON.stringify(step.progressMessage)}`,
    `"due_at":${JSON.stringify(step.dueAt)}`,
    `"created_at":${JSON.stringify(step.createdAt)}`,
    `"started_at":${JSON.stringify(startedAt)}`,
    `"finished_at":${JSON.stringify(finishedAt)}`,
    `"duration_ms":${durationMs ?? "null"}`,
  ];
  return `{${members.join(",")}}`;
}

function elementsText(elements: StepCounts | null): string {
  if (elements === null) return "null";
  const total = Object.values(elements).reduce((sum, count) => sum + count, 0);
  return JSON.stringify({ total, ...elements });
}

/** For the OpenAPI document only: answers are written by `stepText`. */
export const STEP = z
  .object({
    key: z.string().register(DOCS, { description: "As in the graph; of an element `KEY[index]`." }),
    task_id: z.uuid().nullable().register(DOCS, {
      description:
        "`/v1/tasks/{id}` has its input, result and attempts. Null in a run of the mode `simple`, whose steps are no tasks.",
    }),
    task: z.string(),
    queue: z.string().nullable(),
    state: z.enum(TASK_STATES),
    attempt: z.int().min(0),
    failures: z.int().min(0),
    losses: z.int().min(0),
    parents: z
      .array(z.string())
      .register(DOCS, { description: "Keys of the steps that it comes after, or refers to." }),
    elements: z
      .object({ total: z.int().min(0), ...STEP_COUNTS.shape })
      .nullable()
      .register(DOCS, { description: "Of a mapped step, once its list is known." }),
    error: ERROR.nullable(),
    worker: z.string().nullable(),
    progress: z.number().min(0).max(1).nullable(),
    progress_message: z.string().nullable(),
    due_at: z.iso.datetime().nullable(),
    created_at: z.iso.datetime().nullable(),
    started_at: z.iso.datetime().nullable().register(DOCS, { description: "When the last attempt started." }),
    finished_at: z.iso.datetime().nullable(),
    duration_ms: z.number().nullable().register(DOCS, {
      description:
        "From the start of the last attempt to the end; of a mapped step with its elements. Null until it is over.",
    }),
  })
  .register(DOCS, { id: "Step", description: "A step of a run, without its payloads." });
