/** What a queue may be told, which of it excludes each other, and what follows from it. */
export type QueueOptions = {
  readonly type: "standard" | "fifo";
  /** Standard queues: SQS shares the workers between tenants instead of serving whoever sends most. */
  readonly fair: boolean;
  /** `named`: a doorbell rings for its task. `priority`: it rings for the best task of the queue. */
  readonly order: "named" | "priority";
  /** Standard queues: a priority below the default also waits in SQS, see `delayOfPriorityMs`. */
  readonly delayByPriority: boolean;
  /** Share of a worker's free slots when several of its queues want them, from 1. */
  readonly weight: number;
  /** Most slots of one worker that this queue may take; null: all. */
  readonly maxSlots: number | null;
  /** Most tasks of the queue that run at once in the whole fleet; null: all. */
  readonly maxRunning: number | null;
  /** Most starts of its tasks a second in the whole fleet; null: all. */
  readonly perSecond: number | null;
};

export const DEFAULT_QUEUE_OPTIONS: QueueOptions = {
  type: "standard",
  fair: false,
  order: "named",
  delayByPriority: false,
  weight: 1,
  maxSlots: null,
  maxRunning: null,
  perSecond: null,
};

/** Whether tasks of the queue may have limits: those of a FIFO or priority queue are claimed for what they are first of. */
export function allowsLimits({ type, order }: Pick<QueueOptions, "type" | "order">): boolean {
  return type === "standard" && order === "named";
}

/**
 * Whether a task of the queue may be claimed without its message. On the others a message says more than that its task is runnable: it stands for a
 * turn of its group, or is counted by SQS.
 */
export function allowsContinuing(options: QueueOptions): boolean {
  return allowsLimits(options) && ackOf(options) === "claimed";
}

/**
 * When a message is deleted: once its claim has committed, or when the attempt is over. FIFO and fair queues need the second: SQS keeps the order
 * of a group, and knows who is busy, only by messages in flight.
 */
export function ackOf({ type, fair }: Pick<QueueOptions, "type" | "fair">): "claimed" | "finished" {
  return type === "fifo" || fair ? "finished" : "claimed";
}

type Exclusion = {
  /** True where the options contradict each other. */
  applies(options: QueueOptions): boolean;
  /** The option to change. */
  readonly option: keyof QueueOptions;
  readonly expected: string;
};

/** Options that exclude each other, with what to set instead. */
export const EXCLUSIONS: readonly Exclusion[] = [
  {
    applies: (options) => options.maxRunning !== null && !allowsLimits(options),
    option: "maxRunning",
    expected:
      'expected null on a FIFO queue or one with order "priority"; limits are for standard queues in the order "named"',
  },
  {
    applies: (options) => options.perSecond !== null && !allowsLimits(options),
    option: "perSecond",
    expected:
      'expected null on a FIFO queue or one with order "priority"; limits are for standard queues in the order "named"',
  },
  {
    applies: ({ type, fair }) => type === "fifo" && fair,
    option: "fair",
    expected: 'expected false on a FIFO queue, whose groups are ordering keys; set type to "standard" for a fair queue',
  },
  {
    applies: ({ type, order }) => type === "fifo" && order === "priority",
    option: "order",
    expected:
      'expected "named" on a FIFO queue, which keeps the order of its groups; set type to "standard" for priorities',
  },
  {
    applies: ({ type, delayByPriority }) => type === "fifo" && delayByPriority,
    option: "delayByPriority",
    expected: 'expected false on a FIFO queue, where SQS takes no delay for one message; set type to "standard"',
  },
  {
    applies: ({ fair, order }) => fair && order === "priority",
    option: "order",
    expected: 'expected "named" on a fair queue, where SQS chooses the next tenant; set fair to false for priorities',
  },
  {
    applies: ({ order, delayByPriority }) => order === "priority" && delayByPriority,
    option: "delayByPriority",
    expected: 'expected false with order "priority", which starts the best task anyhow; set order to "named"',
  },
];

const MAX_DELAY_MS = 900_000;
const DELAY_A_LEVEL_MS = 9_000;

/**
 * The time a message waits in SQS on a queue with `delayByPriority`: none at the default priority (0) and above, 9 s more for every level below
 * it, to SQS's limit of 15 minutes at -100. A higher priority never waits longer than a lower one.
 */
export function delayOfPriorityMs(priority: number): number {
  return Math.min(MAX_DELAY_MS, Math.max(0, -priority) * DELAY_A_LEVEL_MS);
}
