/** When a failed attempt is tried again: exponential backoff with full jitter, the shape AWS recommends against thundering herds. */

import type { TaskPolicy } from "./task.ts";

/**
 * Upper bound of the wait after the n-th failure, in milliseconds: `backoffMs · 2^(n-1)`, at most `maxBackoffMs`.
 * @param failures failures so far, this one included; from 1
 */
export function backoffCeilingMs(policy: Pick<TaskPolicy, "backoffMs" | "maxBackoffMs">, failures: number): number {
  const doublings = Math.min(Math.max(failures - 1, 0), 40);
  return Math.min(policy.backoffMs * 2 ** doublings, policy.maxBackoffMs);
}

/**
 * The wait before the next attempt in whole milliseconds, or null when the budget of attempts is spent.
 * @param failures failures so far, this one included; from 1
 * @param random a number from 0 to below 1
 */
export function retryDelayMs(
  policy: Pick<TaskPolicy, "backoffMs" | "maxBackoffMs" | "maxAttempts">,
  failures: number,
  random: number,
): number | null {
  if (failures >= policy.maxAttempts) return null;
  return Math.round(backoffCeilingMs(policy, failures) * random);
}
