/** A loop of the executor: one step again and again, with a pause that grows while the step fails. */

import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";

export type ExecutorLoop = {
  readonly name: string;
  /** Pause between two steps. */
  readonly intervalMs: number;
  /** True when there is more to do at once. */
  step(): Promise<boolean>;
};

export type LoopParts = ExecutorLoop & {
  readonly log: Log;
  readonly clock: Clock;
  readonly stopping: AbortSignal;
};

const LONGEST_PAUSE_MS = 10_000;

/** Runs until `stopping` is aborted and the step then under way has ended. Never rejects. */
export async function runLoop({ name, intervalMs, log, clock, stopping, step }: LoopParts): Promise<void> {
  let failures = 0;
  while (!stopping.aborted) {
    let pauseMs = intervalMs;
    try {
      if (await step()) pauseMs = 0;
      failures = 0;
    } catch (error) {
      failures++;
      pauseMs = Math.max(intervalMs, Math.min(200 * 2 ** failures, LONGEST_PAUSE_MS)) * (0.5 + Math.random() / 2);
      log.warn("loop.failed", { loop: name, retryInMs: Math.round(pauseMs), error });
    }
    // Unwinds the stack of a step that has more to do, and lets everybody else run.
    await clock.after(pauseMs, stopping).catch(() => {});
  }
}
