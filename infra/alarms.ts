/**
 * The alarms of a stack. Which there are is data (the rules); this makes them alarms of CloudWatch. Each description
 * says what the alarm means and what to do, because that is what stands in the message somebody gets at night.
 */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { type AlarmRule, description } from "./alarm-rule.ts";
import { databaseAlarms } from "./database-alarms.ts";
import { queueAlarms } from "./queue-alarms.ts";
import { requestAlarms } from "./request-alarms.ts";
import { serviceAlarms } from "./service-alarms.ts";
import type { Metric, Watched } from "./watched.ts";

export type AlarmsArgs = Watched & {
  /** The SNS topic told when an alarm rings and when it is over. Without one they only show. */
  readonly topicArn?: pulumi.Input<string>;
};

export class Alarms extends pulumi.ComponentResource {
  readonly arns: pulumi.Output<string[]>;

  constructor(name: string, args: AlarmsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("taskiq-aws:infra:Alarms", name, {}, opts);
    const actions = args.topicArn === undefined ? {} : { alarmActions: [args.topicArn], okActions: [args.topicArn] };
    const alarms = alarmRules(args).map(
      (rule) =>
        new aws.cloudwatch.MetricAlarm(
          `${name}-${rule.id}`,
          {
            name: `${args.metrics.stack}-${rule.id}`,
            alarmDescription: description(rule),
            ...signalOf(rule),
            comparisonOperator: COMPARISONS[rule.comparison],
            threshold: rule.threshold,
            datapointsToAlarm: rule.periods[0],
            evaluationPeriods: rule.periods[1],
            treatMissingData: rule.missing,
            tags: { Severity: rule.severity },
            ...actions,
          },
          { parent: this },
        ),
    );
    this.arns = pulumi.all(alarms.map((alarm) => alarm.arn));
    this.registerOutputs({ arns: this.arns });
  }
}

/** Every alarm of a stack, in the order of infra/README.md. */
export function alarmRules(watched: Watched): AlarmRule[] {
  return [...queueAlarms(watched), ...serviceAlarms(watched), ...requestAlarms(watched), ...databaseAlarms(watched)];
}

const COMPARISONS = {
  ">": "GreaterThanThreshold",
  ">=": "GreaterThanOrEqualToThreshold",
  "<": "LessThanThreshold",
} as const;

function signalOf({ signal, periodSeconds }: AlarmRule) {
  if (!("expression" in signal)) {
    const { namespace, name, dimensions, stat } = signal;
    // Percentiles have a field of their own.
    const statistic = stat.startsWith("p") ? { extendedStatistic: stat } : { statistic: stat };
    return { namespace, metricName: name, dimensions, period: periodSeconds, ...statistic };
  }
  const inputs = Object.entries(signal.of).map(([id, { namespace, name, dimensions, stat }]: [string, Metric]) => ({
    id,
    metric: { namespace, metricName: name, dimensions, period: periodSeconds, stat },
    returnData: false,
  }));
  return {
    metricQueries: [{ id: "value", expression: signal.expression, label: "value", returnData: true }, ...inputs],
  };
}
