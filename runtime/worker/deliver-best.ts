/**
 * One batch of messages of a queue ordered by priority. A message only says that something in the queue is runnable: the best tasks are claimed, as
 * many as there are messages, and then more while there is room and something to take, without waiting for their messages. Those find
 * nothing to do when they come, and are deleted.
 */

import type { Clock } from "../clock.ts";
import type { ClaimedTask } from "../flow/claim.ts";
import type { Log } from "../log.ts";
import type { Delivery, Queue } from "../queue/queue.ts";
import type { Claimer } from "./claimer.ts";
import { giveBack, settle } from "./deliver.ts";
import type { WorkerObserver } from "./observer.ts";
import type { Share } from "./slots.ts";
import { readMessages } from "./take-in.ts";

export type DeliverBestParts = {
  readonly queue: Queue;
  readonly deadLetter: Queue;
  readonly slots: Share;
  readonly log: Log;
  readonly clock: Clock;
  readonly observer?: WorkerObserver | undefined;
  readonly claimer: Pick<Claimer, "claimBest" | "decline">;
  /** Whether a loop fills free slots already; one for all batches of the queue. */
  readonly filling: { on: boolean };
  /** The worker drains, or the queue is paused: nothing is claimed. */
  stopped(): boolean;
  /** Runs an attempt in a slot that was taken for it. Never rejects. */
  start(task: ClaimedTask): Promise<void>;
};

const BATCH = 10;
const AWAY_MS = 30_000;

/** @param messages doorbells only. Never throws. */
export async function deliverBest(messages: readonly Delivery[], parts: DeliverBestParts): Promise<void> {
  try {
    const room = parts.stopped() ? 0 : parts.slots.take(messages.length);
    const rung = messages.slice(0, room);
    await giveBack(messages.slice(room), 0, parts);
    if (room === 0) return;
    const claimed = await fill(room, parts);
    if (claimed === null) return await giveBack(rung, AWAY_MS, parts);
    await settleRung(rung, claimed, parts);
    if (claimed.length === room) await goOn(parts);
  } catch (error) {
    // The visibility timeout brings back what was not settled.
    parts.log.error("process.failed", { queue: parts.queue.name, error });
  }
}

/** Claims for slots that were taken, and frees those that it has no task for. Null: the database is away. */
async function fill(room: number, { claimer, slots, start }: DeliverBestParts): Promise<readonly ClaimedTask[] | null> {
  let unused = room;
  try {
    const tasks = await claimer.claimBest(room);
    for (const task of tasks ?? []) {
      unused--;
      void start(task);
    }
    return tasks;
  } finally {
    for (; unused > 0; unused--) slots.release();
  }
}

/** As many tasks as messages: each message has done its work. Fewer: there was no more to take, and each is judged by the task it names. */
async function settleRung(
  rung: readonly Delivery[],
  claimed: readonly ClaimedTask[],
  parts: DeliverBestParts,
): Promise<void> {
  const { queue, log, claimer } = parts;
  const own = new Set(claimed.map(({ id }) => id));
  const read = readMessages(rung);
  const spent = claimed.length === rung.length ? read : read.filter(({ content }) => own.has(content.id ?? ""));
  const rest = read.filter((entry) => !spent.includes(entry));
  if (spent.length > 0) {
    const undeleted = await queue.remove(spent.map(({ delivery }) => delivery.receiptHandle));
    if (undeleted > 0) log.warn("queue.delete_failed", { queue: queue.name, count: undeleted });
  }
  if (rest.length === 0) return;
  const verdicts = await claimer.decline(rest.flatMap(({ content }) => (content.id === null ? [] : [content.id])));
  if (verdicts === null)
    return await giveBack(
      rest.map(({ delivery }) => delivery),
      AWAY_MS,
      parts,
    );
  await settle(rest, verdicts, parts);
}

/** While there is more to take than room, a slot that becomes free is filled at once. One such loop serves the queue. */
async function goOn(parts: DeliverBestParts): Promise<void> {
  const { slots, stopped, filling } = parts;
  if (filling.on) return;
  filling.on = true;
  try {
    for (;;) {
      await slots.available(stopped);
      if (stopped()) return;
      const room = slots.take(BATCH);
      if (room === 0) continue;
      const claimed = await fill(room, parts);
      if (claimed === null || claimed.length < room) return;
    }
  } finally {
    filling.on = false;
  }
}
