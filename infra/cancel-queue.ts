/**
 * Requests to cancel a task, from producers that cannot call the API. It has no dead-letter queue: such a request is
 * idempotent and of no use a day later.
 */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { consumeStatement, depthStatement, queuePolicy, sendStatement } from "./queue-access.ts";
import type { Account, Statement } from "./statement.ts";

export type CancelQueueArgs = {
  /** The queue's name in SQS, up to 80 characters. */
  readonly queueName: string;
  readonly account: Account;
  /** Refuses plain HTTP. Default true; false only where an emulator without TLS enforces queue policies. */
  readonly tlsOnly?: boolean;
};

/** As long as Postgres remembers a request for a task that it has not seen yet. */
export const CANCEL_RETENTION_SECONDS = 86_400;

export class CancelQueue extends pulumi.ComponentResource {
  readonly url: pulumi.Output<string>;
  readonly arn: pulumi.Output<string>;
  readonly queueName: string;
  readonly #name: string;

  constructor(name: string, args: CancelQueueArgs, opts?: pulumi.ComponentResourceOptions) {
    super("taskiq-aws:infra:CancelQueue", name, {}, opts);
    this.#name = name;
    this.queueName = args.queueName;
    const queue = new aws.sqs.Queue(
      name,
      {
        name: args.queueName,
        visibilityTimeoutSeconds: 30,
        messageRetentionSeconds: CANCEL_RETENTION_SECONDS,
        receiveWaitTimeSeconds: 20,
        sqsManagedSseEnabled: true,
        policy: queuePolicy(args.account, args.queueName, args.tlsOnly ?? true),
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

  /** Receives and deletes: a request that could not be recorded comes again by itself. */
  takeStatement(): Statement {
    const { Action, ...statement } = consumeStatement(this.#name, this.arn);
    return { ...statement, Action: Action.filter((action) => action !== "sqs:ChangeMessageVisibility") };
  }

  depthStatement(): Statement {
    return depthStatement(this.#name, this.arn);
  }
}
