/** What load balancers and people ask: `/livez`, `/readyz`, `/health`. */
import { z } from "zod";
import type { Clock } from "../clock.ts";
import { TaskiqError } from "../errors.ts";
import type { Database } from "../postgres/pool.ts";
import type { QueueSet } from "../queue/queue-set.ts";
import type { App } from "./app.ts";
import { answer, problems } from "./docs.ts";
import { HEALTH, readHealth } from "./health.ts";
import { sharedAnswer } from "./shared-answer.ts";

export type HealthRouteParts = {
  readonly database: Database;
  readonly queues: QueueSet;
  readonly clock: Clock;
  readonly draining: () => boolean;
};

const TAGS = ["health"];
const OK = z.object({ status: z.literal("ok") });
const OK_TEXT = '{"status":"ok"}';
const PING_LIMIT_MS = 1_000;
const PING_FRESH_MS = 2_000;
const HEALTH_FRESH_MS = 1_000;

export function healthRoutes(app: App, parts: HealthRouteParts): void {
  const { database, clock } = parts;
  const ping = sharedAnswer(() => database.ping(PING_LIMIT_MS), PING_FRESH_MS, clock);
  const health = sharedAnswer(() => readHealth(parts), HEALTH_FRESH_MS, clock);

  app.get(
    "/livez",
    {
      config: { scope: null },
      schema: {
        operationId: "livez",
        summary: "Whether this process answers",
        description: "Asks nothing else: restarting this process does not bring a database back.",
        tags: TAGS,
        response: { 200: answer("It does.", OK) },
      },
    },
    (_request, reply) => reply.type("application/json").send(OK_TEXT),
  );

  app.get(
    "/readyz",
    {
      // Load balancers have no key, and learn nothing else here.
      config: { scope: null },
      schema: {
        operationId: "readyz",
        summary: "Whether this process should be sent requests",
        tags: TAGS,
        response: { 200: answer("It should.", OK), ...problems("draining", "database_unavailable") },
      },
    },
    async (_request, reply) => {
      if (parts.draining()) throw new TaskiqError("draining", "expected no more requests: this process shuts down.");
      await ping();
      return reply.type("application/json").send(OK_TEXT);
    },
  );

  app.get(
    "/health",
    {
      config: { scope: "read" },
      schema: {
        operationId: "health",
        summary: "The queues, the database and the workers",
        tags: TAGS,
        response: {
          200: answer("`ok` or `degraded`.", HEALTH),
          503: answer("`unavailable`: neither the database nor any queue can be reached.", HEALTH),
        },
      },
    },
    async (_request, reply) => {
      const found = await health();
      return reply
        .code(found.status === "unavailable" ? 503 : 200)
        .type("application/json")
        .send(JSON.stringify(found));
    },
  );
}
