/**
 * The metrics of one worker as lines for CloudWatch, of the figures that Prometheus is shown: what happened since the line before, and how full
 * the worker is now.
 *
 *   started ──► a line every interval ──► stopped: one more line, of what was counted since
 *
 * The last line says nothing of slots: whoever divides running attempts by slots must not see a worker that is gone. While the
 * worker drains its free slots do not count either, because nothing will use them.
 */

import type { Clock } from "../clock.ts";
import type { WorkerObserver, WorkerState } from "../worker/observer.ts";
import type { Emf } from "./emf.ts";
import type { Meters } from "./meters.ts";
import { watchEventLoopDelay } from "./process-meters.ts";

export type WorkerLinesParts = {
  /** What the worker is counted by. */
  readonly metrics: WorkerObserver;
  readonly meters: Meters;
  readonly emf: Emf;
  readonly clock: Clock;
  readonly intervalMs: number;
};

/** The observer that counts, and writes lines of what it has counted. */
export function withLines({ metrics, meters, emf, clock, intervalMs }: WorkerLinesParts): WorkerObserver {
  const stopping = new AbortController();
  let delay: ReturnType<typeof watchEventLoopDelay> | undefined;
  let before = countsOf(meters);

  async function writeLines(look: () => WorkerState): Promise<void> {
    let waitMs = untilMiddle(clock.wallMs(), intervalMs);
    while (await elapsed(waitMs)) {
      emf.put({ ...gaugesOf(look()), ...taken() });
      const nextMs = untilMiddle(clock.wallMs(), intervalMs);
      // A timer may fire a moment early by the wall clock: that was this line, not the next.
      waitMs = nextMs < intervalMs / 2 ? nextMs + intervalMs : nextMs;
    }
  }

  function elapsed(ms: number): Promise<boolean> {
    return clock.after(ms, stopping.signal).then(
      () => true,
      () => false,
    );
  }

  /** What was counted since the line before. */
  function taken() {
    const now = countsOf(meters);
    const line = {
      Started: now.Started - before.Started,
      Succeeded: now.Succeeded - before.Succeeded,
      Failed: now.Failed - before.Failed,
      Retried: now.Retried - before.Retried,
      LeasesLost: now.LeasesLost - before.LeasesLost,
      EventLoopDelayMs: delay?.takeMs(),
    };
    before = now;
    return line;
  }

  return {
    ...metrics,
    started(look) {
      metrics.started(look);
      delay = watchEventLoopDelay();
      void writeLines(look);
    },
    stopped() {
      if (stopping.signal.aborted) return;
      stopping.abort();
      emf.put(taken());
      delay?.stop();
      metrics.stopped();
    },
  };
}

/**
 * Lines are written in the middle of an interval of the wall clock. CloudWatch adds up by such intervals: each then holds exactly one
 * line of every worker, so that a sum is the fleet's and no interval is empty because a timer was late.
 */
function untilMiddle(wallMs: number, intervalMs: number): number {
  return intervalMs - ((wallMs + intervalMs / 2) % intervalMs);
}

function countsOf(meters: Meters) {
  const ended = (wanted: string) => meters.total("taskq_attempts_ended_total", ({ outcome }) => outcome === wanted);
  return {
    Started: meters.total("taskq_attempts_started_total"),
    Succeeded: ended("succeeded"),
    Failed: ended("failed"),
    Retried: ended("retried"),
    LeasesLost: meters.total("taskq_lease_lost_total"),
  };
}

function gaugesOf({ running, slots, leakedSlots, draining }: WorkerState) {
  return { Running: running, Slots: draining ? running : slots, LeakedSlots: leakedSlots };
}
