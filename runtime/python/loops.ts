/**
 * Tasks of queues that workers of Python serve (`wire: taskiq`), as two loops of the executor:
 *
 *   queued ──hand out──► running, as a message in SQS ──result in S3, or timeout──► collected: succeeded, failed, queued again
 *
 * A row knows all there is to know, so these loops keep nothing. There is no heartbeat and no kill: an attempt that was given up may still run.
 */

import type { Clock } from "../clock.ts";
import type { Registry } from "../define/registry.ts";
import type { ExecutorLoop } from "../executor/loop.ts";
import { takeTurn } from "../executor/turn.ts";
import { contextOf, executingOf } from "../flow/execute.ts";
import type { Ring } from "../flow/limits.ts";
import type { Log } from "../log.ts";
import type { PayloadStore } from "../payload/payload.ts";
import type { Database } from "../postgres/pool.ts";
import type { QueueSet } from "../queue/queue-set.ts";
import { createBreaker } from "../worker/breaker.ts";
import { createRecorder } from "../worker/record.ts";
import { createStepInputs } from "../worker/step-input.ts";
import { collect } from "./collect.ts";
import { handOut } from "./hand-out.ts";
import type { PythonParts, PythonQueue } from "./record.ts";

export type PythonLoopOptions = {
  readonly database: Database;
  readonly payloads: PayloadStore;
  readonly queues: QueueSet;
  readonly registry: Registry;
  /** Sends the doorbells of steps that are readied by what is collected. */
  readonly ring: Ring;
  readonly log: Log;
  readonly clock: Clock;
  readonly inlinePayloadBytes: number;
  readonly maxPayloadBytes: number;
  /** How often queued tasks and results are looked for. */
  readonly intervalMs: number;
};

/** One process collects at a time: twice the looking finds nothing more. */
const TURN_SHARE = 0.75;
const COMMIT_TIMEOUT_MS = 5_000;

/** None where no queue is served by workers of Python. */
export function createPythonLoops(options: PythonLoopOptions): ExecutorLoop[] {
  const { database, payloads, queues, registry, log, clock, ring, intervalMs } = options;
  const served = queues.names.flatMap((name) => pythonQueue(name, queues));
  if (served.length === 0) return [];
  const breaker = createBreaker({ database, log, clock });
  const recorder = createRecorder({
    database,
    commitDatabase: database,
    payloads,
    breaker,
    ring,
    announce: ring,
    offer: { worker: "", leaseMs: 0, knownTasks: [] },
    giveBackUnseen: () => {},
    log,
    clock,
    lingerMs: 0,
    commitTimeoutMs: COMMIT_TIMEOUT_MS,
    inlinePayloadBytes: options.inlinePayloadBytes,
    // Each look is tried again as a whole.
    gaveUp: () => breaker.open,
  });
  const { maxPayloadBytes } = options;
  const { readInput, readParent } = createStepInputs({ database, payloads, maxPayloadBytes });
  const tasks = new Map([...registry].filter(([, definition]) => definition.python === true));
  const parts: PythonParts = {
    database,
    payloads,
    tasks,
    recorder,
    readInput,
    // Only a commit would ask for it, and tasks of Python have none.
    contextOf: (attempt) =>
      contextOf(attempt, executingOf(attempt.task, attempt.task.traceContext), {
        log,
        payloads,
        maxPayloadBytes,
        readParent,
      }),
    log,
    clock,
  };
  return [
    {
      name: "python-hand-out",
      intervalMs,
      async step() {
        const more = await Promise.all(served.map((queue) => handOut(queue, parts)));
        return more.includes(true);
      },
    },
    {
      name: "python-collect",
      intervalMs,
      async step() {
        if ((await takeTurn(database, "python-collect", intervalMs * TURN_SHARE)) === null) return false;
        for (const queue of served) await collect(queue, parts);
        return false;
      },
    },
  ];
}

function pythonQueue(name: string, queues: QueueSet): PythonQueue[] {
  const { wire, results } = queues.options(name);
  const queue = queues.get(name);
  if (wire !== "taskiq" || results === null || queue === undefined) return [];
  return [{ name, queue, basePath: results.basePath, holder: `python:${name}` }];
}
