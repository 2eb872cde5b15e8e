/**
 * Queues on Amazon SQS. The only file that counts in seconds.
 *
 * Polls and commands have a client each: a poll is open for up to 20 s and must never keep a delete or a send waiting
 * for a socket, and it is tried once, because the poll loop has a backoff of its own.
 *
 * Longer than most files, because all of a queue's operations translate the same units, codes and entries.
 */
import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  GetQueueAttributesCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  type SendMessageBatchRequestEntry,
} from "@aws-sdk/client-sqs";
import { type Clock, systemClock } from "../clock.ts";
import { TaskiqError } from "../errors.ts";
import { DEFAULT_QUEUE_OPTIONS, type QueueOptions } from "../model/queue.ts";
import { codeOf, type EntryFault, inParallel, packBatches, settleBatch } from "./batches.ts";
import { messageBytes, refusalOf } from "./limits.ts";
import type { Delivery, Outgoing, Queue, SendOutcome } from "./queue.ts";
import type { QueueObserver } from "./queue-observer.ts";
import { createQueueSet, type QueueSet } from "./queue-set.ts";
import { type AwsCredentials, openSqsClient, type SqsClient } from "./sqs-client.ts";

export type QueueAddress = {
  /** The configured name, which rows and metrics carry; the name in the URL may differ. */
  readonly name: string;
  readonly url: string;
  readonly deadLetterUrl: string | null;
  /** What differs from a standard queue. */
  readonly options?: Partial<QueueOptions>;
};

export type SqsOptions = {
  readonly region: string;
  /** Where requests go, for example `http://localhost:4566`. Default: the host of each queue's URL. */
  readonly endpoint?: string;
  /** Default: the SDK's chain of environment, profile, container and instance role. */
  readonly credentials?: AwsCredentials;
  readonly queues: readonly QueueAddress[];
  /** One try of a send, delete, change or count, up to the last byte of the answer. Default 5,000 ms. */
  readonly commandTimeoutMs?: number;
  /** What a poll may take beyond the time it waits. Default 8,000 ms. */
  readonly pollGraceMs?: number;
  /** A new TCP connection. Default 3,000 ms. */
  readonly connectTimeoutMs?: number;
  readonly clock?: Clock;
  /** Counts what fails. */
  readonly observer?: QueueObserver | undefined;
};

export type SqsQueues = QueueSet & {
  /** Requests to SQS so far, repeated ones included: SQS bills each. */
  readonly requests: number;
  /** Closes the connections. Let open polls return first: what SQS hands to a cut poll stays hidden. */
  close(): void;
};

const MAX_WAIT_MS = 20_000;
const COMMAND_ATTEMPTS = 4;
const COMMAND_SOCKETS = 50;
const ENTRY_ATTEMPTS = 3;
const BATCHES_AT_ONCE = 8;

export function openQueues(options: SqsOptions): SqsQueues {
  const clock = options.clock ?? systemClock;
  const pollGraceMs = options.pollGraceMs ?? 8_000;
  const shared = {
    region: options.region,
    connectTimeoutMs: options.connectTimeoutMs ?? 3_000,
    clock,
    ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
    ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
  };
  const commands = openSqsClient({
    ...shared,
    maxAttempts: COMMAND_ATTEMPTS,
    timeoutMs: options.commandTimeoutMs ?? 5_000,
    maxSockets: COMMAND_SOCKETS,
  });
  const polls = openSqsClient({
    ...shared,
    maxAttempts: 1,
    timeoutMs: MAX_WAIT_MS + pollGraceMs,
    maxSockets: Number.POSITIVE_INFINITY,
  });
  // Several queues may share a dead-letter queue.
  const deadLetters = new Map<string, Queue>();
  const { observer } = options;
  const connections: Connections = { polls, commands, pollGraceMs, clock, observer };

  function deadLetterAt(url: string): Queue {
    const queue = deadLetters.get(url) ?? createSqsQueue(url.slice(url.lastIndexOf("/") + 1), url, connections);
    deadLetters.set(url, queue);
    return queue;
  }

  const set = createQueueSet(
    options.queues.map(({ name, url, deadLetterUrl, options: own }) => ({
      queue: createSqsQueue(name, url, connections),
      deadLetter: deadLetterUrl === null ? null : deadLetterAt(deadLetterUrl),
      options: { ...DEFAULT_QUEUE_OPTIONS, ...own },
    })),
  );
  return {
    ...set,
    get requests() {
      return polls.requests + commands.requests;
    },
    close() {
      polls.close();
      commands.close();
    },
  };
}

/** One queue by itself, without a dead-letter queue. */
export function openQueue(
  options: Omit<SqsOptions, "queues"> & { readonly name: string; readonly url: string },
): Queue {
  const { name, url, ...rest } = options;
  // It was just configured under this name.
  return openQueues({ ...rest, queues: [{ name, url, deadLetterUrl: null }] }).get(name) as Queue;
}

type Connections = {
  readonly polls: SqsClient;
  readonly commands: SqsClient;
  readonly pollGraceMs: number;
  readonly clock: Clock;
  readonly observer: QueueObserver | undefined;
};

function createSqsQueue(name: string, url: string, connections: Connections): Queue {
  const { polls, commands, pollGraceMs, clock, observer } = connections;
  const isFifo = url.endsWith(".fifo");

  async function sendBatch(batch: readonly Sendable[]): Promise<(EntryFault | null)[]> {
    return settleBatch(
      batch,
      (entries) =>
        commands.call(
          new SendMessageBatchCommand({
            QueueUrl: url,
            Entries: entries.map(({ message }, position) => sendEntry(message, position)),
          }),
        ),
      // Sending an entry again after later ones of its group would turn their order around.
      { attempts: isFifo ? 1 : ENTRY_ATTEMPTS, clock },
    );
  }

  /** Deletes or hides; returns how many entries have a fault that counts. */
  async function changeAll<Entry>(
    op: "delete" | "change_visibility",
    entries: readonly Entry[],
    request: Parameters<typeof settleBatch<Entry>>[1],
    counts: (fault: EntryFault) => boolean,
  ): Promise<number> {
    let failures = 0;
    const batches = packBatches(entries.map((entry) => ({ entry, bytes: 0 })));
    await inParallel(batches, BATCHES_AT_ONCE, async (batch) => {
      const faults = await settleBatch(
        batch.map(({ entry }) => entry),
        request,
        { attempts: ENTRY_ATTEMPTS, clock },
      );
      for (const fault of faults) {
        if (fault === null || !counts(fault)) continue;
        failures++;
        observer?.entryFailed(op, fault.code, fault.senderFault);
      }
    });
    return failures;
  }

  return {
    name,
    url,

    // Has no signal on purpose. SQS may have marked messages as delivered when the connection is cut, and they
    // would stay hidden for a whole visibility period: who shuts down waits for the open poll and gives back what it brought.
    async receive({ max, waitMs, visibilityMs }) {
      const waitSeconds = seconds(waitMs);
      const command = new ReceiveMessageCommand({
        QueueUrl: url,
        MaxNumberOfMessages: max,
        WaitTimeSeconds: waitSeconds,
        ...(visibilityMs === undefined ? {} : { VisibilityTimeout: seconds(visibilityMs) }),
        // SQS returns neither unless asked; the attributes tell bodies that are pointers to S3.
        MessageAttributeNames: ["All"],
        MessageSystemAttributeNames: ["ApproximateReceiveCount", "SentTimestamp", "MessageGroupId"],
      });
      try {
        const { Messages: messages } = await polls.call(command, waitSeconds * 1_000 + pollGraceMs);
        if (messages === undefined || messages.length === 0) observer?.receivedNothing();
        return (messages ?? []).map((message) => delivery(message, clock));
      } catch (error) {
        throw unavailable("receive from", name, error);
      }
    },

    async send(messages) {
      const outcomes: SendOutcome[] = messages.map(() => SENT);
      // In a FIFO queue a message must not overtake one of its group that failed: from this position on it waits.
      const heldBackFrom = new Map<string, number>();
      const sendable: Sendable[] = [];
      const fail = (index: number, outcome: SendOutcome): void => {
        outcomes[index] = outcome;
        const group = messages[index]?.groupId;
        if (!isFifo || group === undefined) return;
        heldBackFrom.set(group, Math.min(index, heldBackFrom.get(group) ?? index));
      };
      for (const [index, message] of messages.entries()) {
        const bytes = messageBytes(message);
        const refusal = refusalOf(message, bytes);
        if (refusal === null) sendable.push({ message, index, bytes });
        else fail(index, refusal);
      }
      await inParallel(packBatches(sendable), isFifo ? 1 : BATCHES_AT_ONCE, async (packed) => {
        const isHeldBack = ({ message, index }: Sendable): boolean =>
          message.groupId !== undefined && index > (heldBackFrom.get(message.groupId) ?? messages.length);
        for (const { index } of packed.filter(isHeldBack)) outcomes[index] = HELD_BACK;
        const batch = packed.filter((sent) => !isHeldBack(sent));
        const faults = await sendBatch(batch);
        for (const [position, { index }] of batch.entries()) {
          const fault = faults[position] ?? null;
          if (fault === null) continue;
          fail(index, { kind: "failed", ...fault });
          observer?.entryFailed("send", fault.code, fault.senderFault);
        }
      });
      return outcomes;
    },

    async remove(receiptHandles) {
      return changeAll(
        "delete",
        receiptHandles,
        (handles) =>
          commands.call(
            new DeleteMessageBatchCommand({
              QueueUrl: url,
              Entries: handles.map((ReceiptHandle, position) => ({ Id: String(position), ReceiptHandle })),
            }),
          ),
        // Delivered again since, or gone already: whoever has the newer delivery deletes it.
        ({ code }) => code !== "ReceiptHandleIsInvalid",
      );
    },

    async changeVisibility(entries) {
      return changeAll(
        "change_visibility",
        entries,
        (changes) =>
          commands.call(
            new ChangeMessageVisibilityBatchCommand({
              QueueUrl: url,
              Entries: changes.map(({ receiptHandle, visibilityMs }, position) => ({
                Id: String(position),
                ReceiptHandle: receiptHandle,
                VisibilityTimeout: seconds(visibilityMs),
              })),
            }),
          ),
        () => true,
      );
    },

    async depth() {
      try {
        const { Attributes: attributes } = await commands.call(
          new GetQueueAttributesCommand({
            QueueUrl: url,
            AttributeNames: [
              "ApproximateNumberOfMessages",
              "ApproximateNumberOfMessagesNotVisible",
              "ApproximateNumberOfMessagesDelayed",
            ],
          }),
        );
        return {
          visible: Number(attributes?.ApproximateNumberOfMessages ?? 0),
          inFlight: Number(attributes?.ApproximateNumberOfMessagesNotVisible ?? 0),
          delayed: Number(attributes?.ApproximateNumberOfMessagesDelayed ?? 0),
        };
      } catch (error) {
        throw unavailable("count", name, error);
      }
    },
  };
}

type Sendable = { readonly message: Outgoing; readonly index: number; readonly bytes: number };

const SENT: SendOutcome = { kind: "sent" };

const HELD_BACK: SendOutcome = {
  kind: "failed",
  code: "group_held_back",
  message: "an earlier message of this group could not be sent",
  senderFault: false,
};

function sendEntry(message: Outgoing, position: number): SendMessageBatchRequestEntry {
  const entry: SendMessageBatchRequestEntry = { Id: String(position), MessageBody: message.body };
  if (message.groupId !== undefined) entry.MessageGroupId = message.groupId;
  if (message.deduplicationId !== undefined) entry.MessageDeduplicationId = message.deduplicationId;
  if (message.delayMs !== undefined) entry.DelaySeconds = seconds(message.delayMs);
  if (message.attributes !== undefined) {
    entry.MessageAttributes = Object.fromEntries(
      Object.entries(message.attributes).map(([key, value]) => [key, { DataType: "String", StringValue: value }]),
    );
  }
  return entry;
}

function delivery(message: Message, clock: Clock): Delivery {
  const { ApproximateReceiveCount, SentTimestamp, MessageGroupId } = message.Attributes ?? {};
  const attributes: Record<string, string> = {};
  for (const [key, value] of Object.entries(message.MessageAttributes ?? {})) {
    if (value.StringValue !== undefined) attributes[key] = value.StringValue;
  }
  return {
    messageId: message.MessageId ?? "",
    receiptHandle: message.ReceiptHandle ?? "",
    body: message.Body ?? "",
    receiveCount: Number(ApproximateReceiveCount ?? 1),
    sentAtMs: SentTimestamp === undefined ? clock.wallMs() : Number(SentTimestamp),
    groupId: MessageGroupId ?? null,
    attributes,
  };
}

/** Rounded up: a message is never delivered or redelivered early, and a short wait does not become a short poll. */
function seconds(ms: number): number {
  return Math.ceil(ms / 1_000);
}

function unavailable(what: string, name: string, cause: unknown): TaskiqError {
  const reason = cause instanceof Error ? `${codeOf(cause)}: ${cause.message}` : String(cause);
  return new TaskiqError(
    "queue_unavailable",
    `expected to ${what} queue "${name}", got ${reason}. Check its URL, the endpoint, the network and the permissions.`,
    { cause },
  );
}
