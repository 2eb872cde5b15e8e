/** Waits on a condition with a deadline. */
import { setTimeout as delay } from "node:timers/promises";
import { describe, Problem } from "./problem.ts";

/**
 * Asks `check` every `everyMs` (default 500) until it gives a value, and gives that value. An exception counts as "not yet".
 * Throws Problem with `what` and the last exception when `timeoutMs` is over.
 */
export async function waitFor<T>(
  what: string,
  timeoutMs: number,
  check: () => Promise<T | undefined>,
  everyMs = 500,
): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  let reason = "";
  for (;;) {
    try {
      const value = await check();
      if (value !== undefined) return value;
      reason = "";
    } catch (error) {
      reason = `: ${describe(error)}`;
    }
    if (performance.now() > deadlineMs)
      throw new Problem(`Gave up after ${timeoutMs / 1_000} s waiting for ${what}${reason}.`);
    await delay(everyMs);
  }
}
