/** Looks at one task, at once or when it is over. */
import type { ServerResponse } from "node:http";
import { z } from "zod";
import { TaskiqError } from "../errors.ts";
import { isTerminal } from "../model/task.ts";
import type { PayloadStore } from "../payload/payload.ts";
import type { Database } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import { mayHaveFailed, readUnsuccessful } from "./attempts.ts";
import { DOCS, problems } from "./docs.ts";
import { type TaskRow, taskText } from "./task-view.ts";
import type { Waiter } from "./waiter.ts";

export type TaskReader = {
  /**
   * The task of this tenant as JSON text; when it is not over, after up to `waitMs`, or as soon as it is.
   * Throws TaskiqError `task_not_found`, and what the payload store throws.
   */
  read(id: string, tenant: string, waitMs: number, response: ServerResponse): Promise<string>;
};

export const TASK_PARAMS = z.object({
  id: z
    .string()
    .regex(/^[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}$/i, "expected the id of a task, a UUID")
    .register(DOCS, { description: "The id of the task: a UUID, with or without its hyphens." }),
});

const MAX_WAIT_SECONDS = 60;
const MAX_ATTEMPTS_SHOWN = 50;

export const TASK_QUERY = z.strictObject({
  wait_seconds: z.coerce.number().min(0).max(MAX_WAIT_SECONDS).default(0).register(DOCS, {
    description: "Holds the answer back until the task is over, at most this long. Default 0.",
  }),
});

export const READ_PROBLEMS = problems(
  "task_not_found",
  "request_invalid",
  "database_unavailable",
  "payload_unavailable",
  "payload_missing",
);

const READ_TASK = loadSql(import.meta.url, "./read-task.sql");

export type TaskReaderParts = {
  readonly database: Database;
  readonly payloads: PayloadStore;
  readonly waiter: Waiter;
};

export function createTaskReader({ database, payloads, waiter }: TaskReaderParts): TaskReader {
  async function rowOf(id: string, tenant: string): Promise<TaskRow> {
    const [row] = await database.query<TaskRow>(READ_TASK, [id, tenant]);
    if (row !== undefined) return row;
    throw new TaskiqError(
      "task_not_found",
      `expected the id of a task, got ${id}, which no task has. Finished tasks are deleted after the retention time.`,
    );
  }

  async function textOf(row: TaskRow): Promise<string> {
    const attempts = mayHaveFailed(row) ? await readUnsuccessful(database, [row.id], MAX_ATTEMPTS_SHOWN) : undefined;
    return await taskText(row, attempts?.get(row.id) ?? [], payloads);
  }

  return {
    async read(id, tenant, waitMs, response) {
      const row = await rowOf(id, tenant);
      if (waitMs === 0 || isTerminal(row.state)) return await textOf(row);
      const gone = new AbortController();
      // Also when the caller hangs up, which the request itself does not say once it has been read.
      response.once("close", () => gone.abort());
      await waiter.finished(row.id, waitMs, gone.signal);
      return await textOf(gone.signal.aborted ? row : await rowOf(id, tenant));
    },
  };
}
