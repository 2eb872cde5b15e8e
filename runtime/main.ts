#!/usr/bin/env node
/** The one entry point: reads the configuration, opens what the role needs, starts it, and stops it in order on a signal. */

import { hostname } from "node:os";
import { fileURLToPath, pathToFileURL } from "node:url";
import { pruneAccess } from "./access/prune-access.ts";
import { createApi } from "./api/server.ts";
import { systemClock as clock } from "./clock.ts";
import { configFromProcess, environmentOfProcess, type ServiceConfig } from "./config.ts";
import { createJobRegistry } from "./define/job-registry.ts";
import { chainMiddlewares } from "./define/middleware.ts";
import { createRegistry, loadJobs, loadTasks } from "./define/registry.ts";
import { openWorkerService } from "./ecs/ecs.ts";
import { publish } from "./enqueue/publish.ts";
import { createCancelRequests } from "./executor/cancel-requests.ts";
import { createExecutor } from "./executor/executor.ts";
import type { ExecutorLoop } from "./executor/loop.ts";
import { createScaler } from "./executor/scaler.ts";
import { createSchedules } from "./executor/schedules.ts";
import { createAnnouncer } from "./flow/announce.ts";
import type { Ring } from "./flow/limits.ts";
import { createRunSubmitter } from "./flow/runs.ts";
import { createSubmitter } from "./flow/submit.ts";
import { createRunWriter } from "./flow/submit-run.ts";
import { createProcessGroups } from "./isolation/groups.ts";
import { createProcessPool } from "./isolation/pool.ts";
import { type Log, openLog, standardOutput } from "./log.ts";
import { openMetrics } from "./metrics/open-metrics.ts";
import { DEFAULT_POLICY } from "./model/scaling.ts";
import { openPayloadStore } from "./payload/s3.ts";
import { migrate } from "./postgres/migrate.ts";
import { type Database, type DatabaseOptions, openDatabase } from "./postgres/pool.ts";
import { startProbe } from "./probe.ts";
import { describeStartFailure, stopOnSignals, whenSchemaFits } from "./process.ts";
import { createPythonLoops } from "./python/loops.ts";
import { openQueue, openQueues } from "./queue/sqs.ts";
import { databasePassword } from "./secrets/database-password.ts";
import { commandTask } from "./tasks/command.ts";
import { JOBS, TASKS } from "./tasks/index.ts";
import { createSimpleRun } from "./tasks/simple-run.ts";
import { createStartRun } from "./tasks/start-run.ts";
import { startTracing } from "./tracing/sdk.ts";
import { VERSION } from "./version.ts";
import { loggingMiddleware } from "./worker/logging.ts";
import { createProtection } from "./worker/protection.ts";
import { readRevision } from "./worker/revision.ts";
import { createWorker } from "./worker/worker.ts";

/** What `npm run web` builds. */
const PAGES_FOLDER = fileURLToPath(new URL("./web/dist", import.meta.url));

/** @param overrides variables given another way than by the environment, such as on the command line; they win */
export async function main(overrides: Readonly<Record<string, string>> = {}): Promise<void> {
  const config = configFromProcess(overrides);
  const workerName =
    config.role === "migrate" ? undefined : (config.worker.name ?? `${hostname()}-${process.pid}-${suffix()}`);
  const runsWorker = config.role === "worker" || config.role === "all";
  const write = standardOutput();
  const log = openLog({
    ...config.log,
    service: config.role,
    ...(runsWorker && workerName !== undefined && { worker: workerName }),
    write,
  });

  const password = databasePassword(config.database, config.aws);
  const migrateDatabase = () => migrate(config.database.url, { caFile: config.database.caFile ?? undefined, password });

  if (config.role === "migrate") {
    // The process with id 1 of a container ignores what it has no handler for. Half a migration is undone by the server.
    process.once("SIGTERM", () => process.exit(143));
    const { from, to } = await migrateDatabase();
    log.info("migrate.applied", { from, to });
    return;
  }

  const metrics =
    config.metrics === null
      ? null
      : openMetrics({ ...config.metrics, role: config.role, version: VERSION, clock, write });
  const shown = metrics?.shown ?? null;
  const { tracing, stop: flush } = await startTracing(config.tracing, {
    role: config.role,
    version: VERSION,
    log,
    clock,
  });
  const stops: (() => Promise<void>)[] = [];
  // From here on: whoever waits for the database can be told to stop.
  const stop = stopOnSignals({ log, clock, budgetMs: config.worker.drainBudgetMs, stops, flush });

  const open = (purpose: string, max: number, limits: Partial<DatabaseOptions> = {}): Database => {
    const pool = openPool(config, purpose, max, log, { password, ...limits });
    metrics?.pool(purpose, pool);
    return pool;
  };
  const database = open(config.role, config.database.pool);
  await whenSchemaFits(database, {
    migrateFirst: config.role === "all" ? migrateDatabase : null,
    waitMs: config.database.schemaWaitMs,
    log,
    clock,
  });

  const aws = {
    region: config.aws.region,
    ...(config.aws.endpointUrl !== null && { endpoint: config.aws.endpointUrl }),
  };
  const queues = openQueues({ ...aws, queues: config.queues, observer: metrics?.queues });
  const store = openPayloadStore({ ...aws, bucket: config.payload.bucket, maxBytes: config.payload.maxBytes });
  const payloads = metrics?.payloads(store) ?? store;
  const announcer = createAnnouncer({ database, queues, payloads, log });
  const { modules, warmProcesses, processEnvNames } = config.tasks;
  const { commandEnvNames: envNames, commandInheritedNames: inheritedNames } = config.tasks;
  const environment = environmentOfProcess();
  const groups = createProcessGroups();
  const commands = envNames === null ? [] : [commandTask({ groups, environment, envNames, inheritedNames })];
  const startRun = createStartRun(() => ({ runs, jobs }));
  const tasks = createRegistry([...TASKS, startRun, ...commands, ...(await loadTasks(modules))]);
  const simpleRun = createSimpleRun(tasks, {
    payloads,
    log,
    clock,
    maxPayloadBytes: config.payload.maxBytes,
    tracing,
  });
  const registry = createRegistry([...tasks.values(), simpleRun]);
  const jobs = createJobRegistry([...JOBS, ...(await loadJobs(modules))], tasks);
  const { inlineBytes: inlinePayloadBytes } = config.payload;
  await publish(database, { registry: tasks, queues: config.queues, inlinePayloadBytes, ...config.submit }, clock);
  const middlewares = [loggingMiddleware(log, config.log.tasks)];
  const chain = chainMiddlewares(middlewares, log);
  const submitting = {
    database,
    payloads,
    announcer,
    queues,
    inlinePayloadBytes,
    maxPayloadBytes: config.payload.maxBytes,
    observer: metrics?.submitting,
    ...config.submit,
    tracing,
  };
  const submitter = createSubmitter({ ...submitting, registry: tasks, middlewares: chain });
  // A FIFO queue has one sender, and a worker may not send to it: the executor's loop does.
  const ring: Ring = (doorbells) =>
    announcer.ring(doorbells.filter(({ queue }) => queues.options(queue).type === "standard"));
  const writer = createRunWriter({ ...submitting, announcer: { ...announcer, ring }, registry: tasks, simpleRun });
  const runs = createRunSubmitter({ database, payloads, writer });

  if (config.role !== "worker") {
    const { auditRetentionMs } = config.access;
    const extraLoops: ExecutorLoop[] = [
      {
        name: "prune-access",
        intervalMs: config.executor.pruneIntervalMs,
        step: () => pruneAccess(database, auditRetentionMs),
      },
      createSchedules({
        database,
        submitter,
        announcer,
        middlewares: chain,
        log,
        clock,
        observer: metrics?.submitting,
      }),
    ];
    extraLoops.push(
      ...createPythonLoops({
        database,
        payloads,
        queues,
        registry: tasks,
        ring,
        log,
        clock,
        inlinePayloadBytes,
        maxPayloadBytes: config.payload.maxBytes,
        intervalMs: config.executor.pythonIntervalMs,
      }),
    );
    if (config.scaling !== null) {
      const { cluster, service, intervalMs, ...numbers } = config.scaling;
      extraLoops.push(
        createScaler({
          database,
          queues,
          log,
          clock,
          intervalMs,
          service: openWorkerService({ ...aws, cluster, service }),
          // Whoever allows a scale-in every ten seconds does not want to wait five minutes for the first.
          policy: { ...DEFAULT_POLICY, ...numbers, quietMs: numbers.inCooldownMs },
          workerAliveMs: 3 * config.worker.extendIntervalMs,
        }),
      );
    }
    if (config.cancelQueueUrl !== null) {
      const queue = openQueue({ ...aws, name: "cancel", url: config.cancelQueueUrl });
      extraLoops.push(createCancelRequests({ queue, database, log }));
    }
    const known = { queues: new Set(queues.names), tasks: new Set(registry.keys()), jobs: new Set(jobs.keys()) };
    extraLoops.push(...(metrics?.loops({ database, queues, known }) ?? []));
    const executor = createExecutor({
      database,
      payloads,
      announcer,
      queueNames: queues.names,
      log,
      clock,
      settings: { ...config.executor, leaseMs: config.worker.leaseMs },
      extraLoops,
      onReaped: metrics?.reaped,
    });
    executor.start();
    stops.push(executor.stop);
    // The API has routes of its own for this.
    if (config.role === "executor" && config.worker.probe !== null) {
      const probe = await startProbe({ ...config.worker.probe, live: () => ALIVE, metrics: shown });
      log.info("probe.started", { host: config.worker.probe.host, port: probe.port });
    }
  }

  if (config.role === "api" || config.role === "all") {
    const api = await createApi({
      submitter,
      runs: { submitter: runs, jobs },
      registry: tasks,
      database,
      payloads,
      queues,
      log,
      clock,
      limits: {
        maxBodyBytes: config.http.maxBodyBytes,
        maxPayloadBytes: config.payload.maxBytes,
        maxDelayMs: config.submit.maxDelayMs,
      },
      workerAliveMs: 3 * config.worker.extendIntervalMs,
      version: VERSION,
      demo: config.http.demo,
      logsUrl: config.http.logsUrl,
      pagesFolder: PAGES_FOLDER,
      access: config.access,
      metrics: shown,
      tracing,
    });
    log.info("api.started", await api.listen(config.http));
    if (config.access.auth === "none" && !isLoopback(config.http.host))
      log.warn("api.open", { host: config.http.host });
    stops.push(async () => {
      const startedMs = clock.nowMs();
      api.drain();
      await api.close();
      await submitter.idle();
      await runs.idle();
      await announcer.idle();
      log.info("api.stopped", { elapsedMs: Math.round(clock.nowMs() - startedMs) });
    });
  }

  if (runsWorker && workerName !== undefined) {
    const commitDatabase = open("worker-commit", config.database.pool, commitLimits(config.worker.commitTimeoutMs));
    const beatDatabase = open("worker-beat", 1);
    const worker = createWorker({
      name: workerName,
      version: VERSION,
      registry,
      middlewares,
      queues,
      queueNames: config.worker.queues,
      payloads,
      database,
      commitDatabase,
      beatDatabase,
      ring,
      processes: createProcessPool({
        modules,
        environment,
        allowedNames: processEnvNames,
        warm: warmProcesses,
        maxPayloadBytes: config.payload.maxBytes,
        groups,
        log,
        clock,
      }),
      log,
      clock,
      revision: await readRevision(config.protection.metadataUrl),
      protection: createProtection({ ...config.protection, log, clock }),
      ...(metrics !== null && { metrics: metrics.worker(workerName) }),
      tracing,
      settings: {
        ...config.worker,
        inlinePayloadBytes: config.payload.inlineBytes,
        maxPayloadBytes: config.payload.maxBytes,
      },
    });
    worker.start();
    stops.push(async () => {
      await worker.drain();
      await announcer.idle();
    });
    void worker.stopped.then(() => stop("the worker has stopped"));
    if (config.worker.probe !== null) {
      const probe = await startProbe({ ...config.worker.probe, live: worker.live, metrics: shown });
      log.info("probe.started", { host: config.worker.probe.host, port: probe.port });
    }
  }
}

/** Its loops go on after whatever fails: that it answers is all there is to ask. */
const ALIVE = { ok: true, why: "the event loop turns" };

/** The worker ends a commit at its timeout; the server a second later, if the worker is frozen meanwhile. */
function commitLimits(commitTimeoutMs: number): Partial<DatabaseOptions> {
  const serverMs = commitTimeoutMs + 1_000;
  return { statementTimeoutMs: serverMs, idleInTransactionTimeoutMs: serverMs, queryTimeoutMs: serverMs + 3_000 };
}

function openPool(
  config: ServiceConfig,
  purpose: string,
  max: number,
  log: Log,
  limits: Partial<DatabaseOptions>,
): Database {
  return openDatabase({
    connectionString: config.database.url,
    ...(config.database.caFile !== null && { caFile: config.database.caFile }),
    max,
    applicationName: `taskiq-${purpose}`,
    queryTimeoutMs: config.database.queryTimeoutMs,
    onError: (error) => log.warn("database.idle_error", { error }),
    ...limits,
  });
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

/** Two processes never have one name, not even one after the other in one container: a worker's row is its own. */
function suffix(): string {
  return Math.random().toString(36).slice(2, 8);
}

/** `main` for an executable: what stops the start is one message on standard error and exit code 1. */
export async function run(overrides: Readonly<Record<string, string>> = {}): Promise<void> {
  try {
    await main(overrides);
  } catch (error) {
    process.stderr.write(`${describeStartFailure(error)}\n`);
    process.exit(1);
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) await run();
