/**
 * SQS and S3 in this process, by the emulator fauxqs: for tests that look into queues. Whatever measures or runs for long starts
 * it as a process (start-aws-process.ts), because it works a good deal for each message.
 *
 * What of it is made good here: its queue URLs name hosts that need a special resolver, and keep the port of an earlier start, so
 * addresses are built from the port it listens on now; it listens on every network interface without any check of
 * credentials, so connections from elsewhere are closed; its counters stand still until somebody receives,
 * so `inspectQueue` judges messages by their times.
 * What remains, besides the services it lacks: nothing expires, S3 calls it does not know are taken for others (tagging an object overwrites
 * it), a request above 11 MiB fails, characters above U+FFFF are refused in messages, and a long poll that is cut off swallows
 * the next message until its visibility timeout.
 */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import { type FauxqsServer, startFauxqs } from "fauxqs";
import { type Clock, systemClock } from "../clock.ts";
import { TaskiqError } from "../errors.ts";
import {
  deadLetterAttributes,
  deadLetterSqsName,
  EMULATED_ACCOUNT,
  emulatedQueueUrl,
  type LocalQueue,
  queueAttributes,
  sqsName,
} from "./queues.ts";

export type AwsOptions = {
  /** On 127.0.0.1. Default: a free one. */
  readonly port?: number;
  /** Where queues, messages and objects are kept across starts (SQLite). Default: in memory only. */
  readonly dataDir?: string;
  readonly region: string;
  /** Made when absent; one that was kept is left as it is. */
  readonly queues: readonly LocalQueue[];
  readonly buckets: readonly string[];
};

export type HeldMessage = { readonly messageId: string; readonly body: string; readonly receiveCount: number };

export type QueueContents = {
  /** Receivable now. */
  readonly ready: readonly HeldMessage[];
  readonly delayed: readonly HeldMessage[];
  /** Received, hidden, not deleted. */
  readonly inflight: readonly HeldMessage[];
};

export type Aws = {
  /** `http://127.0.0.1:port`. Clients must be given it explicitly, with `forcePathStyle` for S3; any credentials will do. */
  readonly endpoint: string;
  /** The URL of a queue by its configured name. */
  queueUrl(name: string): string;
  deadLetterUrl(name: string): string;
  /** What a queue holds, without any effect on it. `name` as SQS knows it (`taskiq-default`, `taskiq-default-dlq`). */
  inspectQueue(name: string): QueueContents;
  /** Cuts off open requests. May be called again. */
  stop(): Promise<void>;
};

/** Starts the emulator with its queues and buckets. Throws `queue_unavailable`. */
export async function startAws(options: AwsOptions, clock: Clock = systemClock): Promise<Aws> {
  const server = await start(options);
  const closeForeign = (message: unknown): void => {
    // What Node publishes on this channel.
    const { socket } = message as { socket: Socket };
    if (socket.localPort === server.port && !isLoopback(socket.remoteAddress)) socket.destroy();
  };
  subscribe("net.server.socket", closeForeign);

  const endpoint = `http://127.0.0.1:${server.port}`;
  const named = (name: string) => options.queues.find((queue) => queue.name === name) ?? { name, type: "standard" };
  let stopping: Promise<void> | undefined;
  return {
    endpoint,
    queueUrl: (name) => emulatedQueueUrl(endpoint, sqsName(named(name))),
    deadLetterUrl: (name) => emulatedQueueUrl(endpoint, deadLetterSqsName(named(name))),
    inspectQueue: (name) => inspect(server, name, clock.wallMs()),
    stop() {
      stopping ??= server.stop().finally(() => unsubscribe("net.server.socket", closeForeign));
      return stopping;
    },
  };
}

async function start({ port = 0, dataDir, region, queues, buckets }: AwsOptions): Promise<FauxqsServer> {
  const arn = (name: string) => `arn:aws:sqs:${region}:${EMULATED_ACCOUNT}:${name}`;
  try {
    return await startFauxqs({
      port,
      logger: false,
      defaultRegion: region,
      ...(dataDir !== undefined && { dataDir }),
      init: {
        region,
        queues: queues.flatMap((queue) => {
          if (queue.type === "cancel") return [{ name: sqsName(queue), attributes: queueAttributes(queue, null) }];
          const deadLetter = deadLetterSqsName(queue);
          return [
            { name: deadLetter, attributes: deadLetterAttributes(queue) },
            { name: sqsName(queue), attributes: queueAttributes(queue, arn(deadLetter)) },
          ];
        }),
        buckets: [...buckets],
      },
    });
  } catch (cause) {
    throw new TaskiqError(
      "queue_unavailable",
      `expected the SQS and S3 emulator to start on port ${port}${dataDir === undefined ? "" : ` with its state in ${dataDir}`}, ` +
        `it failed: ${cause instanceof Error ? cause.message : String(cause)}. ` +
        "End what uses the port, or remove the state; or set AWS_ENDPOINT_URL to use other services.",
      { cause },
    );
  }
}

function isLoopback(address: string | undefined): boolean {
  return address !== undefined && /^(::ffff:)?127\.|^::1$/.test(address);
}

type Held = { messageId: string; body: string; approximateReceiveCount: number };

function inspect(server: FauxqsServer, name: string, nowMs: number): QueueContents {
  const messages = server.inspectQueue(name)?.messages;
  if (messages === undefined)
    throw new TaskiqError("unknown_queue", `expected a queue of the emulator, got "${name}".`);
  const { ready, delayed, inflight } = messages;
  const isDue = ({ delayUntil = 0 }: { delayUntil?: number }) => delayUntil <= nowMs;
  const isVisible = ({ visibilityDeadline }: { visibilityDeadline: number }) => visibilityDeadline <= nowMs;
  const returned = inflight.filter(isVisible).map((entry) => entry.message);
  return {
    ready: [...ready, ...delayed.filter(isDue), ...returned].map(held),
    delayed: delayed.filter((message) => !isDue(message)).map(held),
    inflight: inflight.filter((entry) => !isVisible(entry)).map((entry) => held(entry.message)),
  };
}

const held = ({ messageId, body, approximateReceiveCount }: Held): HeldMessage => ({
  messageId,
  body,
  receiveCount: approximateReceiveCount,
});
