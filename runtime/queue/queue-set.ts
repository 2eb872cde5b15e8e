/** The queues of one deployment by their configured names, so that no flow step ever handles a queue's address. */
import { TaskiqError } from "../errors.ts";
import { DEFAULT_QUEUE_OPTIONS, type QueueOptions } from "../model/queue.ts";
import type { Queue } from "./queue.ts";

export type QueueSet = {
  readonly names: readonly string[];
  /** The queue configured under this name; undefined for any other name (rows may outlive a queue's configuration). */
  get(name: string): Queue | undefined;
  /** What the queue was told to be; the defaults for a name that is not configured. */
  options(name: string): QueueOptions;
  /** Where what failed for good on this queue is copied to. Throws `unknown_queue` where none is configured. */
  deadLetter(name: string): Queue;
};

export type QueueWithDeadLetter = {
  readonly queue: Queue;
  readonly deadLetter: Queue | null;
  /** Default: a standard queue. */
  readonly options?: QueueOptions;
};

/** Names must be distinct; throws `config_invalid` otherwise. */
export function createQueueSet(members: readonly QueueWithDeadLetter[]): QueueSet {
  const byName = new Map<string, QueueWithDeadLetter>();
  for (const member of members) {
    const { name } = member.queue;
    if (byName.has(name)) {
      throw new TaskiqError(
        "config_invalid",
        `expected distinct queue names, got "${name}" twice. Rename one of them.`,
      );
    }
    byName.set(name, member);
  }
  return {
    names: [...byName.keys()],
    get: (name) => byName.get(name)?.queue,
    options: (name) => byName.get(name)?.options ?? DEFAULT_QUEUE_OPTIONS,
    deadLetter(name) {
      const deadLetter = byName.get(name)?.deadLetter;
      if (deadLetter) return deadLetter;
      const known = [...byName].flatMap(([other, member]) => (member.deadLetter ? [other] : []));
      throw new TaskiqError(
        "unknown_queue",
        `expected a queue with a dead-letter queue (${known.join(", ") || "none is configured"}), got "${name}". ` +
          "Configure its dead-letter URL.",
      );
    },
  };
}
