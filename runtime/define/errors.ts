/** What a handler throws to say what should follow. Anything else it throws follows the task's retry policy. */

/** Ends the task `failed` at once, whatever the retry policy says: trying again cannot help. */
export class TerminalError extends Error {
  override readonly name: string = "TerminalError";
}

/** Fails the attempt and chooses the wait before the next one. The budget of attempts still counts. */
export class RetryableError extends Error {
  override readonly name: string = "RetryableError";
  readonly retryAfterMs: number;

  /** @param options.retryAfterMs wait before the next attempt in milliseconds, from 0 to 86,400,000 (a day) */
  constructor(message: string, options: { retryAfterMs: number; cause?: unknown }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    if (!(options.retryAfterMs >= 0 && options.retryAfterMs <= 86_400_000)) {
      throw new RangeError(`RetryableError: expected retryAfterMs from 0 to 86400000, got ${options.retryAfterMs}.`);
    }
    this.retryAfterMs = options.retryAfterMs;
  }
}
