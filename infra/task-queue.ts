/** A queue of doorbells: its messages say that a task may be runnable, and Postgres says whether it is. */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import type { DeadLetterQueue } from "./dead-letter-queue.ts";
import { consumeStatement, depthStatement, queuePolicy, sendStatement } from "./queue-access.ts";
import type { Account, Statement } from "./statement.ts";

export type TaskQueueArgs = {
  /** The queue's name in SQS, up to 80 characters; it ends in `.fifo` where the type is `fifo`. */
  readonly queueName: string;
  readonly type: "standard" | "fifo";
  /** A standard queue whose messages carry their tenant as group, so that a busy tenant does not starve the others. */
  readonly fair: boolean;
  /** 0..43,200 s: how long a received message stays hidden where the worker does not say itself. */
  readonly visibilitySeconds: number;
  /** 60..1,209,600 s. */
  readonly retentionSeconds: number;
  /** 1..1000 deliveries, then the message goes to the dead-letter queue. FIFO and fair queues always have 1000. */
  readonly maxReceiveCount: number;
  readonly deadLetter: DeadLetterQueue;
  readonly account: Account;
  /** Refuses plain HTTP. Default true; false only where an emulator without TLS enforces queue policies. */
  readonly tlsOnly?: boolean;
};

/**
 * Messages of FIFO and fair queues are kept until their task is finished and come back at every retry: there the
 * database counts the attempts, and a lower number would take a message away from a task that still has some.
 */
const RECEIVES_WHERE_POSTGRES_COUNTS = 1_000;

export class TaskQueue extends pulumi.ComponentResource {
  readonly url: pulumi.Output<string>;
  readonly arn: pulumi.Output<string>;
  readonly queueName: string;
  readonly #name: string;

  constructor(name: string, args: TaskQueueArgs, opts?: pulumi.ComponentResourceOptions) {
    super("taskiq-aws:infra:TaskQueue", name, {}, opts);
    const isFifo = args.type === "fifo";
    if (isFifo && args.fair) {
      throw new Error(
        `queue "${name}": expected fair on a standard queue, got it on a FIFO queue. Choose one of them.`,
      );
    }
    if (args.deadLetter.type !== args.type) {
      throw new Error(
        `queue "${name}": expected a dead-letter queue of type ${args.type}, got ${args.deadLetter.type}. ` +
          "SQS redrives between queues of one type only.",
      );
    }
    this.#name = name;
    this.queueName = args.queueName;
    const queue = new aws.sqs.Queue(
      name,
      {
        name: args.queueName,
        // Both are needed for high throughput; else all groups share 300 calls a second.
        ...(isFifo ? { fifoQueue: true, deduplicationScope: "messageGroup" } : {}),
        ...(isFifo ? { fifoThroughputLimit: "perMessageGroupId" } : {}),
        visibilityTimeoutSeconds: args.visibilitySeconds,
        messageRetentionSeconds: args.retentionSeconds,
        receiveWaitTimeSeconds: 20,
        sqsManagedSseEnabled: true,
        policy: queuePolicy(args.account, args.queueName, args.tlsOnly ?? true),
        redrivePolicy: pulumi.jsonStringify({
          deadLetterTargetArn: args.deadLetter.arn,
          maxReceiveCount: isFifo || args.fair ? RECEIVES_WHERE_POSTGRES_COUNTS : args.maxReceiveCount,
        }),
      },
      { parent: this },
    );
    this.url = queue.url;
    this.arn = queue.arn;
    this.registerOutputs({ url: this.url, arn: this.arn });
  }

  sendStatement(): Statement {
    return sendStatement(this.#name, this.arn);
  }

  consumeStatement(): Statement {
    return consumeStatement(this.#name, this.arn);
  }

  depthStatement(): Statement {
    return depthStatement(this.#name, this.arn);
  }
}
