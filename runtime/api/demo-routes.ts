/** `/tasks`: the demo's own two routes, around the task `sleep`. */
import type { Submitter } from "../flow/submit.ts";
import { sleep } from "../tasks/sleep.ts";
import type { App } from "./app.ts";
import { callerOf } from "./caller.ts";
import { answer } from "./docs.ts";
import { ACCEPTED, acceptedText, IDEMPOTENCY_HEADERS, SUBMISSION_PROBLEMS, submitTasks } from "./submission.ts";
import { READ_PROBLEMS, TASK_PARAMS, TASK_QUERY, type TaskReader } from "./task-reader.ts";
import { TASK } from "./task-view.ts";

export type DemoRouteParts = { readonly submitter: Submitter; readonly reader: TaskReader };

const TAGS = ["demo"];

export function demoRoutes(app: App, { submitter, reader }: DemoRouteParts): void {
  app.post(
    "/tasks",
    {
      config: { scope: "enqueue" },
      schema: {
        operationId: "createSleep",
        summary: "Submit a task that sleeps",
        tags: TAGS,
        headers: IDEMPOTENCY_HEADERS,
        body: sleep.input,
        response: { 202: ACCEPTED, ...SUBMISSION_PROBLEMS },
      },
    },
    async (request, reply) => {
      const tasks = [{ task: sleep.name, input: request.body, traceContext: request.traceContext }];
      const { kind, ids } = await submitTasks(submitter, callerOf(request), tasks, request.headers);
      // One request makes one task.
      const id = ids[0] as string;
      if (kind === "replayed") reply.header("idempotency-replayed", "true");
      return reply.code(202).header("location", `/tasks/${id}`).type("application/json").send(acceptedText(id));
    },
  );

  app.get(
    "/tasks/:id",
    {
      config: { scope: "read" },
      schema: {
        operationId: "getSleep",
        summary: "Look at a task, or wait until it is over",
        tags: TAGS,
        params: TASK_PARAMS,
        querystring: TASK_QUERY,
        response: { 200: answer("The task as it is now.", TASK), ...READ_PROBLEMS },
      },
    },
    async (request, reply) => {
      const { tenant } = callerOf(request);
      const text = await reader.read(request.params.id, tenant, request.query.wait_seconds * 1_000, reply.raw);
      return reply.type("application/json").send(text);
    },
  );
}
