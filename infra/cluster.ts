/** The ECS cluster of the stack's services. Its name is fixed: the scaler in the API's containers knows it beforehand. */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import type { Account, Statement } from "./statement.ts";

export type ClusterArgs = {
  readonly clusterName: string;
  readonly account: Account;
};

export class Cluster extends pulumi.ComponentResource {
  /** Known once services may use Fargate and Fargate Spot in it. */
  readonly arn: pulumi.Output<string>;
  readonly clusterName: string;
  readonly #account: Account;

  constructor(name: string, args: ClusterArgs, opts?: pulumi.ComponentResourceOptions) {
    super("taskiq-aws:infra:Cluster", name, {}, opts);
    this.clusterName = args.clusterName;
    this.#account = args.account;
    const cluster = new aws.ecs.Cluster(
      name,
      // Metrics of containers cost by the metric; what the alarms need is written by the containers themselves.
      { name: args.clusterName, settings: [{ name: "containerInsights", value: "disabled" }] },
      { parent: this },
    );
    const providers = new aws.ecs.ClusterCapacityProviders(
      name,
      { clusterName: cluster.name, capacityProviders: ["FARGATE", "FARGATE_SPOT"] },
      { parent: this },
    );
    this.arn = pulumi.all([cluster.arn, providers.id]).apply(([arn]) => arn);
    this.registerOutputs({ arn: this.arn });
  }

  /** Reads and sets how many tasks a service has. */
  scaleStatement(serviceName: string): Statement {
    const { partition, region, accountId } = this.#account;
    const service = pulumi.interpolate`arn:${partition}:ecs:${region}:${accountId}:service/${this.clusterName}/${serviceName}`;
    return {
      Sid: "ScaleService",
      Effect: "Allow",
      Action: ["ecs:DescribeServices", "ecs:UpdateService"],
      Resource: [service],
    };
  }

  /**
   * Asks that a task is not scaled in. The agent of ECS makes this one call, with the role of the task that asks; it would need
   * ecs:GetTaskProtection only if a container asked it whether it is protected, and none does.
   */
  protectStatement(): Statement {
    const { partition, region, accountId } = this.#account;
    return {
      Sid: "ProtectTasks",
      Effect: "Allow",
      Action: ["ecs:UpdateTaskProtection"],
      Resource: [pulumi.interpolate`arn:${partition}:ecs:${region}:${accountId}:task/${this.clusterName}/*`],
    };
  }
}
