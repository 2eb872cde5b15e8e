/** `GET /v1/tasks/{id}/events`: a task as it goes, until it is over, the listener leaves, or this process shuts down. */
import { Readable } from "node:stream";
import { z } from "zod";
import { TaskiqError } from "../errors.ts";
import { isTerminal, type TaskState } from "../model/task.ts";
import type { Database } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import type { App } from "./app.ts";
import { callerOf } from "./caller.ts";
import { DOCS, problems } from "./docs.ts";
import { REFRESH_QUERY } from "./refresh.ts";
import { eventsBetween, type Told, toldBy } from "./task-events.ts";
import { TASK_PARAMS } from "./task-reader.ts";
import type { Listener, Watcher } from "./watcher.ts";

type FoundTask = { readonly id: string; readonly state: TaskState; readonly attempt: number };

export type EventRouteParts = { readonly database: Database; readonly watcher: Watcher };

const FIND_TASK = loadSql(import.meta.url, "./find-task.sql");
/** Load balancers cut what is silent for 60 s. */
const HEARTBEAT_MS = 15_000;
/** How soon a listener comes back whose connection broke, and one that is sent away by a shutdown. */
const RETRY_MS = 1_000;

/** By status, of which the type leaves 204 open. */
const STREAM: Record<number, object> = {
  200: {
    description: "Events; comments every 15 s keep the connection open.",
    content: { "text/event-stream": { schema: z.unknown() } },
  },
};

export function eventRoutes(app: App, { database, watcher }: EventRouteParts): void {
  app.get(
    "/v1/tasks/:id/events",
    {
      config: { scope: "read" },
      schema: {
        operationId: "watchTask",
        summary: "Follow a task by server-sent events",
        description:
          "`state` whenever the state, the attempt or the cancel flag changes, `progress` when the handler has said more, `attempt` for each attempt that " +
          "came to nothing. Starts with how the task is, and ends when it is over. After a break the header `Last-Event-ID` goes on where it " +
          "was; where nothing is left to tell, 204 says so and browsers stop asking.",
        tags: ["tasks"],
        params: TASK_PARAMS,
        querystring: REFRESH_QUERY,
        headers: z.object({
          "last-event-id": z
            .string()
            .max(200)
            .optional()
            .register(DOCS, { description: "The id of the last event that came." }),
        }),
        response: {
          ...STREAM,
          ...problems("task_not_found", "request_invalid", "too_many_listeners", "draining", "database_unavailable"),
        },
      },
    },
    async (request, reply) => {
      if (watcher.stopped) throw new TaskiqError("draining", "expected no more requests: this process shuts down.");
      const { tenant } = callerOf(request);
      const [task] = await database.query<FoundTask>(FIND_TASK, [request.params.id, tenant]);
      if (task === undefined) throw notFound(request.params.id);
      const told = toldBy(request.headers["last-event-id"]);
      // The state that ends a task is the last that is told of it.
      if (isTerminal(task.state) && told?.state === task.state && told.attempt === task.attempt)
        return reply.code(204).send();
      const left = new AbortController();
      reply.raw.once("close", () => left.abort());
      const listener = watcher.listen(task.id, request.query.refresh_ms);
      const events = Readable.from(follow(listener, watcher, told, left.signal), {
        objectMode: false,
        highWaterMark: 16_384,
      });
      // Also where nobody has begun to read.
      events.once("close", listener.leave);
      return reply.type("text/event-stream; charset=utf-8").header("x-accel-buffering", "no").send(events);
    },
  );
}

async function* follow(
  listener: Listener,
  watcher: Watcher,
  before: Told | undefined,
  left: AbortSignal,
): AsyncGenerator<string> {
  let told = before;
  // Sent at once: the listener knows that it is connected.
  yield `retry: ${RETRY_MS}\n\n`;
  while (!left.aborted && !watcher.stopped) {
    const sight = listener.sight();
    // Deleted after the retention time, or by hand.
    if (sight === null) return;
    const events = sight === undefined ? undefined : eventsBetween(told, sight);
    if (events !== undefined && events.text !== "") {
      told = events.told;
      yield events.text;
    }
    if (events?.over === true) return;
    if (!(await listener.changed(HEARTBEAT_MS, left))) yield ":\n\n";
  }
}

function notFound(id: string): TaskiqError {
  return new TaskiqError(
    "task_not_found",
    `expected the id of a task, got ${id}, which no task has. Finished tasks are deleted after the retention time.`,
  );
}
