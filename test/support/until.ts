/** Waiting in tests: for a condition, with a deadline, never for a time. */
import { inspect } from "node:util";
import { systemClock } from "../../runtime/clock.ts";

export type UntilOptions = {
  /** How long the condition may take to hold. Default 10,000. */
  readonly deadlineMs?: number;
  /** What is awaited, for the message: "20 tasks are running". Default: the source of the condition. */
  readonly what?: string;
};

type Truthy<T> = Exclude<T, false | 0 | "" | null | undefined>;

const FIRST_POLL_MS = 2;
const LONGEST_POLL_MS = 50;

/**
 * Asks until the answer is truthy, and returns it. A condition that throws does not hold yet. After the deadline it throws an
 * error that says what was awaited and the last answer; a condition that never answers fails it too.
 */
export async function until<T>(condition: () => T | Promise<T>, options: UntilOptions = {}): Promise<Truthy<T>> {
  const { deadlineMs = 10_000, what = `(${condition})` } = options;
  const deadline = systemClock.nowMs() + deadlineMs;
  const expired = new AbortController();
  const expiry = systemClock.after(deadlineMs, expired.signal).then(
    () => UNANSWERED,
    () => UNANSWERED,
  );
  let last = "no answer";
  let cause: unknown;
  try {
    for (let pollMs = FIRST_POLL_MS; ; pollMs = Math.min(pollMs * 2, LONGEST_POLL_MS)) {
      try {
        const answer = await Promise.race([condition(), expiry]);
        if (answer === UNANSWERED) break;
        // What the type says: everything falsy is gone.
        if (answer) return answer as Truthy<T>;
        last = inspect(answer, { depth: 4 });
        cause = undefined;
      } catch (error) {
        last = `an error, ${error instanceof Error ? error.message : inspect(error)}`;
        cause = error;
      }
      if (systemClock.nowMs() >= deadline) break;
      await systemClock.after(Math.min(pollMs, Math.max(0, deadline - systemClock.nowMs())));
    }
  } finally {
    expired.abort();
  }
  throw new Error(`waited ${deadlineMs} ms for ${what}; last: ${last}`, cause === undefined ? {} : { cause });
}

const UNANSWERED = Symbol("unanswered");
