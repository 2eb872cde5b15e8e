/**
 * The metrics of one worker: what happened since the line before, and how full it is now. The hot path only counts.
 *
 *   started ──► a line every interval ──► stopped: one more line, of what was counted since
 *
 * The last line says nothing of slots: whoever divides running attempts by slots must not see a worker that is gone. While the
 * worker drains its free slots do not count either, because nothing will use them.
 */

import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Clock } from "../clock.ts";
import type { WorkerObserver, WorkerState } from "../worker/observer.ts";
import type { Emf } from "./emf.ts";

export type WorkerMetricsParts = {
  readonly emf: Emf;
  readonly clock: Clock;
  readonly intervalMs: number;
};

/** The histogram measures from timer to timer: this much of every value is no delay. */
const RESOLUTION_MS = 20;

export function createWorkerMetrics({ emf, clock, intervalMs }: WorkerMetricsParts): WorkerObserver {
  const stopping = new AbortController();
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  let counts = noCounts();

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

  /** What was counted since the line before, which begins anew. */
  function taken() {
    const line = { ...counts, EventLoopDelayMs: delayMs(delays) };
    counts = noCounts();
    delays.reset();
    return line;
  }

  return {
    started(look) {
      delays.enable();
      void writeLines(look);
    },
    attemptStarted() {
      counts.Started++;
    },
    attemptEnded(kind, recorded) {
      if (recorded === "succeeded") counts.Succeeded++;
      else if (recorded === "failed") counts.Failed++;
      else if (recorded === "refused" || recorded === "nothing") counts.LeasesLost++;
      // What was given back by a drain or after an outage was not tried again because it failed.
      else if (recorded === "queued" && kind !== "released") counts.Retried++;
    },
    stopped() {
      if (stopping.signal.aborted) return;
      stopping.abort();
      emf.put(taken());
      delays.disable();
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

function noCounts() {
  return { Started: 0, Succeeded: 0, Failed: 0, Retried: 0, LeasesLost: 0 };
}

function gaugesOf({ running, slots, leakedSlots, draining }: WorkerState) {
  return { Running: running, Slots: draining ? running : slots, LeakedSlots: leakedSlots };
}

function delayMs(delays: ReturnType<typeof monitorEventLoopDelay>): number | undefined {
  if (delays.count === 0) return undefined;
  return Math.max(0, Math.round((delays.percentile(99) / 1e6 - RESOLUTION_MS) * 10) / 10);
}
