/** `/v1/tasks`: create one or many, look at one. */
import { z } from "zod";
import type { Submitter } from "../flow/submit.ts";
import type { App } from "./app.ts";
import { callerOf } from "./caller.ts";
import { answer } from "./docs.ts";
import { ACCEPTED, acceptedText, IDEMPOTENCY_HEADERS, SUBMISSION_PROBLEMS, submitTasks } from "./submission.ts";
import { READ_PROBLEMS, TASK_PARAMS, TASK_QUERY, type TaskReader } from "./task-reader.ts";
import { type TaskLimits, taskBody, taskRequestOf } from "./task-request.ts";
import { TASK } from "./task-view.ts";

export type TaskRouteParts = {
  readonly submitter: Submitter;
  readonly reader: TaskReader;
  /** Those that can be submitted, for the document. */
  readonly taskNames: readonly string[];
  readonly limits: TaskLimits;
};

const MAX_BATCH = 1_000;
const TAGS = ["tasks"];

export function taskRoutes(app: App, { submitter, reader, taskNames, limits }: TaskRouteParts): void {
  const body = taskBody(taskNames, limits);

  app.post(
    "/v1/tasks",
    {
      config: { scope: "enqueue" },
      schema: {
        operationId: "createTask",
        summary: "Submit a task",
        tags: TAGS,
        headers: IDEMPOTENCY_HEADERS,
        body,
        response: { 202: ACCEPTED, ...SUBMISSION_PROBLEMS },
      },
    },
    async (request, reply) => {
      const tasks = [taskRequestOf(request.body, request.traceContext)];
      const { kind, ids } = await submitTasks(submitter, callerOf(request), tasks, request.headers);
      // One request makes one task.
      const id = ids[0] as string;
      if (kind === "replayed") reply.header("idempotency-replayed", "true");
      return reply.code(202).header("location", `/v1/tasks/${id}`).type("application/json").send(acceptedText(id));
    },
  );

  app.post(
    "/v1/tasks/batch",
    {
      config: { scope: "enqueue" },
      schema: {
        operationId: "createTasks",
        summary: "Submit up to 1,000 tasks, all or none",
        tags: TAGS,
        headers: IDEMPOTENCY_HEADERS,
        body: z.strictObject({ tasks: z.array(body).min(1).max(MAX_BATCH) }),
        response: {
          202: answer(
            "Accepted: each task will reach an end. The ids stand in the order of the tasks.",
            z.object({ task_ids: z.array(z.uuid()) }),
          ),
          ...SUBMISSION_PROBLEMS,
        },
      },
    },
    async (request, reply) => {
      const tasks = request.body.tasks.map((task) => taskRequestOf(task, request.traceContext));
      const { kind, ids } = await submitTasks(submitter, callerOf(request), tasks, request.headers, true);
      if (kind === "replayed") reply.header("idempotency-replayed", "true");
      return reply
        .code(202)
        .type("application/json")
        .send(JSON.stringify({ task_ids: ids }));
    },
  );

  app.get(
    "/v1/tasks/:id",
    {
      config: { scope: "read" },
      schema: {
        operationId: "getTask",
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
