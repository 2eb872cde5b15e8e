/** A task as the API shows it. Input and result are spliced in as the text they are stored in: parsing would round numbers. */
import { z } from "zod";
import { TASK_STATES, type TaskState } from "../model/task.ts";
import type { PayloadStore } from "../payload/payload.ts";
import { DOCS } from "./docs.ts";

/** A row of read-task.sql. */
export type TaskRow = {
  readonly id: string;
  readonly name: string;
  readonly queue: string;
  readonly state: TaskState;
  readonly attempt: number;
  readonly failures: number;
  readonly losses: number;
  readonly priority: number;
  readonly labels: string | null;
  readonly input: string | null;
  readonly input_ref: string | null;
  readonly result: string | null;
  readonly result_ref: string | null;
  readonly error: string | null;
  readonly worker: string | null;
  readonly progress: number | null;
  readonly progress_message: string | null;
  readonly not_before: Date;
  readonly created_at: Date;
  readonly started_at: Date | null;
  readonly finished_at: Date | null;
};

/** The row as JSON text. Throws what the payload store throws, where a value is kept there. */
export async function taskText(row: TaskRow, payloads: PayloadStore): Promise<string> {
  const [input, result] =
    row.input_ref === null && row.result_ref === null
      ? [row.input, row.result]
      : await Promise.all([stored(row.input, row.input_ref, payloads), stored(row.result, row.result_ref, payloads)]);
  const members = [
    `"task_id":"${row.id}"`,
    `"task":${JSON.stringify(row.name)}`,
    `"queue":${JSON.stringify(row.queue)}`,
    `"state":"${row.state}"`,
    `"attempt":${row.attempt}`,
    `"failures":${row.failures}`,
    `"losses":${row.losses}`,
    `"priority":${row.priority}`,
    `"labels":${row.labels ?? "{}"}`,
    `"input":${input ?? "null"}`,
    `"result":${result ?? "null"}`,
    `"error":${row.error ?? "null"}`,
    `"worker":${JSON.stringify(row.worker)}`,
    `"progress":${row.progress ?? "null"}`,
    `"progress_message":${JSON.stringify(row.progress_message)}`,
    `"due_at":${JSON.stringify(row.not_before)}`,
    `"created_at":${JSON.stringify(row.created_at)}`,
    `"started_at":${JSON.stringify(row.started_at)}`,
    `"finished_at":${JSON.stringify(row.finished_at)}`,
  ];
  return `{${members.join(",")}}`;
}

async function stored(text: string | null, ref: string | null, payloads: PayloadStore): Promise<string | null> {
  return ref === null ? text : await payloads.get(ref);
}

const at = (description: string) => z.iso.datetime().register(DOCS, { description });
const count = (description: string) => z.int().min(0).register(DOCS, { description });

/** For the OpenAPI document only: answers are written by `taskText`. */
export const TASK = z
  .object({
    task_id: z.uuid(),
    task: z.string().register(DOCS, { description: "The name it was defined under." }),
    queue: z.string(),
    state: z.enum(TASK_STATES),
    attempt: count("How often it was claimed by a worker."),
    failures: count("How often its handler failed."),
    losses: count("How often a worker died while running it."),
    priority: z.int(),
    labels: z.record(z.string(), z.string()),
    input: z.unknown(),
    result: z
      .unknown()
      .register(DOCS, { description: "What the handler returned; null until the task has succeeded." }),
    error: z
      .object({ code: z.string(), type: z.string(), message: z.string(), stack: z.string().optional() })
      .nullable()
      .register(DOCS, { description: "Why the task, or its last attempt, failed." }),
    worker: z.string().nullable().register(DOCS, { description: "Who runs it, or ran it last." }),
    progress: z.number().min(0).max(1).nullable(),
    progress_message: z.string().nullable(),
    due_at: at("When it may start at the earliest."),
    created_at: at("When it was accepted."),
    started_at: at("When the last attempt started.").nullable(),
    finished_at: at("When it reached its end.").nullable(),
  })
  .register(DOCS, { id: "Task", description: "A task. Times are ISO 8601 in UTC." });
