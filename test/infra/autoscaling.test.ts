import { describe, expect, test } from "vitest";
import { Autoscaling } from "../../infra/autoscaling.ts";
import { DEFAULT_POLICY, decide, NO_MEMORY, type ScalingPolicy } from "../../runtime/model/scaling.ts";
import { ACCOUNT, deploy, REGION } from "./support.ts";

const TARGET = "aws:appautoscaling/target:Target";
const POLICY = "aws:appautoscaling/policy:Policy";
const ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm";

function scaled(policy: ScalingPolicy = DEFAULT_POLICY) {
  return deploy(() => {
    const made = new Autoscaling("worker", {
      clusterName: "taskiq-test",
      serviceName: "taskiq-test-worker",
      policy,
      metrics: { namespace: "taskiq", stack: "taskiq-test" },
      queueNames: ["taskiq-test-default", "taskiq-test-ordered.fifo"],
    });
    return { resourceId: made.resourceId, alarmNames: made.alarmNames };
  });
}

const metric = (id: string, metricName: string, stat: string, returnData = false) => ({
  id,
  metric: { namespace: "taskiq", metricName, dimensions: { Stack: "taskiq-test" }, period: 60, stat },
  returnData,
});
const BUSY = [
  metric("running", "Running", "Sum"),
  metric("slots", "Slots", "Sum"),
  {
    id: "busy",
    expression: "IF(FILL(slots, 0) > 0, running / slots, 1)",
    label: "Busy share",
    returnData: false,
  },
];
const target = {
  serviceNamespace: "ecs",
  scalableDimension: "ecs:service:DesiredCount",
  resourceId: "service/taskiq-test/taskiq-test-worker",
};
const actionOf = (name: string) =>
  `arn:aws:autoscaling:${REGION}:${ACCOUNT}:scalingPolicy:${name}-abc1234:resource/ecs:policyName/${name}-abc1234`;
const QUEUES = "Queues: taskiq-test-default, taskiq-test-ordered.fifo.";

describe("the default policy", () => {
  test("is a target, three policies and their alarms", async () => {
    const { names, outputs } = await scaled();
    expect(names()).toEqual([
      `${POLICY} worker-age`,
      `${POLICY} worker-in`,
      `${POLICY} worker-out`,
      `${TARGET} worker`,
      `${ALARM} worker-age`,
      `${ALARM} worker-in`,
      `${ALARM} worker-out`,
      "taskiq-aws:infra:Autoscaling worker",
    ]);
    expect(outputs).toEqual({
      resourceId: target.resourceId,
      alarmNames: ["worker-out-abc1234", "worker-age-abc1234", "worker-in-abc1234"],
    });
  });

  test("hands the desired count of the service over, between the bounds", async () => {
    const { find } = await scaled();
    expect(find(TARGET).inputs).toEqual({ ...target, minCapacity: 1, maxCapacity: 20 });
  });

  test("adds workers by the size of the backlog", async () => {
    const { find } = await scaled();
    expect(find(POLICY, "worker-out").inputs).toEqual({
      ...target,
      policyType: "StepScaling",
      stepScalingPolicyConfiguration: {
        adjustmentType: "ChangeInCapacity",
        metricAggregationType: "Maximum",
        cooldown: 180,
        stepAdjustments: [
          { metricIntervalLowerBound: "0", metricIntervalUpperBound: "50", scalingAdjustment: 2 },
          { metricIntervalLowerBound: "50", metricIntervalUpperBound: "200", scalingAdjustment: 5 },
          { metricIntervalLowerBound: "200", metricIntervalUpperBound: "450", scalingAdjustment: 10 },
          { metricIntervalLowerBound: "450", scalingAdjustment: 20 },
        ],
      },
    });
    expect(find(ALARM, "worker-out").inputs).toEqual({
      alarmDescription: `Adds workers: backlog above 50. ${QUEUES}`,
      metricQueries: [metric("backlog", "Backlog", "Maximum", true)],
      comparisonOperator: "GreaterThanThreshold",
      threshold: 50,
      evaluationPeriods: 1,
      datapointsToAlarm: 1,
      treatMissingData: "notBreaching",
      alarmActions: [actionOf("worker-out")],
    });
  });

  test("adds workers where tasks grow old behind busy slots", async () => {
    const { find } = await scaled();
    expect(find(POLICY, "worker-age").inputs).toEqual({
      ...target,
      policyType: "StepScaling",
      stepScalingPolicyConfiguration: {
        adjustmentType: "ChangeInCapacity",
        metricAggregationType: "Maximum",
        cooldown: 180,
        stepAdjustments: [{ metricIntervalLowerBound: "0", scalingAdjustment: 10 }],
      },
    });
    expect(find(ALARM, "worker-age").inputs).toEqual({
      alarmDescription: `Adds 10 workers: slots are busy and a task has waited for more than 300 s. ${QUEUES}`,
      metricQueries: [
        metric("oldest", "OldestQueuedSeconds", "Maximum"),
        ...BUSY,
        {
          id: "waited",
          expression: "IF(FILL(busy, 1) >= 0.8, oldest, 0)",
          label: "Oldest queued while busy",
          returnData: true,
        },
      ],
      comparisonOperator: "GreaterThanThreshold",
      threshold: 300,
      evaluationPeriods: 1,
      datapointsToAlarm: 1,
      treatMissingData: "notBreaching",
      alarmActions: [actionOf("worker-age")],
    });
  });

  test("removes a fifth after five minutes of five that are quiet, and none while metrics are missing", async () => {
    const { find } = await scaled();
    expect(find(POLICY, "worker-in").inputs).toEqual({
      ...target,
      policyType: "StepScaling",
      stepScalingPolicyConfiguration: {
        adjustmentType: "PercentChangeInCapacity",
        minAdjustmentMagnitude: 1,
        metricAggregationType: "Maximum",
        cooldown: 300,
        stepAdjustments: [{ metricIntervalLowerBound: "0", scalingAdjustment: -20 }],
      },
    });
    expect(find(ALARM, "worker-in").inputs).toEqual({
      alarmDescription:
        "Removes workers: backlog below 10 and slots less than 80 % busy for 5 minutes. In ALARM as long as it is quiet. " +
        QUEUES,
      metricQueries: [
        metric("backlog", "Backlog", "Maximum"),
        ...BUSY,
        {
          id: "quiet",
          expression: "IF((FILL(backlog, 10) < 10) AND (FILL(busy, 1) < 0.8), 1, 0)",
          label: "Quiet",
          returnData: true,
        },
      ],
      comparisonOperator: "GreaterThanOrEqualToThreshold",
      threshold: 1,
      evaluationPeriods: 5,
      datapointsToAlarm: 5,
      treatMissingData: "notBreaching",
      alarmActions: [actionOf("worker-in")],
    });
  });
});

describe("a fleet that may sleep", () => {
  const sleepy = { ...DEFAULT_POLICY, min: 0 };

  test("is woken by the first task, without touching workers that still start", async () => {
    const { find, outputs } = await scaled(sleepy);
    expect(find(TARGET).inputs).toMatchObject({ minCapacity: 0 });
    expect(outputs.alarmNames).toHaveLength(4);
    expect(find(POLICY, "worker-wake").inputs).toEqual({
      ...target,
      policyType: "StepScaling",
      stepScalingPolicyConfiguration: {
        adjustmentType: "ChangeInCapacity",
        metricAggregationType: "Maximum",
        cooldown: 180,
        stepAdjustments: [{ metricIntervalLowerBound: "0", scalingAdjustment: 1 }],
      },
    });
    expect(find(ALARM, "worker-wake").inputs).toEqual({
      alarmDescription: `Adds the first worker: there is backlog, and no worker. ${QUEUES}`,
      metricQueries: [
        metric("backlog", "Backlog", "Maximum"),
        metric("workers", "Workers", "Maximum"),
        {
          id: "unserved",
          expression: "IF(FILL(workers, 1) == 0, FILL(backlog, 0), 0)",
          label: "Backlog without a worker",
          returnData: true,
        },
      ],
      comparisonOperator: "GreaterThanOrEqualToThreshold",
      threshold: 1,
      evaluationPeriods: 1,
      datapointsToAlarm: 1,
      treatMissingData: "notBreaching",
      alarmActions: [actionOf("worker-wake")],
    });
  });

  test("keeps its last worker while anything waits or runs", async () => {
    const { find } = await scaled(sleepy);
    expect(find(ALARM, "worker-in").inputs.metricQueries).toEqual([
      metric("backlog", "Backlog", "Maximum"),
      ...BUSY,
      metric("workers", "Workers", "Maximum"),
      {
        id: "quiet",
        expression:
          "IF((FILL(backlog, 10) < 10) AND (FILL(busy, 1) < 0.8) AND " +
          "((FILL(workers, 0) > 1) OR ((FILL(backlog, 1) == 0) AND (FILL(busy, 1) == 0))), 1, 0)",
        label: "Quiet",
        returnData: true,
      },
    ]);
  });
});

test("every number of another policy arrives in AWS's units", async () => {
  const policy: ScalingPolicy = {
    ...DEFAULT_POLICY,
    min: 3,
    max: 40,
    outAbove: 7,
    inBelow: 2,
    outCooldownMs: 60_500,
    inCooldownMs: 90_000,
    busyShare: 0.5,
    quietMs: 601_000,
    oldestAgeMs: 45_000,
    oldestAdd: 4,
    inShare: 0.29,
  };
  const { find } = await scaled(policy);
  expect(find(TARGET).inputs).toMatchObject({ minCapacity: 3, maxCapacity: 40 });
  expect(find(ALARM, "worker-out").inputs).toMatchObject({ threshold: 7 });
  expect(find(ALARM, "worker-age").inputs).toMatchObject({ threshold: 45 });
  expect(find(ALARM, "worker-in").inputs).toMatchObject({ evaluationPeriods: 11, datapointsToAlarm: 11 });
  const expressions = ["worker-age", "worker-in"].map((name) => JSON.stringify(find(ALARM, name).inputs.metricQueries));
  expect(expressions[0]).toContain("FILL(busy, 1) >= 0.5");
  expect(expressions[1]).toContain("(FILL(backlog, 2) < 2) AND (FILL(busy, 1) < 0.5)");
  const steps = (name: string) => find(POLICY, name).inputs.stepScalingPolicyConfiguration;
  expect(steps("worker-out")).toMatchObject({ cooldown: 61 });
  expect(steps("worker-age")).toMatchObject({ cooldown: 61, stepAdjustments: [{ scalingAdjustment: 4 }] });
  expect(steps("worker-in")).toMatchObject({ cooldown: 90, stepAdjustments: [{ scalingAdjustment: -29 }] });
});

test.each<[string, ScalingPolicy]>([
  ["the default", DEFAULT_POLICY],
  ["a low limit", { ...DEFAULT_POLICY, outAbove: 0, inBelow: 0 }],
  ["few workers for much backlog", { ...DEFAULT_POLICY, perWorker: 60 }],
])("AWS's reading of the step table adds what the model adds, for every backlog: %s", async (_, policy) => {
  const roomy = { ...policy, max: 1_000 };
  const { find } = await scaled(roomy);
  const { threshold } = find(ALARM, "worker-out").inputs as { threshold: number };
  const { stepAdjustments } = find(POLICY, "worker-out").inputs.stepScalingPolicyConfiguration as {
    stepAdjustments: {
      metricIntervalLowerBound: string;
      metricIntervalUpperBound?: string;
      scalingAdjustment: number;
    }[];
  };
  for (let backlog = 0; backlog <= 600; backlog++) {
    const breach = backlog - threshold;
    const step = stepAdjustments.filter(
      ({ metricIntervalLowerBound: lower, metricIntervalUpperBound: upper }) =>
        breach >= Number(lower) && (upper === undefined || breach < Number(upper)),
    );
    const added = breach > 0 ? step.map(({ scalingAdjustment }) => scalingAdjustment) : [0];
    const seen = { nowMs: 0, desired: 10, backlog, oldestAgeMs: null, running: 0, slots: 50, busyWorkers: 0 };
    expect(added).toEqual([decide(roomy, seen, NO_MEMORY).desired - 10]);
  }
});

/**
 * What CloudWatch's metric math makes of an alarm's last expression for one period; null is a missing value. Where AWS leaves open
 * what an operator does with a missing value, 0 is taken: it is the reading that would remove workers.
 */
function evaluate(queries: unknown, values: Record<string, number | null>): number {
  const scope: Record<string, number | null> = { ...values };
  const fill = (value: number | null, by: number) => value ?? by;
  const choose = (condition: boolean, yes: number, no: number) => (condition ? yes : no);
  let last = Number.NaN;
  for (const { id, expression } of queries as { id: string; expression?: string }[]) {
    if (expression === undefined) continue;
    const script = expression.replaceAll(" AND ", " && ").replaceAll(" OR ", " || ");
    last = Number(
      new Function("FILL", "IF", ...Object.keys(scope), `return ${script}`)(fill, choose, ...Object.values(scope)),
    );
    scope[id] = last;
  }
  return last;
}

describe("the expressions", () => {
  const idle = { backlog: 0, running: 0, slots: 50, workers: 10, oldest: 0 };
  const quietOf = async (policy: ScalingPolicy, values: Record<string, number | null>) => {
    const { find } = await scaled(policy);
    return evaluate(find(ALARM, "worker-in").inputs.metricQueries, { ...idle, ...values });
  };

  test.each<[number, string, Record<string, number | null>]>([
    [1, "an idle fleet", {}],
    [1, "a backlog just below the limit", { backlog: 9 }],
    [0, "a backlog at the limit", { backlog: 10 }],
    [1, "slots a little less than busy", { running: 39 }],
    [0, "busy slots", { running: 40 }],
    [0, "a backlog that nobody reports", { backlog: null }],
    [0, "workers that do not report", { running: null, slots: null }],
    [0, "no slots at all", { running: 0, slots: 0 }],
    [0, "silence", { backlog: null, running: null, slots: null, workers: null }],
  ])("give %i for scale-in: %s", async (quiet, _, values) => {
    expect(await quietOf(DEFAULT_POLICY, values)).toBe(quiet);
  });

  test.each<[number, string, Record<string, number | null>]>([
    [1, "two workers and a short queue", { workers: 2, backlog: 9 }],
    [1, "one worker and nothing to do", { workers: 1, slots: 5 }],
    [0, "one worker and a message", { workers: 1, slots: 5, backlog: 1 }],
    [0, "one worker and running work", { workers: 1, slots: 5, running: 1 }],
    [0, "an unknown number of workers and a message", { workers: null, backlog: 1 }],
    [0, "no worker", { workers: 0, slots: null, running: null }],
  ])("give %i for scale-in of a fleet that may sleep: %s", async (quiet, _, values) => {
    expect(await quietOf({ ...DEFAULT_POLICY, min: 0 }, values)).toBe(quiet);
  });

  test.each<[number, Record<string, number | null>]>([
    [400, { oldest: 400, running: 40 }],
    [0, { oldest: 400, running: 39 }],
    [400, { oldest: 400, running: null, slots: null }],
    [0, { oldest: null, running: 40 }],
  ])("give an age of %i s for %j", async (age, values) => {
    const { find } = await scaled();
    expect(evaluate(find(ALARM, "worker-age").inputs.metricQueries, { ...idle, ...values })).toBe(age);
  });

  test.each<[number, Record<string, number | null>]>([
    [3, { backlog: 3, workers: 0 }],
    [0, { backlog: 3, workers: 1 }],
    [0, { backlog: 3, workers: null }],
    [0, { backlog: null, workers: 0 }],
  ])("wake with %i for %j", async (unserved, values) => {
    const { find } = await scaled({ ...DEFAULT_POLICY, min: 0 });
    expect(evaluate(find(ALARM, "worker-wake").inputs.metricQueries, { ...idle, ...values })).toBe(unserved);
  });
});

test("every resource is a child of the component", async () => {
  const { resources } = await scaled();
  for (const { type, options } of resources) {
    const parent = (options.parent as { __name?: string } | undefined)?.__name;
    if (type !== "taskiq-aws:infra:Autoscaling") expect(parent).toBe("worker");
  }
});
