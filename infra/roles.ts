/** A role that containers run under, or that starts them. What it may do is the statements it is given, and no more. */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { type Account, policyDocument, type Statement } from "./statement.ts";

export type TaskRoleArgs = {
  readonly description: string;
  /** At least one. */
  readonly statements: readonly Statement[];
  readonly account: Account;
};

export class TaskRole extends pulumi.ComponentResource {
  /** Known once the role may do what it is for, so that no container starts before. */
  readonly arn: pulumi.Output<string>;

  constructor(name: string, args: TaskRoleArgs, opts?: pulumi.ComponentResourceOptions) {
    super("taskiq-aws:infra:TaskRole", name, {}, opts);
    const child = { parent: this };
    const assumeRolePolicy = trustPolicy(args.account);
    const role = new aws.iam.Role(name, { description: args.description, assumeRolePolicy }, child);
    const policy = new aws.iam.RolePolicy(name, { role: role.name, policy: policyDocument(args.statements) }, child);
    this.arn = pulumi.all([role.arn, policy.id]).apply(([arn]) => arn);
    this.registerOutputs({ arn: this.arn });
  }
}

/** ECS, for tasks of this account only: else another account's tasks could be started with the role. */
function trustPolicy({ partition, region, accountId }: Account): pulumi.Output<string> {
  return pulumi.jsonStringify({
    Version: "2012-10-17",
    Statement: [
      {
        Effect: "Allow",
        Principal: { Service: "ecs-tasks.amazonaws.com" },
        Action: "sts:AssumeRole",
        Condition: {
          StringEquals: { "aws:SourceAccount": accountId },
          ArnLike: { "aws:SourceArn": pulumi.interpolate`arn:${partition}:ecs:${region}:${accountId}:*` },
        },
      },
    ],
  });
}
