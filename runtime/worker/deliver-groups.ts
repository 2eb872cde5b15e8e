/**
 * One batch of messages of a FIFO queue. Each group is a chain: claim the group's first task, run it, delete the message, go on with the group's next
 * message. A message stands for "something in this group is runnable", whichever task it was sent for; so what matters is only that there are
 * at least as many as runnable tasks, and that those of one group are served one after the other.
 */

import type { Clock } from "../clock.ts";
import type { ClaimedTask } from "../flow/claim.ts";
import type { GroupVerdict } from "../flow/claim-group.ts";
import type { Log } from "../log.ts";
import type { Delivery, Queue } from "../queue/queue.ts";
import type { Claimer } from "./claimer.ts";
import type { Keeper } from "./keeper.ts";
import type { Share } from "./slots.ts";

export type DeliverGroupsParts = {
  readonly queue: Queue;
  readonly slots: Share;
  readonly keeper: Keeper;
  readonly log: Log;
  readonly clock: Clock;
  /** The worker drains, or the queue is paused: what is not claimed goes back. */
  stopped(): boolean;
  readonly claimer: Pick<Claimer, "claimGroup" | "decline">;
  /** Runs an attempt in a slot that was taken for it; resolves when its outcome is recorded. Never rejects. */
  start(task: ClaimedTask): Promise<void>;
};

const CONTENDED_MS = 2_000;
const UNKNOWN_TASK_MS = 30_000;
const AWAY_MS = 30_000;
/** A lease that has run out is the reaper's business; it is there within this time. */
const AFTER_LEASE_MS = 1_000;

/** @param messages doorbells only. Never throws; resolves when each was deleted or given back. */
export async function deliverGroups(messages: readonly Delivery[], parts: DeliverGroupsParts): Promise<void> {
  for (const { receiptHandle } of messages) parts.keeper.keep(receiptHandle);
  await Promise.all([...byGroup(messages).entries()].map(([group, chain]) => serve(group, chain, parts)));
}

async function serve(group: string, chain: readonly Delivery[], parts: DeliverGroupsParts): Promise<void> {
  const { slots, keeper, log } = parts;
  const handles = chain.map(({ receiptHandle }) => receiptHandle);
  while (handles.length > 0) {
    // Somebody else's work has the room: the group is served by whoever has some.
    if (parts.stopped() || slots.take(1) === 0) return await keeper.giveBack(handles, 0);
    const step = await oneTask(group, parts).catch((error): Step => {
      log.error("process.failed", { queue: parts.queue.name, error });
      return { waitMs: AWAY_MS };
    });
    if (step.waitMs !== null) return await keeper.giveBack(handles, step.waitMs);
    await keeper.finish(handles.shift() as string); // Not empty: the loop asks.
  }
}

/** `waitMs`: not now, come back then; null: this doorbell has done its work. */
type Step = { readonly waitMs: number | null };

/** Takes the group one task further. A slot is ours, and free again when this resolves or rejects. */
async function oneTask(group: string, parts: DeliverGroupsParts): Promise<Step> {
  const verdict = await parts.claimer.claimGroup(group).catch((error: unknown) => {
    parts.slots.release();
    throw error;
  });
  if (verdict?.kind === "claimed") {
    // Frees the slot itself, or leaves it to a handler that does not end.
    await parts.start(verdict.task);
    return { waitMs: null };
  }
  parts.slots.release();
  if (verdict?.kind === "unknown_task") await parts.claimer.decline([verdict.taskId]);
  return { waitMs: verdict === null ? AWAY_MS : waitOf(verdict) };
}

function waitOf(verdict: Exclude<GroupVerdict, { kind: "claimed" }>): number | null {
  switch (verdict.kind) {
    case "empty":
      return null;
    case "running":
      return verdict.waitMs + AFTER_LEASE_MS;
    case "not_due":
      return verdict.waitMs;
    case "contended":
      return CONTENDED_MS;
    case "unknown_task":
      return UNKNOWN_TASK_MS;
  }
}

function byGroup(messages: readonly Delivery[]): Map<string, Delivery[]> {
  const groups = new Map<string, Delivery[]>();
  for (const message of messages) {
    // A FIFO queue delivers no message without one.
    const group = message.groupId ?? "";
    const chain = groups.get(group);
    if (chain === undefined) groups.set(group, [message]);
    else chain.push(message);
  }
  return groups;
}
