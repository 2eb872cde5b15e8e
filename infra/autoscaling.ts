/**
 * The scaling policy run by CloudWatch and Application Auto Scaling: the driver for a worker service that nobody else scales. The
 * executor's own scaler is the other driver; with both, each would undo what the other did.
 *
 * Everything is read from the metrics that the executor and the workers write, because SQS's count of messages in flight is no
 * measure of work: messages are deleted when they are claimed. What is missing adds no worker and removes none.
 *
 * An alarm repeats its scaling action every minute while it is in ALARM. The one for scale-in is in ALARM all through a quiet
 * night; that is how a fleet at its minimum looks, and nobody needs to be woken.
 */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import type { ScalingPolicy } from "../runtime/model/scaling.ts";
import { ageRule, inRule, type MetricsSource, outRule, type ScalingRule, wakeRule } from "./autoscaling-rules.ts";

export type AutoscalingArgs = {
  readonly clusterName: pulumi.Input<string>;
  /** An output of the service: ECS must know it before its count can be handed over. */
  readonly serviceName: pulumi.Input<string>;
  readonly policy: ScalingPolicy;
  readonly metrics: MetricsSource;
  /** The queues that the backlog is counted over, for the alarm's description. */
  readonly queueNames: readonly string[];
};

export class Autoscaling extends pulumi.ComponentResource {
  /** `service/CLUSTER/SERVICE`, as Application Auto Scaling calls the service. */
  readonly resourceId: pulumi.Output<string>;
  readonly alarmNames: pulumi.Output<string[]>;

  constructor(name: string, args: AutoscalingArgs, opts?: pulumi.ComponentResourceOptions) {
    super("taskiq-aws:infra:Autoscaling", name, {}, opts);
    const { policy, metrics, queueNames } = args;
    const target = new aws.appautoscaling.Target(
      name,
      {
        serviceNamespace: "ecs",
        scalableDimension: "ecs:service:DesiredCount",
        resourceId: pulumi.interpolate`service/${args.clusterName}/${args.serviceName}`,
        minCapacity: policy.min,
        maxCapacity: policy.max,
      },
      { parent: this },
    );
    const rules = new Map([
      ["out", outRule(policy, metrics)],
      ["age", ageRule(policy, metrics)],
      ["in", inRule(policy, metrics)],
    ]);
    if (policy.min === 0) rules.set("wake", wakeRule(policy, metrics));
    const alarms = [...rules].map(([suffix, rule]) => this.#apply(`${name}-${suffix}`, rule, target, queueNames));
    this.resourceId = target.resourceId;
    this.alarmNames = pulumi.all(alarms.map((alarm) => alarm.name));
    this.registerOutputs({ resourceId: this.resourceId, alarmNames: this.alarmNames });
  }

  #apply(name: string, rule: ScalingRule, target: aws.appautoscaling.Target, queueNames: readonly string[]) {
    const policy = new aws.appautoscaling.Policy(
      name,
      {
        policyType: "StepScaling",
        // From the target, so that it exists first.
        serviceNamespace: target.serviceNamespace,
        scalableDimension: target.scalableDimension,
        resourceId: target.resourceId,
        stepScalingPolicyConfiguration: rule.steps,
      },
      { parent: this },
    );
    return new aws.cloudwatch.MetricAlarm(
      name,
      {
        alarmDescription: `${rule.description} Queues: ${queueNames.join(", ")}.`,
        metricQueries: rule.metricQueries,
        comparisonOperator: rule.comparisonOperator,
        threshold: rule.threshold,
        evaluationPeriods: rule.minutes,
        datapointsToAlarm: rule.minutes,
        treatMissingData: "notBreaching",
        alarmActions: [policy.arn],
      },
      { parent: this },
    );
  }
}
