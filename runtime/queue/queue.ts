/**
 * What the rest of the code knows of a message queue. A message is only a doorbell: losing or doubling one costs time,
 * never correctness, so nothing here promises more than "usually once". Times are milliseconds; an adapter whose
 * service counts in seconds rounds them up, so nothing is delivered or redelivered early.
 */

export type Delivery = {
  readonly messageId: string;
  /** Names this delivery, not the message: every delivery of the same message has another one. */
  readonly receiptHandle: string;
  readonly body: string;
  /** How often the message was delivered, this time included; 1 where the service does not say. */
  readonly receiveCount: number;
  /** When the producer sent it, wall clock in ms since 1970. */
  readonly sentAtMs: number;
  readonly groupId: string | null;
  /** Attributes of type String and Number as text; binary ones are left out. */
  readonly attributes: Readonly<Record<string, string>>;
};

export type Outgoing = {
  /**
   * ASCII JSON. SQS accepts an XML subset of Unicode only, and some emulators refuse all above U+FFFF: escape
   * whatever is not ASCII as `\uXXXX`.
   */
  readonly body: string;
  /** Ordering key on a FIFO queue (required there), tenant on a fair queue. At most 128 characters. */
  readonly groupId?: string;
  /** FIFO only: the same id within five minutes is one message. */
  readonly deduplicationId?: string;
  /** 0..900,000 ms; 0 when absent. Not on FIFO queues. */
  readonly delayMs?: number;
  /** At most ten, values not empty; they count towards the size of the message. */
  readonly attributes?: Readonly<Record<string, string>>;
};

export type SendOutcome =
  | { readonly kind: "sent" }
  | {
      readonly kind: "failed";
      /** The service's code, or `message_too_large`, `delay_too_long`, `group_held_back`, `unanswered`. */
      readonly code: string;
      readonly message: string;
      /** True when sending the same message again is useless. */
      readonly senderFault: boolean;
    };

export type QueueDepth = {
  readonly visible: number;
  readonly inFlight: number;
  readonly delayed: number;
};

export type Queue = {
  readonly name: string;
  readonly url: string;
  /**
   * Up to `max` (1..10) messages; waits up to `waitMs` (0..20,000) for the first. They stay hidden from other receivers
   * for `visibilityMs` (0..43,200,000), by default as long as the queue says.
   * Throws a `TaskiqError` `queue_unavailable` when there is no good answer: back off and call again.
   */
  receive(options: { max: number; waitMs: number; visibilityMs?: number }): Promise<Delivery[]>;
  /**
   * Sends any number of messages and returns one outcome for each, in order. Never throws: a batch that could not be
   * sent has `failed` outcomes. A message whose outcome is `failed` may still have arrived (its answer was lost).
   */
  send(messages: readonly Outgoing[]): Promise<SendOutcome[]>;
  /** Deletes deliveries and returns how many could not be deleted. Never throws; handles that expired count as deleted. */
  remove(receiptHandles: readonly string[]): Promise<number>;
  /**
   * Hides each delivery for `visibilityMs` (0..43,200,000) from now on; 0 returns it to the queue.
   * Returns how many could not be changed. Never throws.
   */
  changeVisibility(entries: readonly { receiptHandle: string; visibilityMs: number }[]): Promise<number>;
  /** Approximate counts, up to a minute old. Throws a `TaskiqError` `queue_unavailable`. */
  depth(): Promise<QueueDepth>;
};
