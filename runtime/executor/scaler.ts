/**
 * The built-in scaler: reads what waits and how many workers are asked for, decides, and asks the service for more or fewer.
 *
 * Any number of processes run it and one acts per interval (turn.ts). What a decision leaves to the next is stored before the
 * service is asked, under the fence of the turn: a process that was overtaken asks for nothing, and one that dies in between
 * costs a cooldown. What is not known never ends a worker, and neither does a time in which nobody looked.
 */

import { z } from "zod";
import type { Clock } from "../clock.ts";
import type { ServiceState, WorkerService } from "../ecs/worker-service.ts";
import type { Log } from "../log.ts";
import { type Decision, decide, NO_MEMORY, type ScalingMemory, type ScalingPolicy } from "../model/scaling.ts";
import type { Database } from "../postgres/pool.ts";
import type { QueueSet } from "../queue/queue-set.ts";
import { type Backlog, readBacklog } from "./backlog.ts";
import type { ExecutorLoop } from "./loop.ts";
import { storeMemory, takeTurn } from "./turn.ts";

export type ScalerParts = {
  readonly database: Database;
  readonly queues: QueueSet;
  readonly service: WorkerService;
  readonly policy: ScalingPolicy;
  /** How often one of the processes looks. */
  readonly intervalMs: number;
  /** Silence after which a worker does not count any more: three of its beats. Default 30,000. */
  readonly workerAliveMs?: number;
  /** How long one look may take; what has not answered by then is not known this time. Default 3,000. */
  readonly lookMs?: number;
  readonly log: Log;
  readonly clock: Clock;
};

const TURN = "scaling";
const LOOK_MS = 3_000;
/** So many intervals without a look are a time that nobody knows of; short intervals are given a minute. */
const GAP_INTERVALS = 3;
const GAP_MS = 60_000;

export function createScaler(parts: ScalerParts): ExecutorLoop {
  const { database, queues, service, policy, intervalMs, log, clock } = parts;
  const trouble = createTrouble(log);

  async function step(): Promise<boolean> {
    const turn = await takeTurn(database, TURN, intervalMs);
    if (turn === null) return false;
    const remembered = recall(turn.memory, turn.nowMs, Math.max(GAP_MS, GAP_INTERVALS * intervalMs));
    const [state, backlog] = await Promise.all([
      look("service", service.describe()),
      look("backlog", readBacklog({ database, queues, ...alive(parts.workerAliveMs) })),
    ]);
    const memory = state?.deploying === false ? remembered : { ...remembered, quietSinceMs: null };
    const keep = (kept: ScalingMemory): Promise<boolean> =>
      storeMemory(database, turn, { ...kept, seenAtMs: turn.nowMs } satisfies Remembered);
    if (state === null) {
      await keep(memory);
      return false;
    }
    const decision = allowed(decide(policy, observed(turn.nowMs, state, backlog), memory), memory, state);
    if (!(await keep(decision.memory)) || decision.change === "none") return false;
    try {
      await service.setDesired(decision.desired);
    } catch (error) {
      trouble.met("update", error);
      // One scale-out more than the cooldown allows does less harm than one too late; a scale-in can wait.
      if (decision.change === "out") await keep({ ...decision.memory, lastOutAtMs: memory.lastOutAtMs });
      return false;
    }
    trouble.over("update");
    log.info("scaling.changed", {
      from: state.desired,
      to: decision.desired,
      reason: decision.reason,
      backlog: backlog?.backlog ?? null,
    });
    return false;
  }

  /** Null: there is no answer in time. */
  async function look<T>(part: Part, asked: Promise<T>): Promise<T | null> {
    try {
      const answer = await within(clock, parts.lookMs ?? LOOK_MS, asked);
      trouble.over(part);
      return answer;
    } catch (error) {
      trouble.met(part, error);
      return null;
    }
  }

  return { name: TURN, intervalMs, step };
}

function observed(nowMs: number, state: ServiceState, backlog: Backlog | null) {
  return {
    nowMs,
    desired: state.desired,
    backlog: backlog?.backlog ?? null,
    oldestAgeMs: backlog?.oldestQueuedMs ?? null,
    running: backlog?.running ?? null,
    slots: backlog?.slots ?? null,
    busyWorkers: backlog?.busyWorkers ?? null,
  };
}

/** During a deployment workers of two versions are there, and the busy ones may be those that are on their way out. */
function allowed(decision: Decision, before: ScalingMemory, { desired, deploying }: ServiceState): Decision {
  if (!deploying) return decision;
  const memory = { ...decision.memory, quietSinceMs: null };
  if (decision.change !== "in") return { ...decision, memory };
  return {
    desired,
    change: "none",
    reason: "a deployment is under way",
    memory: { ...memory, lastInAtMs: before.lastInAtMs },
  };
}

const REMEMBERED = z.object({
  lastOutAtMs: z.number().nullable(),
  lastInAtMs: z.number().nullable(),
  quietSinceMs: z.number().nullable(),
  busyMean: z.object({ share: z.number(), atMs: z.number() }).nullable(),
  /** When the turn was taken that stored this. */
  seenAtMs: z.number(),
});
type Remembered = z.infer<typeof REMEMBERED>;

/** What earlier turns stored; what cannot be read, as after a change of its shape, is as if there had been none. */
function recall(stored: unknown, nowMs: number, gapMs: number): ScalingMemory {
  const read = REMEMBERED.safeParse(stored);
  if (!read.success) return NO_MEMORY;
  // A time to come, after the database's clock was set back, would hold a cooldown for as long as it is away.
  const past = (atMs: number | null) => (atMs === null ? null : Math.min(atMs, nowMs));
  const { lastOutAtMs, lastInAtMs, quietSinceMs, busyMean, seenAtMs } = read.data;
  const unseen = nowMs - seenAtMs > gapMs;
  return {
    lastOutAtMs: past(lastOutAtMs),
    lastInAtMs: past(lastInAtMs),
    quietSinceMs: unseen ? null : past(quietSinceMs),
    busyMean: busyMean === null ? null : { share: busyMean.share, atMs: Math.min(busyMean.atMs, nowMs) },
  };
}

type Part = "service" | "backlog" | "update";

/** A line when a part begins to fail and one when it works again: an outage is two lines, not one every interval. */
function createTrouble(log: Log): { met(part: Part, error: unknown): void; over(part: Part): void } {
  const failing = new Set<Part>();
  return {
    met(part, error) {
      if (!failing.has(part)) log.warn("scaling.failed", { part, error });
      failing.add(part);
    },
    over(part) {
      if (failing.delete(part)) log.info("scaling.recovered", { part });
    },
  };
}

function alive(workerAliveMs: number | undefined): { workerAliveMs?: number } {
  return workerAliveMs === undefined ? {} : { workerAliveMs };
}

async function within<T>(clock: Clock, limitMs: number, asked: Promise<T>): Promise<T> {
  const answered = new AbortController();
  const limit = clock.after(limitMs, answered.signal).then((): never => {
    throw new Error(`no answer within ${limitMs} ms`);
  });
  // Aborted as soon as there is an answer, when nobody listens any more; and an answer that comes too late may be an error.
  limit.catch(() => {});
  asked.catch(() => {});
  try {
    return await Promise.race([asked, limit]);
  } finally {
    answered.abort();
  }
}
