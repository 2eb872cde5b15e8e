/**
 * A task that ends here frees a place at a limit, and the best waiter for that place is rung. Where this worker has a slot for it, it is claimed
 * at once, as if its message had come already: SQS would bring it later and at three requests. What is not claimed is sent.
 *
 * Messages that wait here for a slot are before it: they are woken when the slot becomes free, this runs in a later turn of the event loop.
 */
import { setImmediate } from "node:timers/promises";
import { type Doorbell, settleDoorbells } from "../flow/announce.ts";
import type { ClaimedTask } from "../flow/claim.ts";
import type { Ring } from "../flow/limits.ts";
import type { Log } from "../log.ts";
import { isConnectionError, type Queryable } from "../postgres/pool.ts";
import type { Claimer } from "./claimer.ts";
import type { Share } from "./slots.ts";

/** A queue whose tasks may be claimed without a message. */
export type Taker = {
  readonly claimer: Claimer;
  readonly slots: Share;
  stopped(): boolean;
  /** Runs an attempt in a slot that was taken for it. Never rejects. */
  start(task: ClaimedTask): Promise<void>;
};

export type HandOn = {
  /** To be called after the commit that wrote these doorbells. */
  readonly ring: Ring;
  /** From now on tasks of this queue are taken here. */
  serve(queueName: string, taker: Taker): void;
};

export function createHandOn(parts: {
  readonly database: Queryable;
  /** Sends what is not taken. */
  readonly send: Ring;
  /** Work that must be over before the worker has stopped. */
  readonly track: (work: Promise<void>) => void;
  readonly log: Log;
}): HandOn {
  const { database, send, track, log } = parts;
  const takers = new Map<string, Taker>();

  function ring(doorbells: readonly Doorbell[]): void {
    const taken = new Map<string, Doorbell[]>();
    for (const doorbell of doorbells) {
      if (!takers.has(doorbell.queue)) send([doorbell]);
      else taken.set(doorbell.queue, [...(taken.get(doorbell.queue) ?? []), doorbell]);
    }
    for (const [queue, some] of taken) {
      const taker = takers.get(queue);
      if (taker !== undefined) track(take(some, taker).catch((error) => log.error("process.failed", { queue, error })));
    }
  }

  async function take(doorbells: readonly Doorbell[], taker: Taker): Promise<void> {
    await setImmediate();
    const { slots } = taker;
    const granted = taker.stopped() ? 0 : slots.take(doorbells.length);
    const own = doorbells.slice(0, granted);
    if (granted < doorbells.length) send(doorbells.slice(granted));
    let unused = granted;
    try {
      const verdicts = granted === 0 ? null : await taker.claimer.claim(own.map(({ id }) => id));
      // The database is away: the outbox has them still.
      if (verdicts === null) return;
      for (const verdict of verdicts.values()) {
        if (verdict.kind !== "claimed") continue;
        unused--;
        void taker.start(verdict.task);
      }
      for (; unused > 0; unused--) slots.release();
      const contended = own.filter(({ id }) => verdicts.get(id)?.kind === "contended");
      if (contended.length > 0) send(contended);
      const settled = own.filter((doorbell) => !contended.includes(doorbell)).map(({ outboxId }) => outboxId);
      if (settled.length > 0) await settleDoorbells(database, settled);
    } catch (error) {
      // Sent by the executor's loop, they lose at the claim.
      if (!isConnectionError(error)) throw error;
    } finally {
      for (; unused > 0; unused--) slots.release();
    }
  }

  return { ring, serve: (queueName, taker) => void takers.set(queueName, taker) };
}
