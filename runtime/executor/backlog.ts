/**
 * What waits, how long, and who is there to do it: what the fleet is scaled by and what its metrics say.
 *
 * The queues are asked as well as the database. A message is deleted when its task is claimed, so SQS knows what waits and nothing
 * of what runs; and a doorbell that could not be sent is in the outbox, where no queue counts it.
 */

import type { Database } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import type { Queue } from "../queue/queue.ts";
import type { QueueSet } from "../queue/queue-set.ts";

export type Backlog = {
  /**
   * Tasks that could run now and do not: `visible` and `dueInOutbox`, and at least 1 while any task is due: the counts of SQS are
   * up to a minute old, and a fleet that sleeps must not wait for them.
   */
  readonly backlog: number;
  /** Messages in all queues that are not paused, for whose work no worker is needed; approximate, as SQS counts. */
  readonly visible: number;
  /** Due tasks whose doorbell is not sent yet. Counted up to 10,000, as all that the database counts. */
  readonly dueInOutbox: number;
  /** How long the oldest queued task has been due; null: none is. */
  readonly oldestQueuedMs: number | null;
  /** Workers that take new work. */
  readonly workers: number;
  /** Those of them that run something. */
  readonly busyWorkers: number;
  /** Their attempts that run. */
  readonly running: number;
  /** Their slots. */
  readonly slots: number;
  /** Messages of any kind that are owed by now. */
  readonly outboxPending: number;
  /** How long the longest of them has been owed; null: none is. */
  readonly outboxOldestMs: number | null;
  /** Unfinished tasks on their third attempt or a later one. */
  readonly struggling: number;
  readonly queues: readonly {
    readonly name: string;
    readonly visible: number;
    readonly inFlight: number;
    /** Messages in its dead-letter queue; null where it has none or that one does not answer. */
    readonly deadLettered: number | null;
  }[];
};

export type BacklogParts = {
  readonly database: Database;
  readonly queues: QueueSet;
  /** Silence after which a worker does not count any more: three of its beats. Default 30,000. */
  readonly workerAliveMs?: number;
};

type Row = {
  oldest_queued_ms: number | null;
  workers: number;
  slots: number;
  running: number;
  busy_workers: number;
  outbox_pending: number;
  outbox_oldest_ms: number | null;
  due_in_outbox: number;
  struggling: number;
};

const READ_BACKLOG = loadSql(import.meta.url, "./read-backlog.sql");
const READ_PAUSED = loadSql(import.meta.url, "./read-paused.sql");
const WORKER_ALIVE_MS = 30_000;

/** Throws when the database or a queue does not answer: half of a backlog would look like a small one. */
export async function readBacklog({
  database,
  queues,
  workerAliveMs = WORKER_ALIVE_MS,
}: BacklogParts): Promise<Backlog> {
  const paused = new Set((await database.query<{ queue: string }>(READ_PAUSED, [])).map(({ queue }) => queue));
  // What waits for workers of Python is no work for ours.
  const ours = queues.names.filter((name) => queues.options(name).wire === "doorbell");
  const served = ours.filter((name) => !paused.has(name));
  const [[row], counts] = await Promise.all([
    database.query<Row>(READ_BACKLOG, [served, workerAliveMs]),
    Promise.all(queues.names.map((name) => countQueue(queues, name))),
  ]);
  if (row === undefined) throw new Error("expected one row of read-backlog.sql, got none");
  const visible = counts.reduce((sum, queue) => sum + (served.includes(queue.name) ? queue.visible : 0), 0);
  return {
    backlog: Math.max(visible + row.due_in_outbox, row.oldest_queued_ms === null ? 0 : 1),
    visible,
    dueInOutbox: row.due_in_outbox,
    oldestQueuedMs: row.oldest_queued_ms,
    workers: row.workers,
    busyWorkers: row.busy_workers,
    running: row.running,
    slots: row.slots,
    outboxPending: row.outbox_pending,
    outboxOldestMs: row.outbox_oldest_ms,
    struggling: row.struggling,
    queues: counts,
  };
}

async function countQueue(queues: QueueSet, name: string): Promise<Backlog["queues"][number]> {
  // A name of the set is configured.
  const queue = queues.get(name) as Queue;
  const [{ visible, inFlight }, deadLettered] = await Promise.all([queue.depth(), countDeadLetters(queues, name)]);
  return { name, visible, inFlight, deadLettered };
}

/** Null instead of an error: nothing is scaled by it, so it must not keep the rest from being known. */
async function countDeadLetters(queues: QueueSet, name: string): Promise<number | null> {
  try {
    const { visible, inFlight, delayed } = await queues.deadLetter(name).depth();
    return visible + inFlight + delayed;
  } catch {
    return null;
  }
}
