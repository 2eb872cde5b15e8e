/**
 * Who may do what with a queue. A queue's own policy only refuses, whatever a role allows: requests in plain HTTP and
 * those of other accounts. What is allowed is in the roles' statements, so each reads as the whole of its permissions.
 */
import * as pulumi from "@pulumi/pulumi";
import { type Account, type Statement, sid } from "./statement.ts";

/** Known before the queue exists, so that its policy and those that name it need not wait for it. */
export function queueArn({ partition, region, accountId }: Account, queueName: string): pulumi.Output<string> {
  return pulumi.interpolate`arn:${partition}:sqs:${region}:${accountId}:${queueName}`;
}

/** Part of the queue's own attributes, not a resource beside it: so the queue never exists without it. */
export function queuePolicy(account: Account, queueName: string, tlsOnly: boolean): pulumi.Output<string> {
  const resource = queueArn(account, queueName);
  const deny = { Effect: "Deny", Principal: "*", Action: "sqs:*", Resource: resource };
  const plainHttp = {
    Sid: "DenyPlainHttp",
    ...deny,
    Condition: { Bool: { "aws:SecureTransport": "false" } },
  };
  const otherAccounts = {
    Sid: "DenyOtherAccounts",
    ...deny,
    Condition: { StringNotEquals: { "aws:PrincipalAccount": account.accountId } },
  };
  return pulumi.jsonStringify({
    Version: "2012-10-17",
    Statement: tlsOnly ? [plainHttp, otherAccounts] : [otherAccounts],
  });
}

/** Single messages and batches: IAM knows one action for both. */
export function sendStatement(name: string, arn: pulumi.Input<string>): Statement {
  return { Sid: sid("SendTo", name), Effect: "Allow", Action: ["sqs:SendMessage"], Resource: [arn] };
}

/** Receives, deletes what is done with, and gives back what is not. */
export function consumeStatement(name: string, arn: pulumi.Input<string>): Statement {
  return {
    Sid: sid("Consume", name),
    Effect: "Allow",
    Action: ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"],
    Resource: [arn],
  };
}

/** Reads how many messages wait. The action reads every attribute of the queue; none of them is secret. */
export function depthStatement(name: string, arn: pulumi.Input<string>): Statement {
  return { Sid: sid("ReadDepthOf", name), Effect: "Allow", Action: ["sqs:GetQueueAttributes"], Resource: [arn] };
}
