/**
 * Messages that stay in flight while their attempts run. SQS keeps the order of a FIFO group, and knows which tenant of a fair queue is busy, only by
 * messages in flight; so there a message is hidden as long as its lease and renewed with it, and deleted when the attempt is over. A worker that
 * dies stops renewing, and the message rings again a little after the lease.
 */

import { createBatcher } from "../flow/batch.ts";
import type { Log } from "../log.ts";
import type { Queue } from "../queue/queue.ts";
import type { WorkerObserver } from "./observer.ts";

export type Keeper = {
  /** Hides the message from now on. */
  keep(receiptHandle: string): void;
  /** Deletes it. Never rejects: one that could not be deleted is a doorbell too many. */
  finish(receiptHandle: string): Promise<void>;
  /** Gives messages back, to be seen again after `afterMs`. Never rejects. */
  giveBack(receiptHandles: readonly string[], afterMs: number): Promise<void>;
  /** No renewals any more. */
  stop(): void;
  readonly kept: number;
};

/** SQS takes ten in a request. */
const MAX_BATCH = 10;
const LINGER_MS = 5;

/** @param parts.visibilityMs how long a message stays hidden without a renewal; above `intervalMs` */
export function createKeeper(parts: {
  readonly queue: Queue;
  readonly log: Log;
  readonly visibilityMs: number;
  readonly intervalMs: number;
  readonly observer?: WorkerObserver | undefined;
}): Keeper {
  const { queue, log, visibilityMs } = parts;
  const kept = new Set<string>();
  const deletions = createBatcher<string, void>({
    maxItems: MAX_BATCH,
    lingerMs: LINGER_MS,
    maxInFlight: 4,
    run: async (handles) => {
      const undeleted = await queue.remove(handles);
      if (undeleted > 0) log.warn("queue.delete_failed", { queue: queue.name, count: undeleted });
      return handles.map(() => undefined);
    },
  });

  function renew(): void {
    if (kept.size === 0) return;
    void queue
      .changeVisibility([...kept].map((receiptHandle) => ({ receiptHandle, visibilityMs })))
      .then((unchanged) => {
        if (unchanged > 0) parts.observer?.heartbeatFailed("sqs");
      });
  }

  const timer = setInterval(renew, parts.intervalMs);
  timer.unref();
  return {
    keep: (receiptHandle) => void kept.add(receiptHandle),
    async finish(receiptHandle) {
      kept.delete(receiptHandle);
      await deletions.add(receiptHandle);
    },
    async giveBack(receiptHandles, afterMs) {
      for (const handle of receiptHandles) kept.delete(handle);
      if (receiptHandles.length === 0) return;
      await queue.changeVisibility(receiptHandles.map((receiptHandle) => ({ receiptHandle, visibilityMs: afterMs })));
    },
    stop: () => clearInterval(timer),
    get kept() {
      return kept.size;
    },
  };
}
