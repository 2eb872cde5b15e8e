/** `GET /v1/runs/{id}/events`: a run as it goes, until it is over, the listener leaves, or this process shuts down. */
import { Readable } from "node:stream";
import { z } from "zod";
import { TaskiqError } from "../errors.ts";
import type { Database } from "../postgres/pool.ts";
import type { App } from "./app.ts";
import { callerOf } from "./caller.ts";
import { DOCS, problems } from "./docs.ts";
import { REFRESH_QUERY } from "./refresh.ts";
import { isEndOfRun, type RunEvent, type RunLook, timeOfEvent } from "./run-events.ts";
import { findRun, RUN_PARAMS, runNotFound } from "./run-reader.ts";
import { LATE_US, type RunListener, type RunWatcher } from "./run-watcher.ts";

export type RunEventRouteParts = { readonly database: Database; readonly watcher: RunWatcher };

/** Load balancers cut what is silent for 60 s. */
const HEARTBEAT_MS = 15_000;
/** How soon a listener comes back whose connection broke, and one that is sent away by a shutdown. */
const RETRY_MS = 1_000;
const EVENTS_A_CHUNK = 500;

/** By status, of which the type leaves 204 open. */
const STREAM: Record<number, object> = {
  200: {
    description: "Events; comments every 15 s keep the connection open.",
    content: { "text/event-stream": { schema: z.unknown() } },
  },
};

export function runEventRoutes(app: App, { database, watcher }: RunEventRouteParts): void {
  app.get(
    "/v1/runs/:id/events",
    {
      config: { scope: "read" },
      schema: {
        operationId: "watchRun",
        summary: "Follow a run and its steps by server-sent events",
        description:
          "`step` for each start (`change: start`), each attempt that came to nothing (`attempt`) and each end (`end`) of a step or an element, from the " +
          "beginning, in the order of time; `progress` when a running step has said more, or a mapped one has got its elements; `run` whenever the state " +
          "or the counts change, last when it is over. A step's event has an id that is always the same; `progress` and `run` tell how it is now and have " +
          "none, but for the last. After a break the header `Last-Event-ID` goes on there: events of the 10 s before are told again, because some of them " +
          "may have come to light after it. So each is told at least once; leave out those whose id has been seen. Where nothing is left to tell, 204 " +
          "says so and browsers stop asking. A run of the mode `simple` is told as one step, `*`, and its steps when it is over.",
        tags: ["runs"],
        params: RUN_PARAMS,
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
          ...problems("run_not_found", "request_invalid", "too_many_listeners", "draining", "database_unavailable"),
        },
      },
    },
    async (request, reply) => {
      if (watcher.stopped) throw new TaskiqError("draining", "expected no more requests: this process shuts down.");
      const run = await findRun(database, request.params.id, callerOf(request).tenant);
      const lastId = request.headers["last-event-id"];
      if (run.state !== "running" && isEndOfRun(lastId)) return reply.code(204).send();
      const left = new AbortController();
      reply.raw.once("close", () => left.abort());
      // Before the first look: what happens in between is told by both, and not by none.
      const listener = watcher.listen(run.id, request.query.refresh_ms);
      const lastUs = timeOfEvent(lastId);
      const sinceUs = lastUs === undefined ? 0 : lastUs - LATE_US;
      const first = await watcher.look(run.id, sinceUs).catch((error: unknown) => {
        listener.leave();
        throw error;
      });
      if (first === null) {
        listener.leave();
        throw runNotFound(run.id);
      }
      const told = first.steps.filter(({ id, atUs }) => atUs >= sinceUs && id !== lastId);
      const events = Readable.from(follow(listener, watcher, { ...first, steps: told }, left.signal), {
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
  listener: RunListener,
  watcher: RunWatcher,
  first: RunLook,
  left: AbortSignal,
): AsyncGenerator<string> {
  // Sent at once: the listener knows that it is connected.
  yield `retry: ${RETRY_MS}\n\n`;
  if (!first.isOver) yield first.run.text;
  yield* chunks(first.steps);
  yield* chunks([...first.progress.values()]);
  if (first.isOver) return yield first.run.text;
  // What the looks of the watcher find again.
  const recentUs = first.nowUs - 2 * LATE_US;
  const known = new Set(first.steps.flatMap(({ id, atUs }) => (id !== null && atUs >= recentUs ? [id] : [])));
  const said = new Set([...first.progress.values()].map(({ text }) => text));
  let run = first.run.text;
  const isNews = ({ event, id, text }: RunEvent): boolean => {
    if (event === "step") return !known.has(id ?? "");
    // Once: what was said before may be said again later.
    if (event === "progress") return !said.delete(text);
    const before = run;
    run = text;
    return text !== before;
  };
  while (!left.aborted && !watcher.stopped) {
    yield* chunks(listener.take().filter(isNews));
    if (listener.isOver) return;
    if (!(await listener.changed(HEARTBEAT_MS, left))) yield ":\n\n";
  }
}

function* chunks(events: readonly RunEvent[]): Generator<string> {
  for (let at = 0; at < events.length; at += EVENTS_A_CHUNK) {
    yield events
      .slice(at, at + EVENTS_A_CHUNK)
      .map(({ text }) => text)
      .join("");
  }
}
