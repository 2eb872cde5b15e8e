/**
 * What a worker has to hear within a second: that one of its attempts is to be cancelled, and that one of its queues is paused. A plain read by
 * primary keys each second; the heartbeat brings cancellations too, in case this one fails.
 */

import type { Clock } from "../clock.ts";
import type { Attempt } from "../flow/attempt.ts";
import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import type { WorkerObserver } from "./observer.ts";

export type Signals = {
  /** Whether nothing may be claimed from this queue. */
  isPaused(queue: string): boolean;
  /** Resolves when the queue is not paused, or `signal` is aborted. */
  unpaused(queue: string, signal: AbortSignal): Promise<void>;
  stop(): void;
};

export type SignalsParts = {
  readonly database: Queryable;
  readonly attempts: ReadonlyMap<string, Attempt>;
  readonly queueNames: readonly string[];
  readonly clock: Clock;
  /** The database is away: nothing is asked until it is back. */
  readonly away: () => boolean;
  readonly intervalMs?: number;
  readonly observer?: WorkerObserver | undefined;
};

type Row =
  | { kind: "cancel"; id: string; queue: null; since_ms: number }
  | { kind: "pause"; id: null; queue: string; since_ms: null };

const INTERVAL_MS = 1_000;
const READ_SIGNALS = loadSql(import.meta.url, "./read-signals.sql");

export function watchSignals(parts: SignalsParts): Signals {
  const { database, attempts, queueNames, clock } = parts;
  const intervalMs = parts.intervalMs ?? INTERVAL_MS;
  let paused: ReadonlySet<string> = new Set();
  let asking = false;

  async function look(): Promise<void> {
    if (asking || parts.away()) return;
    asking = true;
    try {
      const mine = [...attempts.values()];
      const rows = await database.query<Row>(READ_SIGNALS, [
        mine.map(({ task }) => task.id),
        mine.map(({ task }) => task.attempt),
        queueNames,
      ]);
      paused = new Set(rows.flatMap((row) => (row.kind === "pause" ? [row.queue] : [])));
      const cancelled = new Map(rows.flatMap((row) => (row.kind === "cancel" ? [[row.id, row.since_ms]] : [])));
      for (const attempt of mine) {
        const sinceMs = cancelled.get(attempt.task.id);
        if (sinceMs !== undefined && attempt.abort("cancelled")) parts.observer?.cancelled(sinceMs);
      }
    } catch {
      // The next look, or the heartbeat, brings it; whoever claims trips the breaker.
    } finally {
      asking = false;
    }
  }

  const timer = setInterval(() => void look(), intervalMs);
  timer.unref();
  const lookedOnce = look();
  return {
    isPaused: (queue) => paused.has(queue),
    async unpaused(queue, signal) {
      // A worker that starts while the queue is paused must not claim before it has heard of that.
      await lookedOnce;
      while (paused.has(queue) && !signal.aborted) await clock.after(intervalMs, signal).catch(() => {});
    },
    stop: () => clearInterval(timer),
  };
}
