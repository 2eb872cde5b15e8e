/**
 * Real parts for the tests of a worker: a database, an emulator, and queues that stand between the two and can count, delay and fail.
 * One a file; `reset` after each test.
 */

import { afterAll, afterEach, beforeAll } from "vitest";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import type { Middleware } from "../../runtime/define/middleware.ts";
import { type AnyTask, createRegistry } from "../../runtime/define/registry.ts";
import type { ProcessPool } from "../../runtime/isolation/pool.ts";
import type { QueueContents } from "../../runtime/local/aws.ts";
import { deadLetterSqsName, sqsName } from "../../runtime/local/queues.ts";
import { type Log, openLog } from "../../runtime/log.ts";
import type { PayloadStore } from "../../runtime/payload/payload.ts";
import { openPayloadStore, type S3PayloadStore } from "../../runtime/payload/s3.ts";
import { type Database, type DatabaseOptions, openDatabase } from "../../runtime/postgres/pool.ts";
import type { Statement } from "../../runtime/postgres/sql.ts";
import type { Delivery, Outgoing, Queue } from "../../runtime/queue/queue.ts";
import { createQueueSet } from "../../runtime/queue/queue-set.ts";
import { openQueues, type SqsQueues } from "../../runtime/queue/sqs.ts";
import type { Tracing } from "../../runtime/tracing/tracing.ts";
import { encodeDoorbell } from "../../runtime/wire/message.ts";
import type { WorkerObserver } from "../../runtime/worker/observer.ts";
import type { Protection } from "../../runtime/worker/protection.ts";
import { createWorker, type Worker, type WorkerSettings } from "../../runtime/worker/worker.ts";
import { startTestAws, type TestAws, type TestQueue } from "../support/aws.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { clearTasks, createTasks, type TaskColumns } from "../support/tasks.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";

export type LogLine = { readonly level: string; readonly event: string; readonly [field: string]: unknown };

export type WorkerOptions = {
  readonly tasks: readonly AnyTask[];
  readonly settings?: Partial<WorkerSettings>;
  /** What stands in for the queue of that name. */
  readonly queues?: readonly Queue[];
  readonly queueNames?: readonly string[];
  readonly database?: Database;
  readonly commitDatabase?: Database;
  readonly beatDatabase?: Database;
  readonly payloads?: PayloadStore;
  readonly middlewares?: readonly Middleware[];
  readonly name?: string;
  readonly clock?: Clock;
  readonly protection?: Protection;
  readonly processes?: ProcessPool;
  readonly metrics?: WorkerObserver;
  readonly tracing?: Tracing;
};

export type RigOptions = { readonly queues?: readonly (string | TestQueue)[] };

export type Rig = {
  readonly databaseUrl: string;
  /** For the test itself, and for workers without one of their own. */
  readonly database: Database;
  readonly aws: TestAws;
  readonly queues: SqsQueues;
  readonly payloads: S3PayloadStore;
  readonly log: Log;
  /** What was logged since the last reset. */
  readonly lines: readonly LogLine[];
  events(...names: readonly string[]): readonly LogLine[];
  queue(name?: string): Queue;
  /** What a queue holds now. */
  held(name?: string): QueueContents;
  heldDead(name?: string): QueueContents;
  /** Receives everything in the dead-letter queue, with its attributes, and deletes it. */
  takeDeadLetters(name?: string): Promise<Delivery[]>;
  /** Sends a doorbell for each task. */
  ring(ids: readonly string[], name?: string): Promise<void>;
  send(messages: readonly Outgoing[], name?: string): Promise<void>;
  /** Rows and their doorbells. */
  submit(rows: readonly TaskColumns[]): Promise<string[]>;
  /** A pool of its own, closed by `reset`. */
  open(options?: Partial<DatabaseOptions>): Database;
  /** A proxy in front of Postgres, closed by `reset`, and the connection string that goes through it. */
  proxy(): Promise<TcpProxy & { readonly url: string }>;
  /** A worker that polls already, stopped by `reset`. */
  start(options: WorkerOptions): Worker;
  reset(): Promise<void>;
  close(): Promise<void>;
};

export const SETTINGS: WorkerSettings = {
  graceMs: 5_000,
  slots: 10,
  leaseMs: 30_000,
  extendIntervalMs: 10_000,
  receiveWaitMs: 40,
  completeLingerMs: 1,
  commitTimeoutMs: 2_000,
  unknownTaskAfterMs: 3_600_000,
  drainWorkMs: 0,
  drainBudgetMs: 3_000,
  inlinePayloadBytes: 65_536,
  maxPayloadBytes: 1_000_000,
};

export async function openRig({ queues: wanted = ["default"] }: RigOptions = {}): Promise<Rig> {
  const members = wanted.map((queue): TestQueue => (typeof queue === "string" ? { name: queue } : queue));
  const names = members.map(({ name }) => name);
  const testDatabase: TestDatabase = await createTestDatabase();
  const aws = await startTestAws({ queues: members });
  const { endpoint, region, credentials, bucket } = aws;
  const addresses = members.map(({ name, ...options }) => ({
    name,
    url: aws.queueUrl(name),
    deadLetterUrl: aws.deadLetterUrl(name),
    options,
  }));
  const typed = (name: string) => ({ name, type: queues.options(name).type });
  const queues = openQueues({ endpoint, region, credentials, queues: addresses });
  const payloads = openPayloadStore({ endpoint, region, credentials, bucket, maxBytes: SETTINGS.maxPayloadBytes });
  const lines: LogLine[] = [];
  const log = openLog({
    level: "debug",
    format: "json",
    service: "test",
    write: (line) => lines.push(JSON.parse(line)),
  });
  const openOne = (options: Partial<DatabaseOptions> = {}): Database =>
    openDatabase({ connectionString: testDatabase.url, max: 6, applicationName: "worker test", ...options });

  const database = openOne({ applicationName: "worker test observer" });
  const commitDatabase = openOne({ max: 4 });
  const beatDatabase = openOne({ max: 1 });
  let pools: Database[] = [];
  let proxies: TcpProxy[] = [];
  let workers: Worker[] = [];
  let started = 0;

  function queue(name = "default"): Queue {
    const found = queues.get(name);
    if (found === undefined) throw new Error(`the rig has no queue ${name}`);
    return found;
  }

  async function send(messages: readonly Outgoing[], name?: string): Promise<void> {
    const outcomes = await queue(name).send(messages);
    const refused = outcomes.find((outcome) => outcome.kind === "failed");
    if (refused !== undefined) throw new Error(`the emulator refused a message: ${JSON.stringify(refused)}`);
  }

  function ring(ids: readonly string[], name?: string): Promise<void> {
    return send(
      ids.map((taskId) => ({ body: encodeDoorbell({ taskId, taskName: "demo" }) })),
      name,
    );
  }

  return {
    databaseUrl: testDatabase.url,
    database,
    aws,
    queues,
    payloads,
    log,
    lines,
    events: (...wanted) => lines.filter((line) => wanted.includes(line.event)),
    queue,
    held: (name = "default") => aws.inspectQueue(sqsName(typed(name))),
    heldDead: (name = "default") => aws.inspectQueue(deadLetterSqsName(typed(name))),
    async takeDeadLetters(name = "default") {
      const deadLetter = queues.deadLetter(name);
      const taken: Delivery[] = [];
      for (;;) {
        const some = await deadLetter.receive({ max: 10, waitMs: 0 });
        if (some.length === 0) return taken;
        taken.push(...some);
        await deadLetter.remove(some.map((delivery) => delivery.receiptHandle));
      }
    },
    ring,
    send,
    async submit(rows) {
      const ids = await createTasks(database, rows);
      await ring(ids);
      return ids;
    },
    open(options) {
      const pool = openOne(options);
      pools.push(pool);
      return pool;
    },
    async proxy() {
      const url = new URL(testDatabase.url);
      const proxy = await startTcpProxy({ host: url.hostname, port: Number(url.port) });
      proxies.push(proxy);
      url.hostname = proxy.host;
      url.port = String(proxy.port);
      // Not spread: openConnections is a getter.
      return Object.defineProperty(proxy, "url", { value: url.href }) as TcpProxy & { readonly url: string };
    },
    start(options) {
      const instead = new Map(options.queues?.map((one) => [one.name, one]));
      const worker = createWorker({
        name: options.name ?? `worker-${++started}`,
        version: "1.2.3",
        registry: createRegistry(options.tasks),
        middlewares: options.middlewares ?? [],
        queues: createQueueSet(
          names.map((name) => ({
            queue: instead.get(name) ?? shortWaits(queue(name)),
            deadLetter: instead.get(queues.deadLetter(name).name) ?? queues.deadLetter(name),
            options: queues.options(name),
          })),
        ),
        queueNames: options.queueNames ?? names,
        payloads: options.payloads ?? payloads,
        database: options.database ?? database,
        commitDatabase: options.commitDatabase ?? commitDatabase,
        beatDatabase: options.beatDatabase ?? beatDatabase,
        log,
        clock: options.clock ?? systemClock,
        ...(options.protection && { protection: options.protection }),
        ...(options.processes && { processes: options.processes }),
        ...(options.metrics && { metrics: options.metrics }),
        ...(options.tracing && { tracing: options.tracing }),
        settings: { ...SETTINGS, ...options.settings },
      });
      workers.push(worker);
      worker.start();
      return worker;
    },
    async reset() {
      for (const proxy of proxies) proxy.restore();
      await Promise.all(workers.map((worker) => worker.drain()));
      await Promise.all(pools.map((pool) => pool.close()));
      await Promise.all(proxies.map((proxy) => proxy.close()));
      [workers, pools, proxies] = [[], [], []];
      await clearTasks(database);
      await Promise.all(names.flatMap((name) => [aws.queueUrl(name), aws.deadLetterUrl(name)]).map(purge));
      lines.length = 0;
    },
    async close() {
      await Promise.all([database, commitDatabase, beatDatabase].map((pool) => pool.close()));
      payloads.close();
      queues.close();
      await aws.stop();
      await testDatabase.drop();
    },
  };

  async function purge(url: string): Promise<void> {
    const answer = await fetch(endpoint, {
      method: "POST",
      headers: { "content-type": "application/x-amz-json-1.0", "x-amz-target": "AmazonSQS.PurgeQueue" },
      body: JSON.stringify({ QueueUrl: url }),
    });
    if (!answer.ok) throw new Error(`the emulator did not purge ${url}: ${await answer.text()}`);
  }
}

/** A rig for the whole file, opened, reset and closed by hooks that are registered here. Hooks of the file itself end before a reset. */
export function useRig(options: RigOptions = {}): Rig {
  let rig: Rig | undefined;
  beforeAll(async () => {
    rig = await openRig(options);
  });
  afterEach(() => rig?.reset());
  afterAll(() => rig?.close());
  return new Proxy({} as Rig, {
    get(_target, key) {
      if (rig === undefined) throw new Error("the rig is opened by a hook: use it in a test");
      return Reflect.get(rig, key);
    },
  });
}

/** Gates that are opened at the end of a test at the latest: what waits for one must not outlive it. */
export function useGates(): () => Gate {
  let gates: Gate[] = [];
  afterEach(() => {
    for (const gate of gates) gate.open();
    gates = [];
  });
  return () => {
    const gate = createGate();
    gates.push(gate);
    return gate;
  };
}

export type DatabaseWays = {
  readonly before?: ((statement: Statement) => Promise<void> | void) | undefined;
  readonly after?: ((statement: Statement) => Promise<void> | void) | undefined;
};

/** A database with a way in front of its statements and behind them. Those of a transaction take none. */
export function tapDatabase(real: Database, { before, after }: DatabaseWays): Database {
  return {
    ...real,
    get statements() {
      return real.statements;
    },
    async query<Row>(statement: Statement, params: readonly unknown[]) {
      await before?.(statement);
      const rows = await real.query<Row>(statement, params);
      await after?.(statement);
      return rows;
    },
  };
}

/** What a test puts in front of an operation: it is given what the real queue would do. */
export type QueueWays = {
  readonly receive?: (options: ReceiveOptions, receive: () => Promise<Delivery[]>) => Promise<Delivery[]>;
  readonly send?: (messages: readonly Outgoing[], send: () => ReturnType<Queue["send"]>) => ReturnType<Queue["send"]>;
  readonly remove?: (handles: readonly string[], remove: () => Promise<number>) => Promise<number>;
};

type ReceiveOptions = Parameters<Queue["receive"]>[0];

export type QueueTap = Queue & {
  /** Every receive so far, in order. */
  readonly receives: readonly ReceiveOptions[];
  /** Receives that have not been answered. */
  readonly open: number;
  readonly mostOpen: number;
  /** Deliveries so far, by receipt handle. */
  readonly delivered: ReadonlyMap<string, Delivery>;
  /** Bodies of what was deleted, and of what was hidden for how long. */
  readonly removed: readonly string[];
  readonly hidden: readonly { readonly body: string; readonly visibilityMs: number }[];
};

const ASK_AGAIN_MS = 10;

/** SQS waits in whole seconds only; here a receive waits in milliseconds, so that a worker is stopped as fast as its settings say. */
export function shortWaits(real: Queue): Queue {
  return {
    ...real,
    async receive(options) {
      const deadlineMs = systemClock.nowMs() + options.waitMs;
      for (;;) {
        const messages = await real.receive({ ...options, waitMs: 0 });
        if (messages.length > 0 || systemClock.nowMs() >= deadlineMs) return messages;
        await systemClock.after(ASK_AGAIN_MS);
      }
    },
  };
}

/** A queue that remembers what it was asked, in front of a real one. */
export function tapQueue(behind: Queue, ways: QueueWays = {}): QueueTap {
  const real = shortWaits(behind);
  const receives: ReceiveOptions[] = [];
  const delivered = new Map<string, Delivery>();
  const removed: string[] = [];
  const hidden: { body: string; visibilityMs: number }[] = [];
  let open = 0;
  let mostOpen = 0;
  const bodyOf = (handle: string) => delivered.get(handle)?.body ?? `never delivered: ${handle}`;

  return {
    name: real.name,
    url: real.url,
    receives,
    delivered,
    removed,
    hidden,
    get open() {
      return open;
    },
    get mostOpen() {
      return mostOpen;
    },
    async receive(options) {
      receives.push(options);
      mostOpen = Math.max(mostOpen, ++open);
      try {
        const messages = await (ways.receive?.(options, () => real.receive(options)) ?? real.receive(options));
        for (const message of messages) delivered.set(message.receiptHandle, message);
        return messages;
      } finally {
        open--;
      }
    },
    send: (messages) => ways.send?.(messages, () => real.send(messages)) ?? real.send(messages),
    async remove(handles) {
      const failed = await (ways.remove?.(handles, () => real.remove(handles)) ?? real.remove(handles));
      removed.push(...handles.map(bodyOf));
      return failed;
    },
    async changeVisibility(entries) {
      const failed = await real.changeVisibility(entries);
      hidden.push(...entries.map(({ receiptHandle, visibilityMs }) => ({ body: bodyOf(receiptHandle), visibilityMs })));
      return failed;
    },
    depth: () => real.depth(),
  };
}

/** Something a handler waits for, opened by the test. */
export type Gate = { readonly opened: Promise<void>; open(): void };

export function createGate(): Gate {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}

/** Resolves when the signal is aborted, with its reason: a handler that obeys. */
export function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    else signal.addEventListener("abort", () => resolve(signal.reason), { once: true });
  });
}
