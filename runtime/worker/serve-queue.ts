/**
 * One queue of a worker, from its polls to the attempts they start. What its options say decides how a batch of messages is dealt with:
 *
 *   named     each message claims its own task (deliver.ts); on a fair queue it stays in flight meanwhile
 *   FIFO      a message claims the first task of its group (deliver-groups.ts)
 *   priority  a message claims the best task of the queue (deliver-best.ts)
 */

import type { Clock } from "../clock.ts";
import type { ClaimedTask, ClaimOptions } from "../flow/claim.ts";
import { createForeignTaskReader, type ForeignTaskParts } from "../flow/foreign-task.ts";
import type { Log } from "../log.ts";
import { ackOf, allowsContinuing } from "../model/queue.ts";
import type { Transactional } from "../postgres/pool.ts";
import type { Delivery } from "../queue/queue.ts";
import type { QueueSet } from "../queue/queue-set.ts";
import type { Breaker } from "./breaker.ts";
import { createClaimer } from "./claimer.ts";
import { deliver, giveBack, settle } from "./deliver.ts";
import { deliverBest } from "./deliver-best.ts";
import { deliverGroups } from "./deliver-groups.ts";
import type { HandOn } from "./hand-on.ts";
import { createKeeper } from "./keeper.ts";
import type { WorkerObserver } from "./observer.ts";
import { poll } from "./poll.ts";
import type { Signals } from "./signals.ts";
import type { Share, Slots } from "./slots.ts";
import { createTakeIn, type Read, takeNothingIn } from "./take-in.ts";

export type ServeQueueParts = {
  readonly name: string;
  readonly queues: QueueSet;
  readonly database: Transactional;
  readonly slots: Slots;
  readonly breaker: Breaker;
  readonly handOn: HandOn;
  readonly signals: Signals;
  readonly observer?: WorkerObserver | undefined;
  readonly log: Log;
  readonly clock: Clock;
  readonly claim: Omit<ClaimOptions, "queue">;
  /** For the tasks of other producers. */
  readonly foreign: Omit<ForeignTaskParts, "queue" | "options" | "accepts">;
  readonly receiveWaitMs: number;
  readonly extendIntervalMs: number;
  readonly stopping: AbortSignal;
  /** Whether an attempt of this task runs here. */
  holds(taskId: string): boolean;
  /** Runs an attempt in a slot of `share`; resolves when its outcome is recorded. Never rejects. */
  run(task: ClaimedTask, share: Share): Promise<void>;
  /** Work that must be over before the worker has stopped. */
  track(work: Promise<void>): void;
  onProgress(): void;
};

/** Hidden this much longer than the lease: the reaper is there first. */
const AFTER_LEASE_MS = 5_000;
/** What could not be looked at comes back then. */
const AWAY_MS = 30_000;

/**
 * Resolves when the worker stops and the polls then open have returned, with what ends the renewal of messages in flight: to be called when their
 * attempts have ended.
 */
export async function serveQueue(parts: ServeQueueParts): Promise<(() => void) | undefined> {
  const { name, queues, log, clock, signals, stopping, track, observer } = parts;
  const queue = queues.get(name);
  if (queue === undefined) throw new RangeError(`queue ${name}: expected one of ${queues.names.join(", ")}`);
  const options = queues.options(name);
  const slots = parts.slots.share(options);
  const claimer = createClaimer({
    database: parts.database,
    breaker: parts.breaker,
    options: { ...parts.claim, queue: name },
    byRank: options.order === "priority",
    ring: parts.handOn.ring,
    holds: parts.holds,
    observer,
  });
  const isKept = ackOf(options) === "finished";
  const visibilityMs = parts.claim.leaseMs + AFTER_LEASE_MS;
  const keeper = isKept
    ? createKeeper({ queue, log, visibilityMs, intervalMs: parts.extendIntervalMs, observer })
    : null;
  const filling = { on: false };
  const { accepts } = options;
  const takeIn =
    accepts === null
      ? takeNothingIn
      : createTakeIn({
          queue: name,
          accepts,
          reader: createForeignTaskReader({ ...parts.foreign, queue: name, options, accepts }),
          payloads: parts.foreign.payloads,
          log,
          adopt: claimer.adopt,
        });
  const common = {
    queue,
    deadLetter: queues.deadLetter(name),
    claimer,
    takeIn,
    slots,
    observer,
    log,
    clock,
    stopped: () => stopping.aborted || signals.isPaused(name),
    start(task: ClaimedTask): Promise<void> {
      const running = parts.run(task, slots);
      track(running);
      return running;
    },
  };

  if (allowsContinuing(options)) parts.handOn.serve(name, common);

  function onMessages(messages: readonly Delivery[]): Promise<void> {
    if (options.type === "fifo" && keeper !== null) {
      return withDoorbells(messages, (doorbells) => deliverGroups(doorbells, { ...common, keeper }));
    }
    if (options.order === "priority") {
      return withDoorbells(messages, (doorbells) => deliverBest(doorbells, { ...common, filling }));
    }
    return deliver(messages, { ...common, keeper });
  }

  /** Where a message stands for any task, one that is no doorbell is judged first, by the task it names. */
  async function withDoorbells(
    messages: readonly Delivery[],
    work: (doorbells: readonly Delivery[]) => Promise<void>,
  ): Promise<void> {
    const { read, later } = await takeIn(messages, false);
    const doorbells = read.filter(({ content }) => content.kind === "doorbell");
    const others = read.filter(({ content }) => content.kind !== "doorbell");
    await Promise.all([
      work(doorbells.map(({ delivery }) => delivery)),
      settleOthers(others),
      giveBack(later, AWAY_MS, common),
    ]);
  }

  async function settleOthers(others: readonly Read[]): Promise<void> {
    if (others.length === 0) return;
    const ids = others.flatMap(({ content }) => (content.id === null ? [] : [content.id]));
    const verdicts = ids.length === 0 ? new Map() : await claimer.decline(ids).catch(() => null);
    // The database is away: they come back after their visibility timeout.
    if (verdicts !== null) await settle(others, verdicts, common);
  }

  await poll({
    queue,
    slots,
    breaker: parts.breaker,
    log,
    clock,
    waitMs: parts.receiveWaitMs,
    ...(isKept && { visibilityMs }),
    stopping,
    mayPoll: () => signals.unpaused(name, stopping),
    onMessages: (messages) => track(onMessages(messages)),
    onProgress: parts.onProgress,
  });
  return keeper?.stop;
}
