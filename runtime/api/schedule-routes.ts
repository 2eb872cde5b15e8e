/** `/v1/schedules`: create, list, look, pause, resume, run now, delete. */
import { z } from "zod";
import { audit, audited } from "../access/audit.ts";
import { deleteSchedule, pauseSchedule, resumeSchedule, triggerSchedule } from "../flow/change-schedule.ts";
import { createSchedule, listSchedules, readSchedule } from "../flow/schedules.ts";
import type { Submitter } from "../flow/submit.ts";
import type { Database } from "../postgres/pool.ts";
import type { App } from "./app.ts";
import { callerOf, requireTaskScopes } from "./caller.ts";
import { answer, DOCS, problems } from "./docs.ts";
import { SCHEDULE_NAME, scheduleBody, scheduleRequestOf } from "./schedule-request.ts";
import { SCHEDULE, scheduleText } from "./schedule-view.ts";
import { ACCEPTED, acceptedText, IDEMPOTENCY_HEADERS, refusingDeepInput } from "./submission.ts";
import type { TaskLimits } from "./task-request.ts";

export type ScheduleRouteParts = {
  readonly database: Database;
  readonly submitter: Submitter;
  readonly taskNames: readonly string[];
  readonly limits: TaskLimits;
};

const TAGS = ["schedules"];
const LIST_LIMIT = { max: 500, default: 100 };
const PARAMS = z.object({
  id: z
    .string()
    .regex(/^[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}$/i, "expected the id of a schedule, a UUID")
    .register(DOCS, { description: "The id of the schedule." }),
});
const QUERY = z.strictObject({
  name: SCHEDULE_NAME.optional().register(DOCS, { description: "Only the one with this name." }),
  after: z.string().optional().register(DOCS, { description: "What `next` of the last answer said." }),
  limit: z.coerce
    .number()
    .pipe(z.int().min(1).max(LIST_LIMIT.max))
    .default(LIST_LIMIT.default)
    .register(DOCS, { description: `Default ${LIST_LIMIT.default}.` }),
});
const TASK_PROBLEMS = [
  "unknown_task",
  "unknown_queue",
  "input_invalid",
  "input_not_storable",
  "payload_too_large",
  "request_invalid",
  "database_unavailable",
] as const;
const BODY_PROBLEMS = ["not_json_body", "body_too_large", "unsupported_media_type"] as const;
const READ_PROBLEMS = problems("schedule_not_found", "request_invalid", "database_unavailable");
const CHANGE_PROBLEMS = [...BODY_PROBLEMS, "schedule_not_found", "schedule_invalid", ...TASK_PROBLEMS] as const;

export function scheduleRoutes(app: App, { database, submitter, taskNames, limits }: ScheduleRouteParts): void {
  app.post(
    "/v1/schedules",
    {
      config: { scope: "enqueue" },
      schema: {
        operationId: "createSchedule",
        summary: "Create a schedule",
        description:
          "Its task is checked like one that is submitted. Each time becomes one task, however many executors run. The same `Idempotency-Key` gives the " +
          "same schedule for as long as that is there.",
        tags: TAGS,
        headers: IDEMPOTENCY_HEADERS,
        body: scheduleBody(taskNames, limits),
        response: {
          201: answer("It is there. `Location` is where to look at it.", SCHEDULE),
          ...problems(
            "schedule_exists",
            "schedule_invalid",
            "idempotency_mismatch",
            ...BODY_PROBLEMS,
            ...TASK_PROBLEMS,
          ),
        },
      },
    },
    async (request, reply) => {
      const caller = callerOf(request);
      const wanted = scheduleRequestOf(request.body);
      requireTaskScopes(caller, [wanted.task.task]);
      const options = { tenant: caller.tenant, idempotencyKey: request.headers["idempotency-key"] };
      const { kind, row } = await audited(database, async (tx) => {
        const created = await refusingDeepInput(() => createSchedule(wanted, options, { database: tx, submitter }));
        if (created.kind === "created") {
          await audit(tx, caller, "schedule.create", created.row.id, { name: wanted.name, task: wanted.task.task });
        }
        return created;
      });
      if (kind === "replayed") reply.header("idempotency-replayed", "true");
      return reply
        .code(201)
        .header("location", `/v1/schedules/${row.id}`)
        .type("application/json")
        .send(scheduleText(row));
    },
  );

  app.get(
    "/v1/schedules",
    {
      config: { scope: "read", shared: true },
      schema: {
        operationId: "listSchedules",
        summary: "The schedules, in the order of their names",
        tags: TAGS,
        querystring: QUERY,
        response: {
          200: answer(
            "`next`, given as `after`, leads to those behind; null: there are no more.",
            z.object({ schedules: z.array(SCHEDULE), next: z.string().nullable() }),
          ),
          ...problems("request_invalid", "database_unavailable"),
        },
      },
    },
    async (request, reply) => {
      const { limit } = request.query;
      const rows = await listSchedules(database, callerOf(request).tenant, { ...request.query, limit: limit + 1 });
      const shown = rows.slice(0, limit);
      const next = rows.length > limit ? (shown.at(-1)?.name ?? null) : null;
      const text = `{"schedules":[${shown.map(scheduleText).join(",")}],"next":${JSON.stringify(next)}}`;
      return reply.type("application/json").send(text);
    },
  );

  app.get(
    "/v1/schedules/:id",
    {
      config: { scope: "read" },
      schema: {
        operationId: "getSchedule",
        summary: "Look at a schedule",
        tags: TAGS,
        params: PARAMS,
        response: { 200: answer("The schedule as it is now.", SCHEDULE), ...READ_PROBLEMS },
      },
    },
    async (request, reply) => {
      const row = await readSchedule(database, request.params.id, callerOf(request).tenant);
      return reply.type("application/json").send(scheduleText(row));
    },
  );

  app.delete(
    "/v1/schedules/:id",
    {
      config: { scope: "operate" },
      schema: {
        operationId: "deleteSchedule",
        summary: "Delete a schedule",
        description: "Tasks that it has made stay.",
        tags: TAGS,
        params: PARAMS,
        response: { 200: answer("It was this, and is gone.", SCHEDULE), ...READ_PROBLEMS },
      },
    },
    async (request, reply) => {
      const caller = callerOf(request);
      const row = await audited(database, async (tx) => {
        const deleted = await deleteSchedule(tx, { id: request.params.id, tenant: caller.tenant });
        await audit(tx, caller, "schedule.delete", deleted.id, { name: deleted.name });
        return deleted;
      });
      return reply.type("application/json").send(scheduleText(row));
    },
  );

  app.post(
    "/v1/schedules/:id/pause",
    {
      config: { scope: "operate", bodyOptional: true },
      schema: {
        operationId: "pauseSchedule",
        summary: "Fire a schedule no more",
        description: "Tasks that it has made go on. Asking again changes nothing.",
        tags: TAGS,
        params: PARAMS,
        response: { 200: answer("It is paused.", SCHEDULE), ...problems(...CHANGE_PROBLEMS) },
      },
    },
    async (request, reply) => {
      const caller = callerOf(request);
      const row = await audited(database, async (tx) => {
        const paused = await pauseSchedule(tx, { id: request.params.id, tenant: caller.tenant });
        await audit(tx, caller, "schedule.pause", paused.id, { name: paused.name });
        return paused;
      });
      return reply.type("application/json").send(scheduleText(row));
    },
  );

  app.post(
    "/v1/schedules/:id/resume",
    {
      config: { scope: "operate", bodyOptional: true },
      schema: {
        operationId: "resumeSchedule",
        summary: "Let a paused or disabled schedule go on",
        description:
          "With its first time from now on: what came meanwhile is not made up for. One that is active stays as it is.",
        tags: TAGS,
        params: PARAMS,
        response: { 200: answer("It is active.", SCHEDULE), ...problems(...CHANGE_PROBLEMS) },
      },
    },
    async (request, reply) => {
      const caller = callerOf(request);
      const row = await audited(database, async (tx) => {
        const ref = { id: request.params.id, tenant: caller.tenant };
        const resumed = await resumeSchedule(ref, { database: tx, submitter });
        await audit(tx, caller, "schedule.resume", resumed.id, { name: resumed.name });
        return resumed;
      });
      return reply.type("application/json").send(scheduleText(row));
    },
  );

  app.post(
    "/v1/schedules/:id/trigger",
    {
      config: { scope: "enqueue", bodyOptional: true },
      schema: {
        operationId: "triggerSchedule",
        summary: "Submit the task of a schedule now",
        description: "Also while it is paused, and whatever its overlap policy says. Its times stay as they are.",
        tags: TAGS,
        params: PARAMS,
        headers: IDEMPOTENCY_HEADERS,
        response: {
          202: ACCEPTED,
          ...problems("idempotency_mismatch", "payload_unavailable", ...CHANGE_PROBLEMS),
        },
      },
    },
    async (request, reply) => {
      const caller = callerOf(request);
      const { tenant } = caller;
      const row = await readSchedule(database, request.params.id, tenant);
      requireTaskScopes(caller, [row.task]);
      const options = { tenant, idempotencyKey: request.headers["idempotency-key"] };
      const { kind, ids } = await triggerSchedule(row, submitter, options);
      // One schedule makes one task.
      const id = ids[0] as string;
      if (kind === "replayed") reply.header("idempotency-replayed", "true");
      else await audit(database, caller, "schedule.trigger", row.id, { name: row.name, taskId: id });
      return reply.code(202).header("location", `/v1/tasks/${id}`).type("application/json").send(acceptedText(id));
    },
  );
}
