/** One answer for all who ask at about the same time: a stampede of health checks costs as much as one of them. */
import type { Clock } from "../clock.ts";

/** A function that calls `ask` at most once every `freshMs`, counted from when it was asked. What it throws is shared, too. */
export function sharedAnswer<T>(ask: () => Promise<T>, freshMs: number, clock: Clock): () => Promise<T> {
  let last: { readonly atMs: number; readonly answer: Promise<T> } | undefined;
  return () => {
    const nowMs = clock.nowMs();
    if (last === undefined || nowMs - last.atMs >= freshMs) last = { atMs: nowMs, answer: ask() };
    return last.answer;
  };
}
