/** Cancel a task, and put one that ended without success back to work. */
import { z } from "zod";
import { audit, audited } from "../access/audit.ts";
import { TaskiqError } from "../errors.ts";
import { cancel, MAX_CANCEL_REASON_CHARS } from "../flow/cancel.ts";
import { rearm } from "../flow/rearm.ts";
import { isTerminal, TASK_STATES } from "../model/task.ts";
import type { Database } from "../postgres/pool.ts";
import type { App } from "./app.ts";
import { callerOf } from "./caller.ts";
import { answer, DOCS, problems } from "./docs.ts";
import { TASK_PARAMS } from "./task-reader.ts";

export type CancelRouteParts = { readonly database: Database };

const TAGS = ["tasks"];
const REASON = z
  .strictObject({
    reason: z
      .string()
      .max(MAX_CANCEL_REASON_CHARS)
      .optional()
      .register(DOCS, { description: "Why, for whoever looks at the task later." }),
  })
  .nullish();
const STATE = z.object({ task_id: z.uuid(), state: z.enum(TASK_STATES) });
const PROBLEMS = problems(
  "task_not_found",
  "task_finished",
  "request_invalid",
  "not_json_body",
  "unsupported_media_type",
  "database_unavailable",
);

export function cancelRoutes(app: App, { database }: CancelRouteParts): void {
  app.post(
    "/v1/tasks/:id/cancel",
    {
      config: { scope: "operate", bodyOptional: true },
      schema: {
        operationId: "cancelTask",
        summary: "Cancel a task",
        description:
          "What does not run is cancelled at once. What runs is told to stop within a second, and killed after its grace time where it runs in a " +
          "process of its own; it may still succeed when it is done first. Asking again changes nothing.",
        tags: TAGS,
        params: TASK_PARAMS,
        body: REASON,
        response: {
          200: answer("It is cancelled.", STATE),
          202: answer("It runs, and is being stopped.", STATE),
          ...PROBLEMS,
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const reason = request.body?.reason ?? null;
      const caller = callerOf(request);
      const outcome = await audited(database, async (tx) => {
        const [found] = await cancel(tx, [id], { tenant: caller.tenant, reason });
        if (found === undefined) throw notFound(id);
        if (isTerminal(found.was)) throw finished(id, found.was, "cancelled");
        await audit(tx, caller, "task.cancel", found.id, { was: found.was, reason });
        return found;
      });
      return reply
        .code(outcome.state === "running" ? 202 : 200)
        .type("application/json")
        .send(JSON.stringify({ task_id: outcome.id, state: outcome.state }));
    },
  );

  app.post(
    "/v1/tasks/:id/retry",
    {
      config: { scope: "operate", bodyOptional: true },
      schema: {
        operationId: "retryTask",
        summary: "Run a failed or cancelled task again",
        description:
          "Its failures and losses are forgotten; its attempts are counted on. Not for steps: `POST /v1/runs/{id}/reexecute` repeats them.",
        tags: TAGS,
        params: TASK_PARAMS,
        response: { 202: answer("It is queued.", STATE), ...PROBLEMS },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const caller = callerOf(request);
      const outcome = await audited(database, async (tx) => {
        const [found] = await rearm(tx, [id], caller.tenant);
        if (found === undefined) throw notFound(id);
        if (found.runId !== null) throw stepOf(id, found.runId);
        if (!found.rearmed) throw finished(id, found.was, "retried");
        await audit(tx, caller, "task.retry", found.id, { was: found.was });
        return found;
      });
      return reply
        .code(202)
        .type("application/json")
        .send(JSON.stringify({ task_id: outcome.id, state: "queued" }));
    },
  );
}

function notFound(id: string): TaskiqError {
  return new TaskiqError(
    "task_not_found",
    `expected the id of a task, got ${id}, which no task has. Finished tasks are deleted after the retention time.`,
  );
}

/** What followed from its end in the run would stay as it is. */
function stepOf(id: string, runId: string): TaskiqError {
  return new TaskiqError(
    "task_finished",
    `expected a task by itself, task ${id} is a step of the run ${runId}. Execute the run again: POST /v1/runs/${runId}/reexecute.`,
    { details: { run_id: runId } },
  );
}

function finished(id: string, state: string, what: "cancelled" | "retried"): TaskiqError {
  const expected = what === "cancelled" ? "a task that is not over" : "a task that failed or was cancelled";
  return new TaskiqError("task_finished", `expected ${expected}, task ${id} is ${state}: it cannot be ${what}.`, {
    details: { state },
  });
}
