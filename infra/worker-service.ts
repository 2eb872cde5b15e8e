/** The workers. Nobody calls them; they may run on Spot, because a task whose worker goes is given back or taken over. */
import * as pulumi from "@pulumi/pulumi";
import { type Environment, PROBE_PORT } from "./environment.ts";
import { type CapacityShare, Service, type ServicePlace } from "./service.ts";
import type { ServiceLog } from "./service-log.ts";

export type WorkerServiceArgs = {
  readonly place: ServicePlace;
  readonly serviceName: string;
  readonly image: pulumi.Input<string>;
  readonly size: { readonly cpu: number; readonly memory: number };
  readonly min: number;
  readonly desired: number;
  /** Share of the workers above `min` that run on Spot, 0 to 100; 100 has all there. */
  readonly spotPercent: number;
  /** Somebody else sets the number of workers. */
  readonly isScaled: boolean;
  readonly environment: Environment;
  readonly taskRoleArn: pulumi.Input<string>;
  readonly securityGroupId: pulumi.Input<string>;
  readonly log: ServiceLog;
};

export class WorkerService extends pulumi.ComponentResource {
  readonly serviceName: pulumi.Output<string>;

  constructor(name: string, args: WorkerServiceArgs, opts?: pulumi.ComponentResourceOptions) {
    super("taskiq-aws:infra:WorkerService", name, {}, opts);
    const { image, environment, log } = args;
    const service = new Service(
      name,
      {
        ...args.place,
        serviceName: args.serviceName,
        size: args.size,
        taskRoleArn: args.taskRoleArn,
        securityGroupId: args.securityGroupId,
        containers: [
          {
            name: "worker",
            image,
            environment,
            log,
            essential: true,
            livenessUrl: `http://127.0.0.1:${PROBE_PORT}/livez`,
          },
        ],
        desiredCount: args.desired,
        isScaled: args.isScaled,
        capacity: capacity(args),
        // Work waits in the queue, so half of the workers may be replaced at a time.
        minimumHealthyPercent: 50,
        // It stops running tasks to even out zones, which costs more than it brings where nobody is served.
        rebalance: false,
      },
      { parent: this },
    );
    this.serviceName = service.serviceName;
    this.registerOutputs({ serviceName: this.serviceName });
  }
}

/** The fewest workers are not on Spot, so that a region out of it does not stop all work. */
export function capacity({ min, spotPercent }: Pick<WorkerServiceArgs, "min" | "spotPercent">): CapacityShare[] {
  const onDemand: CapacityShare = { provider: "FARGATE", base: min, weight: 100 - spotPercent };
  const spot: CapacityShare = { provider: "FARGATE_SPOT", base: 0, weight: spotPercent };
  if (spotPercent === 0) return [{ ...onDemand, base: 0, weight: 1 }];
  return spotPercent === 100 ? [{ ...spot, weight: 1 }] : [onDemand, spot];
}
