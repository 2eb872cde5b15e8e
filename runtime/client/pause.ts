/** A wait that ends early with the reason of whoever ended it; a clock's own would only say that it was ended. */
import type { Clock } from "../clock.ts";

export async function pause(ms: number, signal: AbortSignal | undefined, clock: Clock): Promise<void> {
  try {
    await clock.after(ms, signal);
  } catch (error) {
    throw signal?.aborted === true ? signal.reason : error;
  }
}
