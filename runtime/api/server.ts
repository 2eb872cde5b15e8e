/** The HTTP API, put together: what it is made of, how long it waits for whom, and how it ends. */
import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { fastify } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { createVerifier } from "../access/verifier.ts";
import type { Clock } from "../clock.ts";
import type { JobRegistry } from "../define/job.ts";
import type { Registry } from "../define/registry.ts";
import type { RunSubmitter } from "../flow/runs.ts";
import type { Submitter } from "../flow/submit.ts";
import type { Log } from "../log.ts";
import type { PayloadStore } from "../payload/payload.ts";
import type { Database } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import type { QueueSet } from "../queue/queue-set.ts";
import { NO_TRACING, type Tracing } from "../tracing/tracing.ts";
import { guardRoutes } from "./access.ts";
import type { App } from "./app.ts";
import { auditRoutes } from "./audit-routes.ts";
import { takeJsonBodies } from "./body.ts";
import { bulkRoutes } from "./bulk-routes.ts";
import { cancelRoutes } from "./cancel-routes.ts";
import { demoRoutes } from "./demo-routes.ts";
import { eventRoutes } from "./event-routes.ts";
import { healthRoutes } from "./health-routes.ts";
import { jobRoutes } from "./job-routes.ts";
import { keyRoutes } from "./key-routes.ts";
import { listRoutes } from "./list-routes.ts";
import { type ApiMetrics, measureRequests, metricsRoutes } from "./metrics-routes.ts";
import { documentRoutes } from "./openapi.ts";
import { refuseOtherMethods } from "./other-methods.ts";
import { createOverviewFeed } from "./overview-feed.ts";
import { overviewRoutes } from "./overview-routes.ts";
import { pageRoutes } from "./page-routes.ts";
import { answerProblems, sendProblem } from "./problem.ts";
import { queueRoutes } from "./queue-routes.ts";
import { createQueueStats } from "./queue-stats.ts";
import { traceRequests } from "./request-spans.ts";
import { runChangeRoutes } from "./run-change-routes.ts";
import { runEventRoutes } from "./run-event-routes.ts";
import { createRunOutlines } from "./run-outline.ts";
import { createRunReader } from "./run-reader.ts";
import { runRoutes } from "./run-routes.ts";
import { createRunWatcher } from "./run-watcher.ts";
import { scheduleRoutes } from "./schedule-routes.ts";
import { sessionRoutes } from "./session-routes.ts";
import { shareLooks } from "./shared-looks.ts";
import { taskDefinitionRoutes } from "./task-definition-routes.ts";
import { createTaskReader } from "./task-reader.ts";
import { taskRoutes } from "./task-routes.ts";
import { validatorCompiler } from "./validation.ts";
import { createWaiter } from "./waiter.ts";
import { createWatcher } from "./watcher.ts";
import { workerRoutes } from "./worker-routes.ts";

export type ApiParts = {
  readonly submitter: Submitter;
  readonly registry: Registry;
  readonly database: Database;
  readonly payloads: PayloadStore;
  readonly queues: QueueSet;
  readonly log: Log;
  readonly clock: Clock;
  readonly limits: {
    /** A larger body is refused with 413. */
    readonly maxBodyBytes: number;
    readonly maxPayloadBytes: number;
    /** The longest delay a task may be submitted with. */
    readonly maxDelayMs: number;
  };
  /** Silence after which a worker is shown lost: three of its heartbeats. */
  readonly workerAliveMs: number;
  /** Of this package, for the OpenAPI document. */
  readonly version: string;
  /** The routes of the demonstration, `/tasks`. */
  readonly demo: boolean;
  /** Where the logs of a task are, with `{taskId}` for its id; null: the dashboard shows no link to them. */
  readonly logsUrl: string | null;
  /** The folder of the dashboard's built files; where it is missing, `/` says how to build them. */
  readonly pagesFolder: string;
  /** Graphs of steps. Without it there are no routes for them. */
  readonly runs?: { readonly submitter: RunSubmitter; readonly jobs: JobRegistry };
  /** What `/metrics` shows. Absent or null: that there are none. */
  readonly metrics?: ApiMetrics | null;
  readonly access: {
    /** `none`: everybody may do everything. */
    readonly auth: "keys" | "none";
    /** In the text of new keys: up to 20 lower-case letters, digits and hyphens. */
    readonly environment: string;
  };
  /** Makes a span of each request. Absent: there are none. */
  readonly tracing?: Tracing;
};

export type Api = {
  /** Starts to listen; `port` 0 is any free one. Resolves with what it listens on. */
  listen(options: { readonly host: string; readonly port: number }): Promise<{ host: string; port: number }>;
  /** From now on `/readyz` says 503, callers that wait are answered at once, and connections end with their next answer. */
  drain(): void;
  /** Drains, answers the open requests (at most 15 s) and closes every connection. */
  close(): Promise<void>;
  /** A request without a socket. */
  readonly inject: App["inject"];
};

/** Above the 60 s of a load balancer in front: it must not send a request on a connection that closes right then. */
const KEEP_ALIVE_MS = 65_000;
const HEADERS_MS = 66_000;
/** A request from its first to its last byte. */
const REQUEST_MS = 120_000;
/** Silence on a connection in the middle of a request: above the longest wait for a task. */
const SILENCE_MS = 120_000;
const CLOSE_MS = 15_000;
const READ_FINISHED_RUNS = loadSql(import.meta.url, "./read-finished-runs.sql");
const MAX_PARAM_CHARS = 500;
/** Pages may stay open for days, and SQS bills each question. */
const OVERVIEW_DEPTH_FRESH_MS = 10_000;

export async function createApi(parts: ApiParts): Promise<Api> {
  const { submitter, database, payloads, queues, log, clock, limits } = parts;
  const app: App = fastify({
    bodyLimit: limits.maxBodyBytes,
    connectionTimeout: SILENCE_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    requestTimeout: REQUEST_MS,
    http: { headersTimeout: HEADERS_MS, requestTimeout: REQUEST_MS },
    routerOptions: { maxParamLength: MAX_PARAM_CHARS },
    genReqId: requestId,
    // What still comes in while it closes is answered, because the parts behind it close later.
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => void sendProblem(error, request, reply, log, limits.maxBodyBytes),
  }).withTypeProvider<ZodTypeProvider>();
  // Answers are written as text; the schemas of answers are for the document.
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
  app.setValidatorCompiler(validatorCompiler);
  traceRequests(app, parts.tracing ?? NO_TRACING);
  answerProblems(app, log, limits.maxBodyBytes);
  takeJsonBodies(app);

  let draining = false;
  let open = 0;
  let allAnswered: (() => void) | undefined;
  app.addHook("onRequest", (_request, reply, done) => {
    open++;
    reply.raw.once("close", () => {
      if (--open === 0) allAnswered?.();
    });
    reply.header("cache-control", "no-store");
    done();
  });
  app.addHook("onSend", (_request, reply, _payload, done) => {
    if (draining) reply.header("connection", "close");
    done();
  });

  measureRequests(app, parts.metrics ?? null);
  const verifier = createVerifier({ database, clock });
  const { auth, environment } = parts.access;
  guardRoutes(app, auth === "none" ? null : verifier);
  shareLooks(app, clock);
  const waiter = createWaiter({ database, clock });
  const runWaiter = createWaiter({ database, clock, statement: READ_FINISHED_RUNS });
  const watcher = createWatcher({ database, clock });
  const outlines = createRunOutlines(database);
  const runWatcher = createRunWatcher({ database, payloads, outlines, clock });
  const overviews = createOverviewFeed({
    database,
    queueNames: queues.names,
    queueStats: createQueueStats({ database, queues, clock, depthFreshMs: OVERVIEW_DEPTH_FRESH_MS }),
    workerAliveMs: parts.workerAliveMs,
    clock,
  });
  const reader = createTaskReader({ database, payloads, waiter });
  await documentRoutes(app, parts.version);
  const refuse = refuseOtherMethods(app);
  await pageRoutes(app, parts.pagesFolder);
  if (parts.demo) demoRoutes(app, { submitter, reader });
  // The document is open to everybody; the names are told to whoever has a key, in the answer to an unknown one.
  const taskNames = auth === "none" ? [...parts.registry.keys()] : [];
  sessionRoutes(app, { auth, version: parts.version, logsUrl: parts.logsUrl });
  taskDefinitionRoutes(app, { registry: parts.registry });
  taskRoutes(app, { submitter, reader, taskNames, limits });
  cancelRoutes(app, { database });
  listRoutes(app, { database, clock });
  bulkRoutes(app, { database });
  eventRoutes(app, { database, watcher });
  if (parts.runs !== undefined) {
    const { submitter: runs, jobs } = parts.runs;
    const runReader = createRunReader({ database, payloads, outlines, waiter: runWaiter });
    const { maxBodyBytes } = limits;
    jobRoutes(app, { jobs });
    runRoutes(app, { submitter: runs, jobs, reader: runReader, outlines, database, payloads, clock, maxBodyBytes });
    runChangeRoutes(app, { database, submitter: runs });
    runEventRoutes(app, { database, watcher: runWatcher });
  }
  overviewRoutes(app, { feed: overviews });
  workerRoutes(app, { database, workerAliveMs: parts.workerAliveMs });
  scheduleRoutes(app, { database, submitter, taskNames, limits });
  queueRoutes(app, { database, queues, log, clock });
  keyRoutes(app, { database, environment, forget: verifier.forget });
  auditRoutes(app, { database });
  healthRoutes(app, { database, queues, clock, draining: () => draining });
  metricsRoutes(app, parts.metrics ?? null);
  refuse();
  await app.ready();

  function drain(): void {
    draining = true;
    for (const one of [waiter, runWaiter, watcher, runWatcher, overviews]) one.stop();
  }

  async function close(): Promise<void> {
    drain();
    const closed = app.close();
    if (open > 0) {
      const answered = new AbortController();
      allAnswered = () => answered.abort();
      await clock.after(CLOSE_MS, answered.signal).catch(() => {});
    }
    // Connections that have not asked anything yet, such as those a browser opens in advance, would keep it open.
    app.server.closeAllConnections();
    await closed;
  }

  return {
    async listen({ host, port }) {
      await app.listen({ host, port });
      // A TCP listener's address is an object; it is a string only for pipes.
      const address = app.server.address() as { port: number };
      return { host, port: address.port };
    },
    drain,
    close,
    inject: app.inject.bind(app),
  };
}

/** The caller's, where it is sane: it is written into the log. */
function requestId(request: IncomingMessage): string {
  const given = request.headers["x-request-id"];
  return typeof given === "string" && /^[\w.:=-]{1,128}$/.test(given) ? given : randomUUID();
}
