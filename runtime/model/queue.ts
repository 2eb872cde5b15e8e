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
  /** Whose tasks come as messages that are no doorbells of ours; null: they are poison. */
  readonly accepts: AcceptOptions | null;
  /** Where producers of such messages look for results; null: nowhere. On a queue with the wire `taskiq`: where its workers write them. */
  readonly results: ResultOptions | null;
  /** `doorbell`: our workers serve it. `taskiq`: workers of Python do, so that each message is the whole task. */
  readonly wire: "doorbell" | "taskiq";
};

/** Whoever may send to the queue is trusted with this much. */
export type AcceptOptions = {
  /** Names of tasks; null: all that the worker knows, without those of the system and `command`. */
  readonly tasks: readonly string[] | null;
  /** Whose tasks they become. */
  readonly tenant: string;
  /** What the keys of objects start with that messages may point to, in the payload bucket. */
  readonly extendedPrefix: string;
};

/** In the payload bucket, under `basePath` (empty: at its root) and the id that the producer chose. */
export type ResultOptions = { readonly basePath: string };

/** What `extendedPrefix` and `basePath` may be. `v1/` has the payloads of all tasks. */
export const PLACE_IN_BUCKET = /^(?!v1(?:\/|$))(?:[A-Za-z0-9!_.*'()-]+(?:\/[A-Za-z0-9!_.*'()-]+)*\/?)?$/;

export const DEFAULT_QUEUE_OPTIONS: QueueOptions = {
  type: "standard",
  fair: false,
  order: "named",
  delayByPriority: false,
  weight: 1,
  maxSlots: null,
  maxRunning: null,
  perSecond: null,
  accepts: null,
  results: null,
  wire: "doorbell",
};

/** Whether tasks of the queue may have limits: those of a FIFO or priority queue are claimed for what they are first of. */
export function allowsLimits({ type, order, wire }: Pick<QueueOptions, "type" | "order" | "wire">): boolean {
  return type === "standard" && order === "named" && wire === "doorbell";
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

const FOR_OUR_WORKERS = 'on a queue with wire "taskiq", which workers of Python serve';

/** Options that exclude each other, with what to set instead. */
export const EXCLUSIONS: readonly Exclusion[] = [
  {
    applies: ({ wire, results }) => wire === "taskiq" && (results === null || results.basePath === ""),
    option: "results",
    expected:
      'expected {"basePath": …} that nothing else uses, where the workers of a queue with wire "taskiq" write results',
  },
  {
    applies: ({ wire, type }) => wire === "taskiq" && type === "fifo",
    option: "type",
    expected: `expected "standard" ${FOR_OUR_WORKERS}`,
  },
  {
    applies: ({ wire, order }) => wire === "taskiq" && order === "priority",
    option: "order",
    expected: `expected "named" ${FOR_OUR_WORKERS}`,
  },
  {
    applies: ({ wire, fair }) => wire === "taskiq" && fair,
    option: "fair",
    expected: `expected false ${FOR_OUR_WORKERS}`,
  },
  {
    applies: ({ wire, accepts }) => wire === "taskiq" && accepts !== null,
    option: "accepts",
    expected: `expected null ${FOR_OUR_WORKERS}`,
  },
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
