/** `/v1/workers`: who is there, how busy, and who has fallen silent. */
import { z } from "zod";
import { TaskiqError } from "../errors.ts";
import type { Database } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import type { App } from "./app.ts";
import { answer, DOCS, problems } from "./docs.ts";

export type WorkerRouteParts = {
  readonly database: Database;
  /** Silence after which a worker is shown lost: three of its heartbeats. */
  readonly workerAliveMs: number;
};

type WorkerRow = {
  readonly name: string;
  readonly version: string;
  readonly revision: number | null;
  readonly state: "alive" | "draining" | "lost";
  readonly queues: readonly string[];
  readonly slots: number;
  readonly running: number;
  readonly running_tasks: readonly string[];
  readonly started_at: Date;
  readonly beat_at: Date;
};

const READ_WORKERS = loadSql(import.meta.url, "./read-workers.sql");
const MAX_WORKERS = 1_000;
const MAX_TASKS_OF_EACH = 100;
const MAX_TASKS_OF_ONE = 1_000;
const MAX_NAME_CHARS = 200;

const WORKER = z
  .object({
    name: z.string(),
    version: z.string().register(DOCS, { description: "Of this package." }),
    revision: z.int().nullable().register(DOCS, { description: "Of its ECS task definition; null elsewhere." }),
    state: z.enum(["alive", "draining", "lost"]).register(DOCS, {
      description:
        "`draining`: takes no new work. `lost`: three heartbeats are missing; its tasks run elsewhere when their leases have run out. " +
        "One that stops in good order is gone from the list; one that is lost stays for a day.",
    }),
    queues: z.array(z.string()),
    slots: z.int(),
    running: z.int().register(DOCS, { description: "Attempts, as it said with its last heartbeat." }),
    running_tasks: z.array(z.uuid()).register(DOCS, {
      description: "What it runs now; in the list at most 100 of each worker, for one worker 1,000.",
    }),
    started_at: z.iso.datetime(),
    beat_at: z.iso.datetime().register(DOCS, { description: "Its last heartbeat." }),
  })
  .register(DOCS, { id: "Worker" });

const TAGS = ["workers"];

export function workerRoutes(app: App, { database, workerAliveMs }: WorkerRouteParts): void {
  const read = (name: string | null, workers: number, tasks: number) =>
    database.query<WorkerRow>(READ_WORKERS, [workerAliveMs, name, workers, tasks]);

  app.get(
    "/v1/workers",
    {
      config: { scope: "read", allTenants: true, shared: true },
      schema: {
        operationId: "listWorkers",
        summary: "The workers, by name",
        tags: TAGS,
        response: {
          200: answer("At most 1,000.", z.object({ workers: z.array(WORKER) })),
          ...problems("database_unavailable"),
        },
      },
    },
    async (_request, reply) => {
      const workers = await read(null, MAX_WORKERS, MAX_TASKS_OF_EACH);
      return reply.type("application/json").send(JSON.stringify({ workers }));
    },
  );

  app.get(
    "/v1/workers/:name",
    {
      config: { scope: "read", allTenants: true },
      schema: {
        operationId: "getWorker",
        summary: "One worker",
        tags: TAGS,
        params: z.object({ name: z.string().min(1).max(MAX_NAME_CHARS) }),
        response: {
          200: answer("The worker.", WORKER),
          ...problems("worker_not_found", "request_invalid", "database_unavailable"),
        },
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      // Text columns hold no U+0000: no worker is called like that.
      const [worker] = name.includes("\0") ? [] : await read(name, 1, MAX_TASKS_OF_ONE);
      if (worker === undefined) {
        throw new TaskiqError(
          "worker_not_found",
          `expected the name of a worker, got ${JSON.stringify(name)}. One that stopped in good order is forgotten; GET /v1/workers lists the others.`,
        );
      }
      return reply.type("application/json").send(JSON.stringify(worker));
    },
  );
}
