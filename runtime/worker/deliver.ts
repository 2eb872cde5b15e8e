/**
 * One batch of messages, from the poll to the attempts they start.
 *
 * A message is deleted once the claim has committed: the row and its lease own recovery from then on. Whatever else a message
 * turns out to be has one line in `settle`; none of them waits for a handler.
 */

import type { Clock } from "../clock.ts";
import type { ErrorCode } from "../errors.ts";
import type { ClaimedTask, Verdict } from "../flow/claim.ts";
import type { Log } from "../log.ts";
import type { Delivery, Queue, SendOutcome } from "../queue/queue.ts";
import { poisonAttributes } from "../wire/dead-letter.ts";
import type { Claimer } from "./claimer.ts";
import type { Keeper } from "./keeper.ts";
import type { WorkerObserver } from "./observer.ts";
import type { Share } from "./slots.ts";
import type { Content, Read, TakeIn } from "./take-in.ts";

export type DeliverParts = {
  readonly queue: Queue;
  readonly deadLetter: Queue;
  readonly claimer: Claimer;
  readonly takeIn: TakeIn;
  readonly slots: Share;
  readonly log: Log;
  readonly clock: Clock;
  readonly observer?: WorkerObserver | undefined;
  /** The worker drains: what has no slot yet goes back. */
  stopped(): boolean;
  /** Runs an attempt in a slot that was taken for it; resolves when its outcome is recorded. Never rejects. */
  start(task: ClaimedTask): Promise<void>;
  /** Fair queues: the message stays in flight until its attempt is over. Null: it is deleted once the claim has committed. */
  readonly keeper: Keeper | null;
};

/** Messages that found no slot wait this long unclaimed, then go back. */
const SURPLUS_WAIT_MS = 1_000;
/** Another claim has the row at this moment: look again soon. */
const CONTENDED_MS = 5_000;
/** The database went away between the poll and the claim: come back when it may have returned. */
const AWAY_MS = 30_000;
/** Receives after which a message is given back as a copy; queues dead-letter after five. */
const WORN_RECEIVES = 3;

/** Takes slots for the messages, claims, starts what was won and settles the rest. Never throws. */
export async function deliver(messages: readonly Delivery[], parts: DeliverParts): Promise<void> {
  const { queue, slots, clock, log, stopped } = parts;
  const deadlineMs = clock.nowMs() + SURPLUS_WAIT_MS;
  let rest = messages;
  while (rest.length > 0 && !stopped()) {
    const granted = slots.take(rest.length);
    if (granted > 0) {
      const batch = rest.slice(0, granted);
      rest = rest.slice(granted);
      await claimBatch(batch, parts).catch((error) => log.error("process.failed", { queue: queue.name, error }));
      continue;
    }
    const waited = await roomBefore(deadlineMs, parts);
    if (!waited) break;
  }
  await giveBack(rest, 0, parts);
}

/**
 * Returns messages to the queue for later. SQS counts every receive, and a healthy message that found no slot five times would end in
 * the dead-letter queue: one that comes near to that is replaced by a copy, whose count is new.
 */
export async function giveBack(
  messages: readonly Delivery[],
  afterMs: number,
  { queue, log }: Pick<DeliverParts, "queue" | "log">,
): Promise<void> {
  if (messages.length === 0) return;
  const worn = messages.filter((message) => message.receiveCount >= WORN_RECEIVES);
  const fresh = messages.filter((message) => message.receiveCount < WORN_RECEIVES);
  if (fresh.length > 0) {
    await queue.changeVisibility(fresh.map(({ receiptHandle }) => ({ receiptHandle, visibilityMs: afterMs })));
  }
  if (worn.length === 0) return;
  const outcomes = await queue.send(worn.map(({ body, attributes }) => ({ body, attributes, delayMs: afterMs })));
  logUnsent(queue, outcomes, log);
  const copied = worn.filter((_, index) => outcomes[index]?.kind === "sent");
  if (copied.length > 0) await queue.remove(copied.map(({ receiptHandle }) => receiptHandle));
}

async function roomBefore(deadlineMs: number, { slots, clock }: DeliverParts): Promise<boolean> {
  const leftMs = deadlineMs - clock.nowMs();
  if (leftMs <= 0) return false;
  const late = new AbortController();
  const overdue = () => late.signal.aborted;
  await Promise.race([
    slots.available(overdue),
    clock.after(leftMs, late.signal).then(
      () => late.abort(),
      () => {},
    ),
  ]);
  const room = slots.free > 0;
  late.abort();
  slots.wake();
  return room;
}

async function claimBatch(messages: readonly Delivery[], parts: DeliverParts): Promise<void> {
  const { slots } = parts;
  let unused = messages.length;
  const attempts = new Map<string, Promise<void>>();
  const start = (task: ClaimedTask): void => {
    unused--;
    attempts.set(task.id, parts.start(task));
  };
  try {
    const { read, claimed, later } = await parts.takeIn(messages, true);
    for (const task of claimed.values()) start(task);
    await giveBack(later, AWAY_MS, parts);
    const ids = new Set(read.flatMap(({ content: { id } }) => (id === null || claimed.has(id) ? [] : [id])));
    const found = await parts.claimer.claim([...ids]);
    if (found === null) await giveBack(deliveriesOf(read, ids), AWAY_MS, parts);
    for (const verdict of found?.values() ?? []) if (verdict.kind === "claimed") start(verdict.task);
    for (; unused > 0; unused--) slots.release();
    const verdicts = new Map<string, Verdict>(found);
    for (const task of claimed.values()) verdicts.set(task.id, { kind: "claimed", task });
    const judged = found === null ? read.filter(({ content: { id } }) => id === null || !ids.has(id)) : read;
    await settle(parts.keeper === null ? judged : kept(judged, attempts, parts.keeper), verdicts, parts);
  } finally {
    for (; unused > 0; unused--) slots.release();
  }
}

function deliveriesOf(read: readonly Read[], ids: ReadonlySet<string>): Delivery[] {
  return read.flatMap(({ delivery, content: { id } }) => (id !== null && ids.has(id) ? [delivery] : []));
}

/** Keeps the first message of each attempt in flight until it is over, and returns the others. */
function kept(read: readonly Read[], attempts: Map<string, Promise<void>>, keeper: Keeper): Read[] {
  return read.filter(({ delivery, content }) => {
    const attempt = content.id === null ? undefined : attempts.get(content.id);
    if (attempt === undefined) return true;
    attempts.delete(content.id ?? "");
    keeper.keep(delivery.receiptHandle);
    void attempt.then(() => keeper.finish(delivery.receiptHandle));
    return false;
  });
}

export type SettleParts = Pick<DeliverParts, "queue" | "deadLetter" | "log" | "clock" | "observer">;

/** Deletes, postpones or dead-letters messages that start no attempt, each by the verdict on its task. */
export async function settle(
  read: readonly Read[],
  verdicts: ReadonlyMap<string, Verdict>,
  parts: SettleParts,
): Promise<void> {
  const { queue, log } = parts;
  const over: string[] = [];
  const later: { receiptHandle: string; visibilityMs: number }[] = [];
  const poison: Read[] = [];
  for (const entry of read) {
    const { receiptHandle } = entry.delivery;
    const kind = entry.content.id === null ? "missing" : (verdicts.get(entry.content.id)?.kind ?? "missing");
    switch (kind) {
      case "claimed":
      case "not_due":
      case "limited":
      case "unknown_task":
        over.push(receiptHandle);
        break;
      case "finished":
      case "running":
        log.debug("task.duplicate", { taskId: entry.content.id, queue: queue.name, verdict: kind });
        over.push(receiptHandle);
        break;
      case "unknown_expired":
        log.error("task.failed", { taskId: entry.content.id, queue: queue.name, code: "unknown_task" });
        over.push(receiptHandle);
        break;
      case "contended":
        later.push({ receiptHandle, visibilityMs: CONTENDED_MS });
        break;
      case "missing":
        // Ours without a row: its task was pruned.
        if (entry.content.kind === "doorbell") over.push(receiptHandle);
        else poison.push(entry);
        break;
    }
  }
  const moved = poison.length === 0 ? [] : await moveToDeadLetter(poison, parts);
  const gone = moved.length === 0 ? over : [...over, ...moved];
  const undeleted = gone.length === 0 ? 0 : await queue.remove(gone);
  if (undeleted > 0) log.warn("queue.delete_failed", { queue: queue.name, count: undeleted });
  if (later.length > 0) await queue.changeVisibility(later);
}

/** The receipt handles of what the dead-letter queue took. The rest comes again, and SQS counts its receives. */
async function moveToDeadLetter(
  poison: readonly Read[],
  { queue, deadLetter, log, clock, observer }: SettleParts,
): Promise<string[]> {
  const outcomes = await deadLetter.send(
    poison.map(({ delivery, content }) => ({
      body: delivery.body,
      // A FIFO queue has a FIFO queue for its dead letters, where poison has a group of its own: it stays, and must hold up nothing behind it. A
      // fair queue has a standard one, where a group means nothing.
      ...(deadLetter.url.endsWith(".fifo") && { groupId: delivery.messageId, deduplicationId: delivery.messageId }),
      attributes: poisonAttributes({
        reason: poisonReason(content),
        detail: poisonDetail(content),
        queue: queue.name,
        messageId: delivery.messageId,
        taskId: content.id,
        failedAt: new Date(clock.wallMs()),
        original: delivery.attributes,
      }),
    })),
  );
  // A message of the greatest size has no room for attributes: it is moved without them, and the log says why.
  for (const [index, { delivery }] of poison.entries()) {
    const outcome = outcomes[index];
    if (outcome?.kind !== "failed" || outcome.code !== "message_too_large") continue;
    const [bare] = await deadLetter.send([{ body: delivery.body }]);
    if (bare !== undefined) outcomes[index] = bare;
  }
  logUnsent(deadLetter, outcomes, log);
  return poison.flatMap(({ delivery, content }, index) => {
    log.error("message.poison", {
      queue: queue.name,
      messageId: delivery.messageId,
      ...(content.id !== null && { taskId: content.id }),
      reason: poisonReason(content),
      detail: withoutValue(poisonDetail(content)),
    });
    if (outcomes[index]?.kind !== "sent") return [];
    observer?.poisoned(queue.name, poisonReason(content));
    return [delivery.receiptHandle];
  });
}

/** One line for all: what makes one message fail makes most of them fail. */
function logUnsent(queue: Queue, outcomes: readonly SendOutcome[], log: Log): void {
  const failed = outcomes.filter((outcome) => outcome.kind === "failed");
  const [first] = failed;
  if (first === undefined) return;
  log.warn("queue.send_failed", { queue: queue.name, count: failed.length, code: first.code, message: first.message });
}

function poisonReason(content: Content): ErrorCode {
  if (content.kind === "refused") return content.code;
  return content.kind === "unreadable" ? "unreadable" : "foreign_not_supported";
}

/** What came instead stands in the dead letter: it may be a task's input, and that is no matter for the log. */
function withoutValue(detail: string): string {
  return detail.replace(/, got (?!a task of another producer$).*$/s, "");
}

function poisonDetail(content: Content): string {
  if (content.kind === "refused") return content.detail;
  return content.kind === "unreadable"
    ? `${content.reason}: ${content.detail}`
    : "expected a doorbell of this system, got a task of another producer";
}
