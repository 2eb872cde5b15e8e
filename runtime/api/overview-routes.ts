/** `/v1/overview` and `/v1/live`: how the deployment does, once and as it goes. */
import { Readable } from "node:stream";
import { z } from "zod";
import { TaskiqError } from "../errors.ts";
import type { App } from "./app.ts";
import { callerOf } from "./caller.ts";
import { answer, problems } from "./docs.ts";
import type { OverviewFeed, OverviewListener } from "./overview-feed.ts";
import { OVERVIEW } from "./overview-view.ts";

/** Load balancers cut what is silent for 60 s. */
const HEARTBEAT_MS = 15_000;
/** How soon a listener comes back whose connection broke, and one that is sent away by a shutdown. */
const RETRY_MS = 1_000;
const TAGS = ["overview"];

export function overviewRoutes(app: App, { feed }: { readonly feed: OverviewFeed }): void {
  app.get(
    "/v1/overview",
    {
      config: { scope: "read" },
      schema: {
        operationId: "getOverview",
        summary: "How the deployment does",
        description:
          "Tasks, runs, schedules and failures are those of the key's tenant; queues and workers are shared by all. Answers that come within a second " +
          "share one look at the database.",
        tags: TAGS,
        response: { 200: answer("The overview.", OVERVIEW), ...problems("database_unavailable") },
      },
    },
    async (request, reply) => reply.type("application/json").send(await feed.read(callerOf(request).tenant)),
  );

  app.get(
    "/v1/live",
    {
      config: { scope: "read" },
      schema: {
        operationId: "watchOverview",
        summary: "Follow the overview by server-sent events",
        description:
          "`overview` with what `GET /v1/overview` answers, at once and then every 3 s; `away` when the database does not answer, and `overview` again as " +
          "soon as it does. Comments keep the connection open. Ends when this process shuts down: come back.",
        tags: TAGS,
        response: {
          200: { description: "Events.", content: { "text/event-stream": { schema: z.unknown() } } },
          ...problems("too_many_listeners", "draining"),
        },
      },
    },
    async (request, reply) => {
      if (feed.stopped) throw new TaskiqError("draining", "expected no more requests: this process shuts down.");
      const left = new AbortController();
      reply.raw.once("close", () => left.abort());
      const listener = feed.listen(callerOf(request).tenant);
      const events = Readable.from(follow(listener, feed, left.signal), { objectMode: false, highWaterMark: 16_384 });
      // Also where nobody has begun to read.
      events.once("close", listener.leave);
      return reply.type("text/event-stream; charset=utf-8").header("x-accel-buffering", "no").send(events);
    },
  );
}

/** Asked for the next event only when the listener has read the last one: who reads slowly misses some, and nothing is kept for it. */
async function* follow(listener: OverviewListener, feed: OverviewFeed, left: AbortSignal): AsyncGenerator<string> {
  // Sent at once: the listener knows that it is connected.
  yield `retry: ${RETRY_MS}\n\n`;
  while (!left.aborted && !feed.stopped) {
    const news = await listener.next(HEARTBEAT_MS, left);
    if (news === undefined) yield ":\n\n";
    else if (news === "away") yield "event: away\ndata: {}\n\n";
    else yield `event: overview\ndata: ${news.text}\n\n`;
  }
}
