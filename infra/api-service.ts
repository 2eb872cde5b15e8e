/**
 * The API with the executor loops, behind the load balancer. A task migrates the database before it serves: the init
 * container runs first, and when it fails no new container starts, the circuit breaker sees it and rolls back.
 */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { API_PORT, type Environment } from "./environment.ts";
import { Service, type ServicePlace } from "./service.ts";
import type { ServiceLog } from "./service-log.ts";

export type ApiServiceArgs = {
  readonly place: ServicePlace;
  readonly serviceName: string;
  readonly clusterName: string;
  readonly image: pulumi.Input<string>;
  readonly size: { readonly cpu: number; readonly memory: number };
  /** Tasks; between the two they follow the CPU load. */
  readonly min: number;
  readonly max: number;
  readonly environment: Environment;
  readonly migrateEnvironment: Environment;
  readonly taskRoleArn: pulumi.Input<string>;
  readonly securityGroupId: pulumi.Input<string>;
  readonly targetGroupArn: pulumi.Input<string>;
  readonly log: ServiceLog;
};

/** Above what a task may wait for a migration before it listens (TASKIQ_SCHEMA_WAIT_MS, 300 s). */
const GRACE_SECONDS = 330;
const CPU_PERCENT = 60;

export class ApiService extends pulumi.ComponentResource {
  readonly serviceName: pulumi.Output<string>;

  constructor(name: string, args: ApiServiceArgs, opts?: pulumi.ComponentResourceOptions) {
    super("taskiq-aws:infra:ApiService", name, {}, opts);
    const { image, log } = args;
    const isScaled = args.max > args.min;
    const service = new Service(
      name,
      {
        ...args.place,
        serviceName: args.serviceName,
        size: args.size,
        taskRoleArn: args.taskRoleArn,
        securityGroupId: args.securityGroupId,
        // An emulator sends callers to the first one.
        containers: [
          {
            name: "api",
            image,
            environment: args.environment,
            log,
            essential: true,
            after: "migrate",
            port: API_PORT,
            livenessUrl: `http://127.0.0.1:${API_PORT}/livez`,
          },
          { name: "migrate", image, environment: args.migrateEnvironment, log, essential: false },
        ],
        desiredCount: args.min,
        isScaled,
        // Spot is for work that can be started again; callers cannot.
        capacity: [{ provider: "FARGATE", base: 0, weight: 1 }],
        minimumHealthyPercent: 100,
        rebalance: true,
        target: {
          targetGroupArn: args.targetGroupArn,
          containerName: "api",
          port: API_PORT,
          graceSeconds: GRACE_SECONDS,
        },
      },
      { parent: this },
    );
    this.serviceName = service.serviceName;
    if (isScaled) this.#followLoad(name, args);
    this.registerOutputs({ serviceName: this.serviceName });
  }

  #followLoad(name: string, { clusterName, min, max }: ApiServiceArgs): void {
    const target = new aws.appautoscaling.Target(
      name,
      {
        serviceNamespace: "ecs",
        scalableDimension: "ecs:service:DesiredCount",
        resourceId: pulumi.interpolate`service/${clusterName}/${this.serviceName}`,
        minCapacity: min,
        maxCapacity: max,
      },
      { parent: this },
    );
    new aws.appautoscaling.Policy(
      `${name}-cpu`,
      {
        policyType: "TargetTrackingScaling",
        serviceNamespace: target.serviceNamespace,
        scalableDimension: target.scalableDimension,
        resourceId: target.resourceId,
        targetTrackingScalingPolicyConfiguration: {
          predefinedMetricSpecification: { predefinedMetricType: "ECSServiceAverageCPUUtilization" },
          targetValue: CPU_PERCENT,
          scaleOutCooldown: 60,
          scaleInCooldown: 300,
        },
      },
      { parent: this },
    );
  }
}
