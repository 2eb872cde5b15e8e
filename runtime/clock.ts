/**
 * The only place that reads the time, so that a test can hand in another clock.
 * Durations are measured on the monotonic clock: the wall clock steps when it is corrected. Imports nothing, because browsers load it too.
 */

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
  after: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(aborted(signal));
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", abort);
        resolve();
      }, ms);
      const abort = (): void => {
        clearTimeout(timer);
        reject(aborted(signal));
      };
      signal?.addEventListener("abort", abort, { once: true });
    }),
};

/** As the timers of Node say it: the name tells what happened, and the reason why. */
function aborted(signal: AbortSignal | undefined): Error {
  return Object.assign(new Error("The wait was ended", { cause: signal?.reason }), { name: "AbortError" });
}
