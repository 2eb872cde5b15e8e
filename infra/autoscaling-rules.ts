/**
 * The scaling policy (runtime/model/scaling.ts) in the terms of CloudWatch: when an alarm rings, and what Application Auto Scaling
 * does then. Plain data: infra/autoscaling.ts makes the resources.
 *
 * Metric math takes a missing value for 0 or drops it, depending on the operator, and an alarm that misses a point looks further
 * back: so every value that may be missing is filled with the one that keeps workers, and all of it missing is "not breaching".
 */
import type * as aws from "@pulumi/aws";
import { type ScalingPolicy, scaleOutTable } from "../runtime/model/scaling.ts";

/** Where the runtime writes its metrics: TASKIQ_METRICS_NAMESPACE and, as the dimension `Stack`, TASKIQ_METRICS_STACK. */
export type MetricsSource = { readonly namespace: string; readonly stack: string };

export type ScalingRule = {
  readonly description: string;
  readonly metricQueries: aws.types.input.cloudwatch.MetricAlarmMetricQuery[];
  readonly comparisonOperator: "GreaterThanThreshold" | "GreaterThanOrEqualToThreshold";
  readonly threshold: number;
  /** So many minutes in a row, all of them. */
  readonly minutes: number;
  readonly steps: aws.types.input.appautoscaling.PolicyStepScalingPolicyConfiguration;
};

type Query = ScalingRule["metricQueries"][number];

const PERIOD_SECONDS = 60;

/** More workers by the size of the backlog. */
export function outRule(policy: ScalingPolicy, source: MetricsSource): ScalingRule {
  const table = scaleOutTable(policy);
  return {
    description: `Adds workers: backlog above ${policy.outAbove}.`,
    metricQueries: [metric(source, "backlog", "Backlog", "Maximum", true)],
    comparisonOperator: "GreaterThanThreshold",
    threshold: policy.outAbove,
    minutes: 1,
    steps: {
      ...adding(policy),
      // Bounds count from the alarm's threshold: the lower one belongs to the step, the upper one to the next.
      stepAdjustments: table.map(({ above, add }, index) => {
        const next = table[index + 1];
        return {
          metricIntervalLowerBound: String(above - policy.outAbove),
          ...(next === undefined ? {} : { metricIntervalUpperBound: String(next.above - policy.outAbove) }),
          scalingAdjustment: add,
        };
      }),
    },
  };
}

/** More workers where long tasks fill all slots behind a queue that is too short for the other rule. */
export function ageRule(policy: ScalingPolicy, source: MetricsSource): ScalingRule {
  const oldestSeconds = seconds(policy.oldestAgeMs);
  return {
    description: `Adds ${policy.oldestAdd} workers: slots are busy and a task has waited for more than ${oldestSeconds} s.`,
    metricQueries: [
      metric(source, "oldest", "OldestQueuedSeconds", "Maximum"),
      ...busyQueries(source),
      // Idle workers that leave an old task where it is would leave it there in any number.
      expression("waited", `IF(FILL(busy, 1) >= ${policy.busyShare}, oldest, 0)`, "Oldest queued while busy", true),
    ],
    comparisonOperator: "GreaterThanThreshold",
    threshold: oldestSeconds,
    minutes: 1,
    steps: {
      ...adding(policy),
      stepAdjustments: [{ metricIntervalLowerBound: "0", scalingAdjustment: policy.oldestAdd }],
    },
  };
}

/** Fewer workers, by a share of them, after minutes without backlog in which the slots were not busy either. */
export function inRule(policy: ScalingPolicy, source: MetricsSource): ScalingRule {
  const minutes = Math.max(1, Math.ceil(seconds(policy.quietMs) / PERIOD_SECONDS));
  const quiet = [`FILL(backlog, ${policy.inBelow}) < ${policy.inBelow}`, `FILL(busy, 1) < ${policy.busyShare}`];
  // The last worker of a fleet that may sleep goes only when there is nothing at all: it would be woken at once.
  if (policy.min === 0) quiet.push("(FILL(workers, 0) > 1) OR ((FILL(backlog, 1) == 0) AND (FILL(busy, 1) == 0))");
  return {
    description:
      `Removes workers: backlog below ${policy.inBelow} and slots less than ${percent(policy.busyShare)} % busy for ` +
      `${minutes} minutes. In ALARM as long as it is quiet.`,
    metricQueries: [
      metric(source, "backlog", "Backlog", "Maximum"),
      ...busyQueries(source),
      ...(policy.min === 0 ? [metric(source, "workers", "Workers", "Maximum")] : []),
      expression("quiet", `IF(${quiet.map((clause) => `(${clause})`).join(" AND ")}, 1, 0)`, "Quiet", true),
    ],
    comparisonOperator: "GreaterThanOrEqualToThreshold",
    threshold: 1,
    minutes,
    steps: {
      adjustmentType: "PercentChangeInCapacity",
      minAdjustmentMagnitude: 1,
      metricAggregationType: "Maximum",
      cooldown: seconds(policy.inCooldownMs),
      stepAdjustments: [{ metricIntervalLowerBound: "0", scalingAdjustment: -percent(policy.inShare) }],
    },
  };
}

/**
 * The first worker of a fleet that sleeps. It adds one rather than setting one: workers that are still starting report nothing, and
 * "exactly one" would take them away.
 */
export function wakeRule(policy: ScalingPolicy, source: MetricsSource): ScalingRule {
  return {
    description: "Adds the first worker: there is backlog, and no worker.",
    metricQueries: [
      metric(source, "backlog", "Backlog", "Maximum"),
      metric(source, "workers", "Workers", "Maximum"),
      expression("unserved", "IF(FILL(workers, 1) == 0, FILL(backlog, 0), 0)", "Backlog without a worker", true),
    ],
    comparisonOperator: "GreaterThanOrEqualToThreshold",
    threshold: 1,
    minutes: 1,
    steps: { ...adding(policy), stepAdjustments: [{ metricIntervalLowerBound: "0", scalingAdjustment: 1 }] },
  };
}

function adding(policy: ScalingPolicy) {
  return {
    adjustmentType: "ChangeInCapacity",
    metricAggregationType: "Maximum",
    cooldown: seconds(policy.outCooldownMs),
  };
}

/** Running work in all slots; busy where no worker reports. A worker writes both numbers in one line, so neither lacks alone. */
function busyQueries(source: MetricsSource): Query[] {
  return [
    metric(source, "running", "Running", "Sum"),
    metric(source, "slots", "Slots", "Sum"),
    expression("busy", "IF(FILL(slots, 0) > 0, running / slots, 1)", "Busy share"),
  ];
}

function metric(source: MetricsSource, id: string, metricName: string, stat: string, returnData = false): Query {
  const { namespace, stack } = source;
  return {
    id,
    metric: { namespace, metricName, dimensions: { Stack: stack }, period: PERIOD_SECONDS, stat },
    returnData,
  };
}

function expression(id: string, text: string, label: string, returnData = false): Query {
  return { id, expression: text, label, returnData };
}

/** Application Auto Scaling knows whole seconds and whole percents. */
function seconds(ms: number): number {
  return Math.ceil(ms / 1_000);
}

function percent(share: number): number {
  return Math.round(share * 100);
}
