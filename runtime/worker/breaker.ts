/**
 * Open while the database is away. A worker whose breaker is open polls nothing: what it would receive it could not claim, and
 * every receive brings a healthy message nearer to the dead-letter queue.
 */

import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import type { Database } from "../postgres/pool.ts";

export type Breaker = {
  readonly open: boolean;
  /** A statement failed because the database is away: open, and probe until it answers. */
  trip(error: unknown): void;
  /** Resolves when the database answers, or when `stop` is called. */
  closed(): Promise<void>;
  /** Ends the probing: whoever waits goes on, and fails by itself if the database is still away. */
  stop(): void;
};

export type BreakerParts = {
  readonly database: Pick<Database, "ping">;
  readonly log: Log;
  readonly clock: Clock;
  /** Pause between two probes. Default 1,000. */
  readonly probeIntervalMs?: number;
};

const PROBE_TIMEOUT_MS = 2_000;

export function createBreaker({ database, log, clock, probeIntervalMs = 1_000 }: BreakerParts): Breaker {
  const stopping = new AbortController();
  let recovery: Promise<void> | undefined;

  function trip(error: unknown): void {
    if (recovery !== undefined || stopping.signal.aborted) return;
    log.warn("database.away", { error });
    recovery = recover(clock.nowMs());
  }

  async function recover(sinceMs: number): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        await database.ping(PROBE_TIMEOUT_MS);
        log.info("database.back", { awayMs: Math.round(clock.nowMs() - sinceMs) });
        break;
      } catch {
        await clock.after(probeIntervalMs, stopping.signal).catch(() => {});
      }
    }
    recovery = undefined;
  }

  return {
    get open() {
      return recovery !== undefined;
    },
    trip,
    async closed() {
      await recovery;
    },
    stop: () => stopping.abort(),
  };
}
