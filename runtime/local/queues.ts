/** The queues and the bucket of a local stack, in the one place that names them. Their settings are those of a deployment. */

export type LocalQueue = {
  /** As in the configuration; SQS knows it as `taskiq-<name>`, its dead-letter queue as `taskiq-<name>-dlq`. */
  readonly name: string;
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

export const LOCAL_QUEUES: readonly LocalQueue[] = [
  { name: "default", visibilityMs: 300_000, receiveWaitMs: 20_000, retentionMs: 1_209_600_000, maxReceiveCount: 5 },
];

export const LOCAL_BUCKET = "taskiq-payloads";

export const sqsName = (queue: string): string => `taskiq-${queue}`;
export const deadLetterSqsName = (queue: string): string => `taskiq-${queue}-dlq`;

/** The account that the emulator puts everything into. */
export const EMULATED_ACCOUNT = "000000000000";

/** The address of a queue of the emulator, by its name in SQS. */
export const emulatedQueueUrl = (endpoint: string, name: string): string => `${endpoint}/${EMULATED_ACCOUNT}/${name}`;

export function deadLetterAttributes(queue: LocalQueue): QueueAttributes {
  return {
    VisibilityTimeout: seconds(queue.visibilityMs),
    ReceiveMessageWaitTimeSeconds: seconds(queue.receiveWaitMs),
    MessageRetentionPeriod: seconds(queue.retentionMs),
  };
}

export function queueAttributes(queue: LocalQueue, deadLetterArn: string): QueueAttributes {
  const redrive = { deadLetterTargetArn: deadLetterArn, maxReceiveCount: queue.maxReceiveCount };
  return { ...deadLetterAttributes(queue), RedrivePolicy: JSON.stringify(redrive) };
}

const seconds = (ms: number): string => String(Math.ceil(ms / 1_000));
