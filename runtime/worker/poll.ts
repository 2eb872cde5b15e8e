/**
 * One open poll per queue, asking for what there is room for, and a second one while they come back full. A poll in
 * flight is never aborted: SQS may have handed out its messages already, and they would stay invisible for a whole visibility timeout.
 */

import { once } from "node:events";
import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import type { Delivery, Queue } from "../queue/queue.ts";
import type { Breaker } from "./breaker.ts";
import type { Share } from "./slots.ts";

export type PollParts = {
  readonly queue: Queue;
  readonly slots: Share;
  readonly breaker: Breaker;
  readonly log: Log;
  readonly clock: Clock;
  readonly waitMs: number;
  /** How long messages are hidden. Default: as the queue says. */
  readonly visibilityMs?: number;
  readonly stopping: AbortSignal;
  /** Resolves when the queue may be polled: it may be paused. */
  mayPoll(): Promise<void>;
  /** Called with every batch; must not throw. The next poll starts at once. */
  onMessages(messages: readonly Delivery[]): void;
  /** Called after every round, also one whose poll failed: SQS being away is no reason to restart. */
  onProgress(): void;
};

const MAX_MESSAGES = 10;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 10_000;

/** Runs until `stopping` is aborted and the polls then open have returned. */
export async function poll(parts: PollParts): Promise<void> {
  const { slots, breaker, clock, stopping } = parts;
  const asked = { open: 0 };
  let second: Promise<void> | undefined;
  let failures = 0;
  while (!stopping.aborted) {
    await slots.available(() => stopping.aborted);
    await unlessAborted(breaker.closed(), stopping);
    await parts.mayPoll();
    if (stopping.aborted) break;
    // The second poll asks for its own part of the room; without enough of it for two, it ends.
    if (slots.free <= asked.open) {
      await second;
      continue;
    }
    const pauseMs = pauseAfter(failures + 1);
    const received = await receive(asked, { waitMs: parts.waitMs, retryInMs: pauseMs }, parts);
    failures = received === null ? failures + 1 : 0;
    if (received === null) await clock.after(pauseMs, stopping).catch(() => {});
    else if (received === MAX_MESSAGES) {
      second ??= pollWhileFull(asked, parts).then(() => {
        second = undefined;
      });
    }
    parts.onProgress();
  }
  await second;
}

/** A backlog: one poll at a time would leave the worker waiting for its round trip. Ends with the first one that is not full. */
async function pollWhileFull(asked: { open: number }, parts: PollParts): Promise<void> {
  const { slots, breaker, stopping } = parts;
  while (!stopping.aborted && !breaker.open && slots.free >= 2 * MAX_MESSAGES) {
    // The first poll goes on meanwhile, so what fails here is asked for again at once.
    if ((await receive(asked, { waitMs: 0, retryInMs: 0 }, parts)) !== MAX_MESSAGES) return;
  }
}

/** How many messages came; null when the poll failed. `asked.open`: what polls that are open now may bring. */
async function receive(
  asked: { open: number },
  { waitMs, retryInMs }: { readonly waitMs: number; readonly retryInMs: number },
  parts: PollParts,
): Promise<number | null> {
  const { queue, slots } = parts;
  const max = Math.min(MAX_MESSAGES, slots.free - asked.open);
  asked.open += max;
  let messages: Delivery[];
  try {
    const { visibilityMs } = parts;
    messages = await queue.receive({ max, waitMs, ...(visibilityMs !== undefined && { visibilityMs }) });
  } catch (error) {
    parts.log.warn("queue.receive_failed", { queue: queue.name, retryInMs: Math.round(retryInMs), error });
    return null;
  } finally {
    asked.open -= max;
  }
  if (messages.length > 0) parts.onMessages(messages);
  return messages.length;
}

/** Resolves with `work`, or when `signal` is aborted. */
async function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  const aborted = once(signal, "abort", { signal: over.signal }).catch(() => {});
  if (!signal.aborted) await Promise.race([work, aborted]);
  over.abort();
}

function pauseAfter(failures: number): number {
  const ceilingMs = Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), LONGEST_PAUSE_MS);
  return ceilingMs * (0.5 + Math.random() / 2);
}
