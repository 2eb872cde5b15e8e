/**
 * One open poll per queue, asking for what there is room for. The poll in flight is never aborted: SQS may have handed out its
 * messages already, and they would stay invisible for a whole visibility timeout.
 */

import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import type { Delivery, Queue } from "../queue/queue.ts";
import type { Breaker } from "./breaker.ts";
import type { Slots } from "./slots.ts";

export type PollParts = {
  readonly queue: Queue;
  readonly slots: Slots;
  readonly breaker: Breaker;
  readonly log: Log;
  readonly clock: Clock;
  readonly waitMs: number;
  readonly stopping: AbortSignal;
  /** Called with every batch; must not throw. The next poll starts at once. */
  onMessages(messages: readonly Delivery[]): void;
  /** Called after every round, also one whose poll failed: SQS being away is no reason to restart. */
  onProgress(): void;
};

const MAX_MESSAGES = 10;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 10_000;

/** Runs until `stopping` is aborted and the poll then open has returned. */
export async function poll(parts: PollParts): Promise<void> {
  const { queue, slots, breaker, log, clock, stopping } = parts;
  const stopped = () => stopping.aborted;
  let failures = 0;
  while (!stopping.aborted) {
    await slots.available(stopped);
    await breaker.closed();
    if (stopping.aborted) return;
    try {
      const messages = await queue.receive({ max: Math.min(MAX_MESSAGES, slots.free), waitMs: parts.waitMs });
      failures = 0;
      if (messages.length > 0) parts.onMessages(messages);
    } catch (error) {
      failures++;
      const ceilingMs = Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), LONGEST_PAUSE_MS);
      const retryInMs = Math.round(ceilingMs * (0.5 + Math.random() / 2));
      log.warn("queue.receive_failed", { queue: queue.name, retryInMs, error });
      await clock.after(retryInMs, stopping).catch(() => {});
    }
    parts.onProgress();
  }
}
