/**
 * Keeps the leases of this process's attempts: one statement a beat, on a connection of its own that handlers cannot exhaust.
 *
 * When no beat has succeeded for five sixths of a lease the attempts are stopped here, before anybody else may take them over,
 * and given back when the database answers again.
 */

import type { Clock } from "../clock.ts";
import type { Attempt } from "../flow/attempt.ts";
import { type ExtendVerdict, extend } from "../flow/extend.ts";
import type { Log } from "../log.ts";
import { type Database, isConnectionError } from "../postgres/pool.ts";
import type { Breaker } from "./breaker.ts";
import type { WorkerObserver } from "./observer.ts";

export type Heartbeat = {
  /** Attempts whose lease ran out unconfirmed while the database was away: their outcome is to give them back. */
  readonly stopped: WeakSet<Attempt>;
  stop(): void;
};

export type HeartbeatParts = {
  readonly database: Database;
  readonly attempts: ReadonlyMap<string, Attempt>;
  readonly breaker: Breaker;
  readonly log: Log;
  readonly clock: Clock;
  readonly leaseMs: number;
  readonly intervalMs: number;
  /** Whether an attempt goes on without a proven lease until somebody else is known to own its task. Default: none does. */
  outlastsLease?(attempt: Attempt): boolean;
  readonly observer?: WorkerObserver | undefined;
  /** Says after each successful beat that the worker is alive. */
  onBeat(): Promise<void>;
};

const WATCH_INTERVAL_MS = 1_000;
/** A process that did not run for this long was frozen, not its database: it asks before it gives up its attempts. */
const FROZEN_MS = 5_000;

export function startHeartbeat(parts: HeartbeatParts): Heartbeat {
  const { clock, log, attempts, leaseMs } = parts;
  const stopped = new WeakSet<Attempt>();
  let beating = false;
  let lastWatchMs = clock.nowMs();
  let lastBeatMs = clock.nowMs();

  async function beat(): Promise<void> {
    if (beating) return;
    beating = true;
    try {
      await renew();
      await parts.onBeat();
      lastBeatMs = clock.nowMs();
    } catch (error) {
      const sinceMs = Math.round(clock.nowMs() - lastBeatMs);
      parts.observer?.heartbeatFailed("db");
      log.warn("heartbeat.failed", { running: attempts.size, sinceMs, error });
      if (isConnectionError(error)) parts.breaker.trip(error);
    } finally {
      beating = false;
    }
  }

  async function renew(): Promise<void> {
    const running = [...attempts.values()];
    if (running.length === 0) return;
    const askedMs = clock.nowMs();
    const reports = running.map((attempt) => {
      const report = {
        id: attempt.task.id,
        attempt: attempt.task.attempt,
        progress: attempt.progress,
        progressMessage: attempt.progressMessage,
      };
      attempt.progress = null;
      attempt.progressMessage = null;
      return report;
    });
    let verdicts: ExtendVerdict[];
    try {
      verdicts = await extend(parts.database, reports, leaseMs);
    } catch (error) {
      // Not stored: it goes with the next beat, unless the handler has said more meanwhile.
      for (const [index, attempt] of running.entries()) {
        attempt.progress ??= reports[index]?.progress ?? null;
        attempt.progressMessage ??= reports[index]?.progressMessage ?? null;
      }
      throw error;
    }
    for (const [index, attempt] of running.entries()) {
      const verdict = verdicts[index];
      if (verdict === undefined) continue;
      if (verdict !== "lost") attempt.leaseProvenMs = askedMs;
      if (typeof verdict === "object" && attempt.abort("cancelled")) parts.observer?.cancelled(verdict.cancelledMs);
      // One that ended while we asked is not in the map any more: its outcome was recorded, it is not lost.
      if (verdict === "lost" && attempts.get(attempt.task.id) === attempt) attempt.abort("lease_lost");
    }
  }

  function watch(): void {
    const nowMs = clock.nowMs();
    const frozen = nowMs - lastWatchMs > FROZEN_MS;
    lastWatchMs = nowMs;
    if (frozen) {
      void beat();
      return;
    }
    for (const attempt of attempts.values()) {
      if (parts.outlastsLease?.(attempt)) continue;
      if (attempt.abortReason !== null || nowMs - attempt.leaseProvenMs < (leaseMs * 5) / 6) continue;
      stopped.add(attempt);
      attempt.abort("lease_lost");
    }
  }

  const beatTimer = setInterval(beat, parts.intervalMs);
  const watchTimer = setInterval(watch, Math.min(WATCH_INTERVAL_MS, leaseMs / 6));
  return {
    stopped,
    stop() {
      clearInterval(beatTimer);
      clearInterval(watchTimer);
    },
  };
}
