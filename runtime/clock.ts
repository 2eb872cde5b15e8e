/**
 * The only place that reads the time, so that a test can hand in another clock.
 * Durations are measured on the monotonic clock: the wall clock steps when it is corrected.
 */
import { setTimeout as delay } from "node:timers/promises";

export type Clock = {
  /** Milliseconds since an arbitrary start, never stepping back: for durations and deadlines inside this process. */
  nowMs(): number;
  /** Milliseconds since 1970 (UTC): for what people and other systems read. */
  wallMs(): number;
  /**
   * Resolves after `ms` (0..2^31-1), or rejects with an `AbortError` as soon as `signal` is aborted.
   * The timer keeps the process alive: whoever waits must be able to end, so hand in a signal that shutdown aborts.
   */
  after(ms: number, signal?: AbortSignal): Promise<void>;
};

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after: (ms, signal) => delay(ms, undefined, signal === undefined ? {} : { signal }),
};
