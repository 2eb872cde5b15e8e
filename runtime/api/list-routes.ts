/** `GET /v1/tasks`: tasks by filter, newest first, page by page. */
import { z } from "zod";
import type { Clock } from "../clock.ts";
import type { Database } from "../postgres/pool.ts";
import type { App } from "./app.ts";
import { callerOf } from "./caller.ts";
import { answer, DOCS, problems } from "./docs.ts";
import { FILTER_SHAPE, filterOf } from "./task-filter.ts";
import { listTasks } from "./task-list.ts";
import { decodeCursor, encodeCursor } from "./task-position.ts";
import { summaryText, TASK_SUMMARY } from "./task-view.ts";
import { requestInvalid } from "./validation.ts";

export type ListRouteParts = { readonly database: Database; readonly clock: Clock };

const MAX_LIMIT = 200;

const QUERY = z.strictObject({
  ...FILTER_SHAPE,
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(MAX_LIMIT)
    .default(50)
    .register(DOCS, { description: "Tasks on one page. Default 50." }),
  cursor: z
    .string()
    .max(200)
    .optional()
    .register(DOCS, { description: "`next_cursor` of the page before, with the same filter." }),
});

const PAGE = z.object({
  tasks: z.array(TASK_SUMMARY),
  next_cursor: z
    .string()
    .nullable()
    .register(DOCS, { description: "Where the next page starts; null: this was the last one." }),
});

export function listRoutes(app: App, { database, clock }: ListRouteParts): void {
  app.get(
    "/v1/tasks",
    {
      config: { scope: "read", shared: true },
      schema: {
        operationId: "listTasks",
        summary: "List tasks, newest first",
        description:
          "A page looks at a bounded number of tasks, so with a filter that few of them match it may be short, or even empty, and still have " +
          "a `next_cursor`: go on until that is null. Tasks that are submitted meanwhile neither appear twice nor shift a page.",
        tags: ["tasks"],
        querystring: QUERY,
        response: { 200: answer("A page.", PAGE), ...problems("request_invalid", "database_unavailable") },
      },
    },
    async (request, reply) => {
      const { limit, cursor, ...given } = request.query;
      const { rows, next } = await listTasks(database, {
        tenant: callerOf(request).tenant,
        filter: filterOf(given),
        position: cursor === undefined ? null : positionOf(cursor),
        limit,
        clock,
      });
      const nextCursor = next === null ? "null" : `"${encodeCursor(next)}"`;
      return reply
        .type("application/json")
        .send(`{"tasks":[${rows.map(summaryText).join(",")}],"next_cursor":${nextCursor}}`);
    },
  );
}

function positionOf(cursor: string) {
  const position = decodeCursor(cursor);
  if (position !== undefined) return position;
  throw requestInvalid([{ path: "cursor", message: "expected the next_cursor of an answer, got something else" }]);
}
