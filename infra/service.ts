/** An ECS service on Fargate: its task definition, and how a new one replaces the old. API and workers differ in values. */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { type Container, containerDefinitions, SCRATCH } from "./container.ts";

/** What every service of a stack has in common. */
export type ServicePlace = {
  readonly clusterArn: pulumi.Input<string>;
  readonly executionRoleArn: pulumi.Input<string>;
  readonly architecture: "ARM64" | "X86_64";
  readonly subnetIds: pulumi.Input<pulumi.Input<string>[]>;
  readonly assignPublicIp: boolean;
  /** Whether an update waits until the service runs what was deployed. */
  readonly waitForSteadyState: boolean;
};

export type CapacityShare = {
  readonly provider: "FARGATE" | "FARGATE_SPOT";
  /** So many tasks come first from here. */
  readonly base: number;
  /** Share of the others. */
  readonly weight: number;
};

export type ServiceArgs = ServicePlace & {
  readonly serviceName: string;
  /** CPU units (1024 is one vCPU) and MiB, in a combination that Fargate has. */
  readonly size: { readonly cpu: number; readonly memory: number };
  readonly taskRoleArn: pulumi.Input<string>;
  readonly containers: readonly Container[];
  readonly securityGroupId: pulumi.Input<string>;
  /** Tasks at first, or always where nobody scales the service. */
  readonly desiredCount: number;
  /** Somebody else sets the number of tasks: an update must not set it back. */
  readonly isScaled: boolean;
  readonly capacity: readonly CapacityShare[];
  /** Percent of the desired tasks that an update keeps running. */
  readonly minimumHealthyPercent: number;
  /** ECS moves tasks between zones to even them out, by stopping some. */
  readonly rebalance: boolean;
  /** Where requests come from. */
  readonly target?: {
    readonly targetGroupArn: pulumi.Input<string>;
    readonly containerName: string;
    readonly port: number;
    /** How long a new task may answer no health check. */
    readonly graceSeconds: number;
  };
};

export class Service extends pulumi.ComponentResource {
  /** An output, so that who scales the service waits for it. */
  readonly serviceName: pulumi.Output<string>;
  readonly taskDefinitionArn: pulumi.Output<string>;

  constructor(name: string, args: ServiceArgs, opts?: pulumi.ComponentResourceOptions) {
    super("taskiq-aws:infra:Service", name, {}, opts);
    const { target } = args;
    const definition = new aws.ecs.TaskDefinition(
      name,
      {
        family: args.serviceName,
        requiresCompatibilities: ["FARGATE"],
        networkMode: "awsvpc",
        cpu: String(args.size.cpu),
        memory: String(args.size.memory),
        runtimePlatform: { operatingSystemFamily: "LINUX", cpuArchitecture: args.architecture },
        executionRoleArn: args.executionRoleArn,
        taskRoleArn: args.taskRoleArn,
        containerDefinitions: containerDefinitions(args.containers),
        volumes: [{ name: SCRATCH }],
      },
      { parent: this },
    );
    const service = new aws.ecs.Service(
      name,
      {
        name: args.serviceName,
        cluster: args.clusterArn,
        taskDefinition: definition.arn,
        desiredCount: args.desiredCount,
        capacityProviderStrategies: args.capacity.map(({ provider, base, weight }) => ({
          capacityProvider: provider,
          base,
          weight,
        })),
        networkConfiguration: {
          subnets: args.subnetIds,
          securityGroups: [args.securityGroupId],
          assignPublicIp: args.assignPublicIp,
        },
        deploymentCircuitBreaker: { enable: true, rollback: true },
        deploymentMinimumHealthyPercent: args.minimumHealthyPercent,
        deploymentMaximumPercent: 200,
        availabilityZoneRebalancing: args.rebalance ? "ENABLED" : "DISABLED",
        enableEcsManagedTags: true,
        propagateTags: "SERVICE",
        // It needs a root file system that can be written, and a shell.
        enableExecuteCommand: false,
        waitForSteadyState: args.waitForSteadyState,
        // Set to 0 before it is deleted, it would be set back at once by whoever sets its number, and then not be deleted.
        forceDelete: args.isScaled,
        ...(target !== undefined && {
          loadBalancers: [
            { targetGroupArn: target.targetGroupArn, containerName: target.containerName, containerPort: target.port },
          ],
          healthCheckGracePeriodSeconds: target.graceSeconds,
        }),
      },
      { parent: this, ignoreChanges: args.isScaled ? ["desiredCount"] : [] },
    );
    this.serviceName = service.name;
    this.taskDefinitionArn = definition.arn;
    this.registerOutputs({ serviceName: this.serviceName, taskDefinitionArn: this.taskDefinitionArn });
  }
}
