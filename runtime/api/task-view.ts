/** A task as the API shows it. Input and result are spliced in as the text they are stored in: parsing would round numbers. */
import { z } from "zod";
import { TASK_STATES, type TaskState } from "../model/task.ts";
import type { PayloadStore } from "../payload/payload.ts";
import { ATTEMPT, type AttemptRow, attemptText, ERROR } from "./attempts.ts";
import { DOCS } from "./docs.ts";

/** A task without its payloads: a row of a list. */
export type SummaryRow = {
  readonly id: string;
  readonly name: string;
  readonly queue: string;
  readonly state: TaskState;
  readonly attempt: number;
  readonly failures: number;
  readonly losses: number;
  readonly priority: number;
  readonly labels: string | null;
  readonly error: string | null;
  readonly worker: string | null;
  readonly progress: number | null;
  readonly progress_message: string | null;
  readonly not_before: Date;
  readonly created_at: Date;
  readonly started_at: Date | null;
  readonly finished_at: Date | null;
  readonly ordering_key: string | null;
  readonly cancel_requested: boolean;
  readonly cancel_reason: string | null;
};

/** A row of read-task.sql. */
export type TaskRow = SummaryRow & {
  readonly input: string | null;
  readonly input_ref: string | null;
  readonly result: string | null;
  readonly result_ref: string | null;
  readonly run_id: string | null;
  readonly step_key: string | null;
  readonly timeout_ms: number;
  readonly max_attempts: number;
  readonly trace_context: string | null;
};

/** The row as JSON text. Throws what the payload store throws, where a value is kept there. */
export async function taskText(row: TaskRow, attempts: readonly AttemptRow[], payloads: PayloadStore): Promise<string> {
  const [input, result] =
    row.input_ref === null && row.result_ref === null
      ? [row.input, row.result]
      : await Promise.all([stored(row.input, row.input_ref, payloads), stored(row.result, row.result_ref, payloads)]);
  const members = [
    ...summaryMembers(row, row.error),
    `"run_id":${JSON.stringify(row.run_id)}`,
    `"step_key":${JSON.stringify(row.step_key)}`,
    `"timeout_ms":${row.timeout_ms}`,
    `"max_attempts":${row.max_attempts}`,
    `"trace_id":${JSON.stringify(traceIdOf(row.trace_context))}`,
    `"input":${input ?? "null"}`,
    `"result":${result ?? "null"}`,
    `"attempts":[${attempts.map(attemptText).join(",")}]`,
  ];
  return `{${members.join(",")}}`;
}

/** The row without its payloads and attempts, and its error without the stack: two hundred of them go into one answer. */
export function summaryText(row: SummaryRow): string {
  return `{${summaryMembers(row, withoutStack(row.error)).join(",")}}`;
}

function summaryMembers(row: SummaryRow, error: string | null): string[] {
  return [
    `"task_id":"${row.id}"`,
    `"task":${JSON.stringify(row.name)}`,
    `"queue":${JSON.stringify(row.queue)}`,
    `"state":"${row.state}"`,
    `"attempt":${row.attempt}`,
    `"failures":${row.failures}`,
    `"losses":${row.losses}`,
    `"priority":${row.priority}`,
    `"ordering_key":${JSON.stringify(row.ordering_key)}`,
    `"labels":${row.labels ?? "{}"}`,
    `"error":${error ?? "null"}`,
    `"worker":${JSON.stringify(row.worker)}`,
    `"progress":${row.progress ?? "null"}`,
    `"progress_message":${JSON.stringify(row.progress_message)}`,
    `"cancel_requested":${row.cancel_requested}`,
    `"cancel_reason":${JSON.stringify(row.cancel_reason)}`,
    `"due_at":${JSON.stringify(row.not_before)}`,
    `"created_at":${JSON.stringify(row.created_at)}`,
    `"started_at":${JSON.stringify(row.started_at)}`,
    `"finished_at":${JSON.stringify(row.finished_at)}`,
  ];
}

export function withoutStack(error: string | null): string | null {
  // Written by describeError, or by a statement of ours: an object.
  return error === null ? null : JSON.stringify({ ...(JSON.parse(error) as object), stack: undefined });
}

/** Of a `traceparent`: version, trace, span and flags. */
function traceIdOf(traceContext: string | null): string | null {
  return /\b[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}\b/.exec(traceContext ?? "")?.[1] ?? null;
}

async function stored(text: string | null, ref: string | null, payloads: PayloadStore): Promise<string | null> {
  return ref === null ? text : await payloads.get(ref);
}

const at = (description: string) => z.iso.datetime().register(DOCS, { description });
const count = (description: string) => z.int().min(0).register(DOCS, { description });

/** For the OpenAPI document only: answers are written by `summaryText` and `taskText`. */
const SUMMARY_SHAPE = {
  task_id: z.uuid(),
  task: z.string().register(DOCS, { description: "The name it was defined under." }),
  queue: z.string(),
  state: z.enum(TASK_STATES),
  attempt: count("How often it was claimed by a worker."),
  failures: count("How often its handler failed."),
  losses: count("How often a worker died while running it."),
  priority: z.int(),
  ordering_key: z
    .string()
    .nullable()
    .register(DOCS, { description: "FIFO queues: tasks with equal keys run one after the other." }),
  labels: z.record(z.string(), z.string()),
  error: ERROR.nullable().register(DOCS, { description: "Why the task, or its last attempt, failed." }),
  worker: z.string().nullable().register(DOCS, { description: "Who runs it, or ran it last." }),
  progress: z.number().min(0).max(1).nullable(),
  progress_message: z.string().nullable(),
  cancel_requested: z
    .boolean()
    .register(DOCS, { description: "Somebody asked to cancel it; what runs is being stopped." }),
  cancel_reason: z.string().nullable(),
  due_at: at("When it may start at the earliest."),
  created_at: at("When it was accepted."),
  started_at: at("When the last attempt started.").nullable(),
  finished_at: at("When it reached its end.").nullable(),
};

export const TASK_SUMMARY = z.object(SUMMARY_SHAPE).register(DOCS, {
  id: "TaskSummary",
  description: "A task without its input and result. Times are ISO 8601 in UTC.",
});

export const TASK = z
  .object({
    ...SUMMARY_SHAPE,
    run_id: z.uuid().nullable().register(DOCS, { description: "The run that it is a step of." }),
    step_key: z.string().nullable().register(DOCS, { description: "Its key in that run." }),
    timeout_ms: z.int().register(DOCS, { description: "Longest run of one attempt." }),
    max_attempts: z.int().register(DOCS, { description: "How often its handler may fail before the task has failed." }),
    trace_id: z.string().nullable().register(DOCS, { description: "The trace that it was submitted in." }),
    input: z.unknown(),
    result: z
      .unknown()
      .register(DOCS, { description: "What the handler returned; null until the task has succeeded." }),
    attempts: z.array(ATTEMPT).register(DOCS, { description: "The latest unsuccessful attempts, at most 50." }),
  })
  .register(DOCS, { id: "Task", description: "A task. Times are ISO 8601 in UTC." });
