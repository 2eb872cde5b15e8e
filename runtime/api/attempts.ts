/** The attempts that came to nothing, as the API shows them: of a success there is no row beside the task's own. */
import { z } from "zod";
import type { TaskState } from "../model/task.ts";
import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import { DOCS } from "./docs.ts";

export const OUTCOMES = ["failed", "retried", "lost", "released", "cancelled"] as const;

/** A row of read-unsuccessful.sql. */
export type AttemptRow = {
  readonly task_id: string;
  readonly attempt: number;
  readonly outcome: (typeof OUTCOMES)[number];
  readonly worker: string | null;
  /** JSON text. */
  readonly error: string | null;
  readonly started_at: Date | null;
  readonly ended_at: Date;
};

const READ_UNSUCCESSFUL = loadSql(import.meta.url, "./read-unsuccessful.sql");

/** By task, in the order of attempts; a task without any is missing. @param limit the latest so many of each task */
export async function readUnsuccessful(
  database: Queryable,
  ids: readonly string[],
  limit: number,
): Promise<Map<string, AttemptRow[]>> {
  const byTask = new Map<string, AttemptRow[]>();
  for (const row of await database.query<AttemptRow>(READ_UNSUCCESSFUL, [ids, limit])) {
    const rows = byTask.get(row.task_id);
    if (rows === undefined) byTask.set(row.task_id, [row]);
    else rows.push(row);
  }
  return byTask;
}

/** False where it is certain that there is none: the usual task needs no second statement. */
export function mayHaveFailed({ state, attempt }: { readonly state: TaskState; readonly attempt: number }): boolean {
  return attempt > 1 || (attempt === 1 && state !== "running" && state !== "succeeded");
}

export function attemptText({ attempt, outcome, worker, error, started_at, ended_at }: AttemptRow): string {
  const members = [
    `"attempt":${attempt}`,
    `"outcome":"${outcome}"`,
    `"worker":${JSON.stringify(worker)}`,
    `"error":${error ?? "null"}`,
    `"started_at":${JSON.stringify(started_at)}`,
    `"ended_at":${JSON.stringify(ended_at)}`,
  ];
  return `{${members.join(",")}}`;
}

export const ERROR = z.object({
  code: z.string(),
  type: z.string(),
  message: z.string(),
  stack: z.string().optional(),
});

/** For the OpenAPI document only: answers are written by `attemptText`. */
export const ATTEMPT = z.object({
  attempt: z.int().min(1),
  outcome: z.enum(OUTCOMES).register(DOCS, {
    description:
      "`failed`: the task's last. `retried`: the task was queued again. `lost`: its worker died. `released`: given back by a worker that " +
      "stopped. `cancelled`: stopped by a cancellation.",
  }),
  worker: z.string().nullable(),
  error: ERROR.nullable(),
  started_at: z.iso.datetime().nullable(),
  ended_at: z.iso.datetime(),
});
