/** The queues and the bucket of a local stack, in the one place that names them. Their settings are those of a deployment. */

export type LocalQueue = {
  /** As in the configuration; SQS knows it as `taskiq-<name>`, its dead-letter queue as `taskiq-<name>-dlq`, with `.fifo` where it is one. */
  readonly name: string;
  /** The cancel queue has no dead-letter queue: it carries no tasks. */
  readonly type: "standard" | "fifo" | "cancel";
  /** 0..43,200,000 ms in whole seconds: how long a received message stays hidden. */
  readonly visibilityMs: number;
  /** 0..20,000 ms in whole seconds: how long a receive waits where it does not say itself. */
  readonly receiveWaitMs: number;
  /** 60,000..1,209,600,000 ms in whole seconds. The emulator does not enforce it. */
  readonly retentionMs: number;
  /** 1..1000 deliveries, then the message goes to the dead-letter queue. */
  readonly maxReceiveCount: number;
};

/** Attributes as SQS takes them: text, times in seconds. */
export type QueueAttributes = Record<string, string>;

const USUAL = { visibilityMs: 300_000, receiveWaitMs: 20_000, retentionMs: 1_209_600_000 };

export const LOCAL_QUEUES: readonly LocalQueue[] = [
  { name: "default", type: "standard", ...USUAL, maxReceiveCount: 5 },
  // The database counts its attempts: a doorbell that waits for its group may be received often.
  { name: "ordered", type: "fifo", ...USUAL, maxReceiveCount: 1_000 },
  {
    name: "cancel",
    type: "cancel",
    visibilityMs: 30_000,
    receiveWaitMs: 20_000,
    retentionMs: 86_400_000,
    maxReceiveCount: 1,
  },
];

export const LOCAL_BUCKET = "taskiq-payloads";

type Named = Pick<LocalQueue, "name" | "type">;

export const sqsName = ({ name, type }: Named): string => `taskiq-${name}${suffix(type)}`;
export const deadLetterSqsName = ({ name, type }: Named): string => `taskiq-${name}-dlq${suffix(type)}`;
const suffix = (type: LocalQueue["type"]): string => (type === "fifo" ? ".fifo" : "");

/** The account that the emulator puts everything into. */
export const EMULATED_ACCOUNT = "000000000000";

/** The address of a queue of the emulator, by its name in SQS. */
export const emulatedQueueUrl = (endpoint: string, name: string): string => `${endpoint}/${EMULATED_ACCOUNT}/${name}`;

export function deadLetterAttributes(queue: LocalQueue): QueueAttributes {
  return {
    VisibilityTimeout: seconds(queue.visibilityMs),
    ReceiveMessageWaitTimeSeconds: seconds(queue.receiveWaitMs),
    MessageRetentionPeriod: seconds(queue.retentionMs),
    // Both are needed for high throughput: a group orders and is deduplicated by itself.
    ...(queue.type === "fifo" && {
      FifoQueue: "true",
      DeduplicationScope: "messageGroup",
      FifoThroughputLimit: "perMessageGroupId",
    }),
  };
}

export function queueAttributes(queue: LocalQueue, deadLetterArn: string | null): QueueAttributes {
  if (deadLetterArn === null) return deadLetterAttributes(queue);
  const redrive = { deadLetterTargetArn: deadLetterArn, maxReceiveCount: queue.maxReceiveCount };
  return { ...deadLetterAttributes(queue), RedrivePolicy: JSON.stringify(redrive) };
}

const seconds = (ms: number): string => String(Math.ceil(ms / 1_000));
