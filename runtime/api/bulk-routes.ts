/** `/v1/tasks/cancel` and `/v1/tasks/retry`: the same for every task that a filter matches, after a count. */
import { z } from "zod";
import { MAX_CANCEL_REASON_CHARS } from "../flow/cancel.ts";
import type { Database } from "../postgres/pool.ts";
import type { App } from "./app.ts";
import { type BulkOutcome, cancelMatching, retryMatching } from "./bulk.ts";
import { callerOf } from "./caller.ts";
import { answer, DOCS, problems } from "./docs.ts";
import { FILTER_SHAPE, filterOf, TIME } from "./task-filter.ts";

export type BulkRouteParts = { readonly database: Database };

const SHAPE = {
  filter: z
    .strictObject(FILTER_SHAPE)
    .register(DOCS, { description: "As in the list of tasks; `{}` matches all that the action is for." }),
  confirm: z
    .int()
    .min(0)
    .optional()
    .register(DOCS, { description: "`matched` of an answer before. Without it tasks are only counted." }),
  as_of: TIME.optional().register(DOCS, {
    description:
      "`as_of` of that answer: tasks that came, or for a retry ended, later are left alone. Default: the time of the request.",
  }),
};

const CANCEL = z.strictObject({
  ...SHAPE,
  reason: z
    .string()
    .max(MAX_CANCEL_REASON_CHARS)
    .optional()
    .register(DOCS, { description: "Why, for whoever looks at the tasks later." }),
});

const count = (description: string) => z.int().min(0).register(DOCS, { description });
const OUTCOME = z
  .object({
    matched: count("How many matched when the request came, up to 1,000,000."),
    changed: count("How many were cancelled, or queued again."),
    stopping: count("Of a cancellation: how many run and are being stopped."),
    unchanged: count("How many ended, or were changed by somebody else, before they were reached."),
    remaining: count("How many are left. Repeat the request until it is 0: one request changes at most 10,000."),
    as_of: z.iso.datetime().register(DOCS, { description: "The time they were counted for; give it with `confirm`." }),
  })
  .register(DOCS, { id: "BulkOutcome" });

const RESPONSE = {
  200: answer("Counted, or done.", OUTCOME),
  ...problems(
    "request_invalid",
    "count_changed",
    "not_json_body",
    "body_too_large",
    "unsupported_media_type",
    "database_unavailable",
  ),
};
const HOW =
  "Without `confirm` nothing is changed: the answer says how many match, and for when. With them it is done; when more match than confirmed " +
  "by then, nothing is (409). Repeating a request is safe.";

export function bulkRoutes(app: App, { database }: BulkRouteParts): void {
  app.post(
    "/v1/tasks/cancel",
    {
      config: { scope: "operate" },
      schema: {
        operationId: "cancelTasks",
        summary: "Cancel all tasks that a filter matches",
        description: `${HOW} Without \`state\`: blocked, queued and running ones.`,
        tags: ["tasks"],
        body: CANCEL,
        response: RESPONSE,
      },
    },
    async (request, reply) => {
      const { filter, confirm = null, as_of: asOf = null, reason = null } = request.body;
      const caller = callerOf(request);
      const outcome = await cancelMatching(database, { caller, filter: filterOf(filter), confirm, asOf, reason });
      return reply.type("application/json").send(textOf(outcome));
    },
  );

  app.post(
    "/v1/tasks/retry",
    {
      config: { scope: "operate" },
      schema: {
        operationId: "retryTasks",
        summary: "Run all tasks again that a filter matches",
        description: `${HOW} Without \`state\`: failed ones; \`cancelled\` has to be asked for.`,
        tags: ["tasks"],
        body: z.strictObject(SHAPE),
        response: RESPONSE,
      },
    },
    async (request, reply) => {
      const { filter, confirm = null, as_of: asOf = null } = request.body;
      const caller = callerOf(request);
      const outcome = await retryMatching(database, { caller, filter: filterOf(filter), confirm, asOf, reason: null });
      return reply.type("application/json").send(textOf(outcome));
    },
  );
}

function textOf({ asOf, ...counts }: BulkOutcome): string {
  return JSON.stringify({ ...counts, as_of: asOf });
}
