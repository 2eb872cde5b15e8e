/**
 * Where messages go that nobody could read, and copies of tasks whose attempts are spent, so that its depth is the
 * alarm for both. Only the named queues may redrive into it, and SQS wants it to be of their type.
 */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { consumeStatement, depthStatement, queueArn, queuePolicy, sendStatement } from "./queue-access.ts";
import { type Account, type Statement, sid } from "./statement.ts";

export type DeadLetterQueueArgs = {
  /** The queue's name in SQS, up to 80 characters; it ends in `.fifo` where the type is `fifo`. */
  readonly queueName: string;
  readonly type: "standard" | "fifo";
  /**
   * 60..1,209,600 s, and not less than that of its sources: in a standard queue a message's age goes on counting from
   * when it was first sent.
   */
  readonly retentionSeconds: number;
  /** Names in SQS of the queues that may redrive into it: 1 to 10, which is what SQS allows by name. */
  readonly sources: readonly string[];
  readonly account: Account;
  /** Refuses plain HTTP. Default true; false only where an emulator without TLS enforces queue policies. */
  readonly tlsOnly?: boolean;
};

const MAX_SOURCES = 10;

export class DeadLetterQueue extends pulumi.ComponentResource {
  readonly url: pulumi.Output<string>;
  readonly arn: pulumi.Output<string>;
  readonly queueName: string;
  readonly type: "standard" | "fifo";
  readonly #name: string;

  constructor(name: string, args: DeadLetterQueueArgs, opts?: pulumi.ComponentResourceOptions) {
    super("taskiq-aws:infra:DeadLetterQueue", name, {}, opts);
    const { account, sources } = args;
    if (sources.length === 0 || sources.length > MAX_SOURCES) {
      throw new Error(
        `dead-letter queue "${name}": expected 1 to ${MAX_SOURCES} source queues, got ${sources.length}. ` +
          "SQS names no more in one redrive allow policy: give the others a dead-letter queue of their own.",
      );
    }
    this.#name = name;
    this.queueName = args.queueName;
    this.type = args.type;
    const queue = new aws.sqs.Queue(
      name,
      {
        name: args.queueName,
        ...(args.type === "fifo" ? { fifoQueue: true, deduplicationScope: "messageGroup" } : {}),
        ...(args.type === "fifo" ? { fifoThroughputLimit: "perMessageGroupId" } : {}),
        messageRetentionSeconds: args.retentionSeconds,
        receiveWaitTimeSeconds: 20,
        sqsManagedSseEnabled: true,
        policy: queuePolicy(account, args.queueName, args.tlsOnly ?? true),
        redriveAllowPolicy: pulumi.jsonStringify({
          redrivePermission: "byQueue",
          sourceQueueArns: sources.map((source) => queueArn(account, source)),
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

  /** For the operator who takes messages out again and re-arms their tasks. */
  redriveStatement(): Statement {
    return { ...consumeStatement(this.#name, this.arn), Sid: sid("Redrive", this.#name) };
  }

  depthStatement(): Statement {
    return depthStatement(this.#name, this.arn);
  }
}
