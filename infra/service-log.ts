/** Where the lines of a service go. Metrics are lines as well (embedded metric format), and become metrics here. */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { type Account, type Statement, sid } from "./statement.ts";

export type ServiceLogArgs = {
  readonly logGroupName: string;
  readonly retentionDays: number;
  readonly account: Account;
};

export class ServiceLog extends pulumi.ComponentResource {
  /** Known once it exists. */
  readonly logGroupName: pulumi.Output<string>;
  readonly region: pulumi.Input<string>;
  readonly #name: string;
  readonly #arn: pulumi.Output<string>;

  constructor(name: string, args: ServiceLogArgs, opts?: pulumi.ComponentResourceOptions) {
    super("taskiq-aws:infra:ServiceLog", name, {}, opts);
    const { partition, region, accountId } = args.account;
    this.#name = name;
    this.#arn = pulumi.interpolate`arn:${partition}:logs:${region}:${accountId}:log-group:${args.logGroupName}`;
    this.region = region;
    this.logGroupName = new aws.cloudwatch.LogGroup(
      name,
      { name: args.logGroupName, retentionInDays: args.retentionDays },
      { parent: this },
    ).name;
    this.registerOutputs({ logGroupName: this.logGroupName });
  }

  /** For the role that starts containers. */
  writeStatement(): Statement {
    return {
      Sid: sid("WriteLogOf", this.#name),
      Effect: "Allow",
      Action: ["logs:CreateLogStream", "logs:PutLogEvents"],
      Resource: [pulumi.interpolate`${this.#arn}:log-stream:*`],
    };
  }
}
