/** A limit on a check. What it started may go on behind it: nobody waits for that. */
import type { Clock } from "../../clock.ts";

/** How long each check may take. */
export const CHECK_MS = 3_000;

export class NoAnswer extends Error {
  override readonly name: string = "NoAnswer";
}

/** What `work` resolves to, or NoAnswer after `limitMs`. */
export async function withinMs<T>(limitMs: number, clock: Clock, work: Promise<T>): Promise<T> {
  const stop = new AbortController();
  const limit = clock.after(limitMs, stop.signal).then(() => {
    throw new NoAnswer(`no answer within ${limitMs / 1_000} s`);
  });
  // When the check is faster the limit rejects with an abort, which is nobody's concern.
  limit.catch(() => {});
  work.catch(() => {});
  try {
    return await Promise.race([work, limit]);
  } finally {
    stop.abort();
  }
}
