/**
 * The executor loops: they send what is due, recover what was lost and delete what is old. Any number of processes may run them:
 * sending is shared by `skip locked`, the others elect one process a step by an advisory lock that lives as long as the step.
 */

import type { Clock } from "../clock.ts";
import type { Announcer } from "../flow/announce.ts";
import { endOverdueRuns } from "../flow/cancel-run.ts";
import { sweepLimits } from "../flow/limits.ts";
import { prune } from "../flow/prune.ts";
import { type Reaped, reap } from "../flow/reap.ts";
import { ringAgain } from "../flow/ring-again.ts";
import type { Log } from "../log.ts";
import type { PayloadStore } from "../payload/payload.ts";
import type { Database } from "../postgres/pool.ts";
import { createContact } from "./contact.ts";
import { type ExecutorLoop, runLoop } from "./loop.ts";

export type ExecutorParts = {
  readonly database: Database;
  readonly payloads: PayloadStore;
  readonly announcer: Announcer;
  readonly queueNames: readonly string[];
  readonly log: Log;
  readonly clock: Clock;
  readonly settings: ExecutorSettings;
  /** What else runs here, such as scaler and metrics: they see to it themselves that one process acts (turn.ts). Default none. */
  readonly extraLoops?: readonly ExecutorLoop[];
  /** Hears of attempts whose lease ran out, in the reap step: returns at once and never throws. */
  readonly onReaped?: ((tasks: readonly Reaped[]) => void) | undefined;
};

export type ExecutorSettings = {
  readonly leaseMs: number;
  readonly announceIntervalMs: number;
  readonly reapIntervalMs: number;
  readonly ringAgainAfterMs: number;
  readonly ringAgainIntervalMs: number;
  readonly pruneIntervalMs: number;
  readonly retentionMs: number;
};

export type Executor = { start(): void; stop(): Promise<void> };

const ANNOUNCE_BATCH = 500;
const REAP_BATCH = 200;
/** At most so many rows a queue and turn, whatever the depth: ringing again must never become the load. */
const RING_AGAIN_BATCH = 500;
const PRUNE_BATCH = 1_000;
/** Waiters that a release has missed: rare, and so is the search for them. */
const SWEEP_INTERVAL_MS = 5_000;
const SWEEP_BATCH = 100;
/** Runs that have passed their deadline. */
const DEADLINES_INTERVAL_MS = 1_000;
const DEADLINES_BATCH = 20;
const PING_TIMEOUT_MS = 2_000;

export function createExecutor(parts: ExecutorParts): Executor {
  const { database, log, clock, settings } = parts;
  const stopping = new AbortController();
  const contact = createContact(clock, Math.max(settings.leaseMs / 2, settings.reapIntervalMs * 3));
  let loops: Promise<void>[] = [];
  let stopped: Promise<void> | undefined;

  async function announceStep(): Promise<boolean> {
    return (await parts.announcer.announceDue(ANNOUNCE_BATCH)) === ANNOUNCE_BATCH;
  }

  async function reapStep(): Promise<boolean> {
    try {
      await database.ping(PING_TIMEOUT_MS);
      contact.kept();
      if (contact.unbrokenMs() < settings.leaseMs) return false;
      const reaped = await reap(database, REAP_BATCH, parts.announcer.ring);
      contact.kept();
      if (reaped.length > 0) {
        const failed = reaped.filter((task) => task.state === "failed").length;
        const workers = [...new Set(reaped.map((task) => task.worker))];
        parts.onReaped?.(reaped);
        log.warn("reap.recovered", { count: reaped.length, failed, workers });
      }
      return reaped.length === REAP_BATCH;
    } catch (error) {
      contact.broken();
      throw error;
    }
  }

  async function ringAgainStep(): Promise<boolean> {
    for (const queue of parts.queueNames) {
      const rung = await ringAgain(database, queue, { afterMs: settings.ringAgainAfterMs, limit: RING_AGAIN_BATCH });
      if (rung.length > 0) log.info("ring.again", { queue, count: rung.length });
    }
    return false;
  }

  async function limitsStep(): Promise<boolean> {
    const rung = await sweepLimits(database, SWEEP_BATCH);
    if (rung > 0) log.info("limits.swept", { count: rung });
    return false;
  }

  async function deadlinesStep(): Promise<boolean> {
    const ended = await endOverdueRuns(database, DEADLINES_BATCH);
    if (ended > 0) log.warn("run.overdue", { count: ended });
    return ended === DEADLINES_BATCH;
  }

  async function pruneStep(): Promise<boolean> {
    const pruned = await prune(database, parts.payloads, { retentionMs: settings.retentionMs, limit: PRUNE_BATCH });
    if (pruned.tasks + pruned.idempotencyKeys > 0) log.info("prune.done", pruned);
    return pruned.tasks === PRUNE_BATCH || pruned.idempotencyKeys === PRUNE_BATCH;
  }

  const steps: readonly ExecutorLoop[] = [
    { name: "announce", intervalMs: settings.announceIntervalMs, step: announceStep },
    { name: "reap", intervalMs: settings.reapIntervalMs, step: reapStep },
    { name: "ring-again", intervalMs: settings.ringAgainIntervalMs, step: ringAgainStep },
    { name: "limits", intervalMs: SWEEP_INTERVAL_MS, step: limitsStep },
    { name: "deadlines", intervalMs: DEADLINES_INTERVAL_MS, step: deadlinesStep },
    { name: "prune", intervalMs: settings.pruneIntervalMs, step: pruneStep },
    ...(parts.extraLoops ?? []),
  ];

  function start(): void {
    loops = steps.map(({ name, intervalMs, step }) =>
      runLoop({ name, intervalMs, log, clock, stopping: stopping.signal, step }),
    );
    log.info("executor.started", { loops: steps.map(({ name }) => name) });
  }

  function stop(): Promise<void> {
    stopped ??= end();
    return stopped;
  }

  async function end(): Promise<void> {
    const askedMs = clock.nowMs();
    stopping.abort();
    await Promise.all(loops);
    if (loops.length > 0) log.info("executor.stopped", { elapsedMs: Math.round(clock.nowMs() - askedMs) });
  }

  return { start, stop };
}
