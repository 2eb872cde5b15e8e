/**
 * Queues: look at them, pause them, and put their dead letters back to work.
 *
 * A queue is shared by all tenants. Looking shows numbers only, and whoever may look may see them. Pausing stops everybody, so it takes a key of
 * the tenant `default`, whose keys are those of the deployment's operators. A redrive touches the tasks of the caller's tenant, and all of them for
 * such a key; poison belongs to nobody, so only such a key may delete it.
 */
import { z } from "zod";
import { audit, audited } from "../access/audit.ts";
import { type Caller, HOME_TENANT } from "../access/scope.ts";
import type { Clock } from "../clock.ts";
import { TaskiqError } from "../errors.ts";
import { pauseQueue, resumeQueue } from "../flow/pause-queue.ts";
import { redrive } from "../flow/redrive.ts";
import type { Log } from "../log.ts";
import type { Database } from "../postgres/pool.ts";
import type { QueueSet } from "../queue/queue-set.ts";
import type { App } from "./app.ts";
import { callerOf, viewOf } from "./caller.ts";
import { answer, DOCS, problems } from "./docs.ts";
import { createQueueStats, QUEUE } from "./queue-stats.ts";
import { requestIds } from "./request-spans.ts";

export type QueueRouteParts = {
  readonly database: Database;
  readonly queues: QueueSet;
  readonly log: Log;
  readonly clock: Clock;
};

const MAX_REDRIVE_RATE = 500;
const DEFAULT_REDRIVE_RATE = 50;
const MAX_REDRIVE_LIMIT = 1_000_000;
/** A request is answered within some seconds, whatever lies in the queue: below the idle time of load balancers, and of a draining API. */
const WORK_MS = 5_000;

/** SQS is asked again for whoever looks a second later. */
const DEPTH_FRESH_MS = 1_000;

const TAGS = ["queues"];
const NAME = z.object({ name: z.string() });
const NO_BODY = z.strictObject({}).nullish();
const REDRIVE = z
  .strictObject({
    limit: z.int().min(1).max(MAX_REDRIVE_LIMIT).optional().register(DOCS, {
      description: "Most tasks that this request puts back to work; default: as many as it has time for.",
    }),
    rate_per_second: z
      .int()
      .min(1)
      .max(MAX_REDRIVE_RATE)
      .default(DEFAULT_REDRIVE_RATE)
      .register(DOCS, { description: "Most tasks a second that go back to work." }),
    began_at: z.iso.datetime().optional().register(DOCS, {
      description: "Of an earlier answer, to go on with that redrive. What failed later is left there.",
    }),
    dry_run: z.boolean().default(false).register(DOCS, { description: "Count only, change nothing." }),
    discard_poison: z.boolean().default(false).register(DOCS, {
      description: "Delete messages that no task can come of. Needs a key of the tenant `default`.",
    }),
  })
  .nullish();
const count = (description: string) => z.int().register(DOCS, { description });
const REDRIVEN = z
  .object({
    queue: z.string(),
    dry_run: z.boolean(),
    redriven: count("Failed tasks that are queued again, with new budgets."),
    rung: count("Queued tasks whose message SQS had given up: it is sent again."),
    deleted: count("Messages deleted because their task succeeded, runs, was cancelled, or is gone."),
    discarded: count("Messages deleted that no task can come of."),
    poison: count("Messages left there that no task can come of."),
    failed_again: count("Messages left there because their task failed after the redrive had begun."),
    others: count("Messages left there that belong to another queue or another tenant."),
    tasks: z.array(z.object({ task: z.string().nullable(), reason: z.string(), count: z.int() })).register(DOCS, {
      description: "What went back to work and what is poison (`task` null), most first; at most 100.",
    }),
    began_at: z.iso.datetime().register(DOCS, { description: "Give it back to go on." }),
    done: z.boolean().register(DOCS, { description: "Nothing more came. False: ask again to go on." }),
  })
  .register(DOCS, { id: "Redrive" });
const READ_PROBLEMS = problems("queue_not_found", "request_invalid", "database_unavailable");
const WRITE_PROBLEMS = problems(
  "queue_not_found",
  "unknown_queue",
  "request_invalid",
  "not_json_body",
  "unsupported_media_type",
  "database_unavailable",
  "queue_unavailable",
);

export function queueRoutes(app: App, { database, queues, log, clock }: QueueRouteParts): void {
  const stats = createQueueStats({ database, queues, clock, depthFreshMs: DEPTH_FRESH_MS });

  app.get(
    "/v1/queues",
    {
      config: { scope: "read", shared: true },
      schema: {
        operationId: "listQueues",
        summary: "The queues, with what waits and runs in each",
        tags: TAGS,
        response: {
          200: answer("In the order of the configuration.", z.object({ queues: z.array(QUEUE) })),
          ...problems("database_unavailable"),
        },
      },
    },
    async (_request, reply) =>
      reply.type("application/json").send(JSON.stringify({ queues: await stats.read(queues.names) })),
  );

  app.get(
    "/v1/queues/:name",
    {
      config: { scope: "read" },
      schema: {
        operationId: "getQueue",
        summary: "One queue",
        tags: TAGS,
        params: NAME,
        response: { 200: answer("As it is now.", QUEUE), ...READ_PROBLEMS },
      },
    },
    async (request, reply) => reply.type("application/json").send(await shown(known(request.params.name))),
  );

  app.post(
    "/v1/queues/:name/pause",
    {
      config: { scope: "operate", bodyOptional: true, allTenants: true },
      schema: {
        operationId: "pauseQueue",
        summary: "Stop the claims from a queue",
        description:
          "Within about a second no worker claims from it. What runs goes on, what is submitted waits, nothing is lost. Asking again changes nothing.",
        tags: TAGS,
        params: NAME,
        body: NO_BODY,
        response: { 200: answer("It is paused.", QUEUE), ...WRITE_PROBLEMS },
      },
    },
    async (request, reply) => {
      const name = known(request.params.name);
      const caller = callerOf(request);
      await audited(database, async (tx) => {
        await pauseQueue(tx, name, caller.name);
        await audit(tx, caller, "queue.pause", name);
      });
      log.info("queue.paused", { ...requestIds(request), queue: name, by: caller.name });
      return reply.type("application/json").send(await shown(name));
    },
  );

  app.post(
    "/v1/queues/:name/resume",
    {
      config: { scope: "operate", bodyOptional: true, allTenants: true },
      schema: {
        operationId: "resumeQueue",
        summary: "Let the workers claim from a queue again",
        tags: TAGS,
        params: NAME,
        body: NO_BODY,
        response: { 200: answer("It is not paused.", QUEUE), ...WRITE_PROBLEMS },
      },
    },
    async (request, reply) => {
      const name = known(request.params.name);
      const caller = callerOf(request);
      const wasPaused = await audited(database, async (tx) => {
        const resumed = await resumeQueue(tx, name);
        if (resumed) await audit(tx, caller, "queue.resume", name);
        return resumed;
      });
      if (wasPaused) log.info("queue.resumed", { ...requestIds(request), queue: name, by: caller.name });
      return reply.type("application/json").send(await shown(name));
    },
  );

  app.post(
    "/v1/queues/:name/redrive",
    {
      config: { scope: "operate", bodyOptional: true },
      schema: {
        operationId: "redriveQueue",
        summary: "Put the tasks in the dead-letter queue back to work",
        description:
          "Works for about five seconds and says what came of it; ask again until `done`. It may be interrupted at any point and repeated: a message is deleted " +
          "after its task is queued. A task that succeeded, runs or was cancelled is left alone. A key of another tenant than `default` redrives its own tasks.",
        tags: TAGS,
        params: NAME,
        body: REDRIVE,
        response: { 200: answer("What was done.", REDRIVEN), ...WRITE_PROBLEMS },
      },
    },
    async (request, reply) => {
      const name = known(request.params.name);
      const caller = callerOf(request);
      const limit = request.body?.limit ?? null;
      const ratePerSecond = request.body?.rate_per_second ?? DEFAULT_REDRIVE_RATE;
      const dryRun = request.body?.dry_run ?? false;
      const discardPoison = request.body?.discard_poison ?? false;
      if (discardPoison) requireHome(caller);
      const beganAt = request.body?.began_at;
      const { done, tasks, beginMs, again, ...rest } = await redrive(
        {
          database: { query: database.query, transaction: (work) => audited(database, work) },
          deadLetter: queues.deadLetter(name),
          log,
          clock,
        },
        {
          queue: name,
          tenant: viewOf(caller),
          beginMs: beganAt === undefined ? null : Date.parse(beganAt),
          ratePerSecond,
          limit,
          dryRun,
          discardPoison,
          workMs: WORK_MS,
          record: (tx) => audit(tx, caller, "queue.redrive", name, { limit, ratePerSecond, discardPoison }),
        },
      );
      const counts = { ...rest, failed_again: again };
      if (!dryRun) log.info("queue.redriven", { ...requestIds(request), queue: name, ...counts, by: caller.name });
      return reply.type("application/json").send(
        JSON.stringify({
          queue: name,
          dry_run: dryRun,
          ...counts,
          tasks,
          began_at: new Date(beginMs).toISOString(),
          done,
        }),
      );
    },
  );

  async function shown(name: string): Promise<string> {
    const [queue] = await stats.read([name]);
    return JSON.stringify(queue);
  }

  function known(name: string): string {
    if (queues.names.includes(name)) return name;
    throw new TaskiqError(
      "queue_not_found",
      `expected the name of a configured queue (${queues.names.join(", ")}), got ${JSON.stringify(name)}.`,
    );
  }
}

function requireHome({ tenant }: Caller): void {
  if (tenant === HOME_TENANT) return;
  throw new TaskiqError(
    "home_only",
    `expected a key of the tenant ${HOME_TENANT} to discard messages that belong to nobody, got one of ${tenant}.`,
  );
}
