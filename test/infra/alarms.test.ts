import { describe, expect, it } from "vitest";
import { type AlarmRule, description, MAX_DESCRIPTION } from "../../infra/alarm-rule.ts";
import { Alarms, type AlarmsArgs, alarmRules } from "../../infra/alarms.ts";
import type { Metric } from "../../infra/watched.ts";
import { METRICS } from "../../runtime/metrics/names.ts";
import { deploy } from "./support.ts";
import { WATCHED } from "./watched-stack.ts";

const ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm";
const TOPIC = "arn:aws:sns:us-east-1:111122223333:alarms";

const made = (args: Partial<AlarmsArgs> = {}) =>
  deploy(() => ({ arns: new Alarms("alarms", { ...WATCHED, ...args }).arns }));

const rule = (id: string, watched = WATCHED): AlarmRule => {
  const found = alarmRules(watched).find((one) => one.id === id);
  if (found === undefined) throw new Error(`no rule ${id}`);
  return found;
};

const metricsOf = ({ signal }: AlarmRule): Metric[] => ("expression" in signal ? Object.values(signal.of) : [signal]);

describe("the alarms of a stack", () => {
  it("are these", () => {
    const lines = alarmRules(WATCHED).map(
      ({ id, severity, comparison, threshold, periods, periodSeconds, missing }) =>
        `${id} ${severity} ${comparison} ${threshold} ${periods.join("/")}x${periodSeconds} ${missing}`,
    );
    expect(lines).toEqual([
      "default-oldest-300s warn > 300 3/5x60 notBreaching",
      "default-oldest-1800s page > 1800 3/5x60 notBreaching",
      "default-unconsumed page >= 1 2/2x300 notBreaching",
      "default-retention page > 302400 1/1x3600 notBreaching",
      "default-in-flight warn > 90000 3/5x60 notBreaching",
      "mail-oldest-quiet-120s page > 120 3/5x60 notBreaching",
      "mail-retention page > 86400 1/1x3600 notBreaching",
      "mail-in-flight warn > 90000 3/5x60 notBreaching",
      "ordered-retention page > 302400 1/1x3600 notBreaching",
      "ordered-in-flight warn > 90000 3/5x60 notBreaching",
      "dead-letter-visible-1 warn >= 1 1/1x60 notBreaching",
      "dead-letter-visible-100 page >= 100 1/1x60 notBreaching",
      "dead-letter-oldest-7d warn > 604800 1/1x3600 notBreaching",
      "cancel-oldest-30s warn > 30 3/5x60 notBreaching",
      "workers-silent page < 1 3/3x60 breaching",
      "executor-silent page < 1 3/3x60 breaching",
      "tasks-waiting-1800s page > 1800 3/5x60 notBreaching",
      "outbox-late page > 60 3/3x60 notBreaching",
      "struggling-tasks warn > 0 2/3x60 notBreaching",
      "leases-lost warn > 1 3/5x60 notBreaching",
      "leaked-slots warn > 0 3/3x60 notBreaching",
      "event-loop-delay warn > 1000 3/5x60 notBreaching",
      "workers-at-max warn >= 20 15/15x60 notBreaching",
      "api-cpu warn > 85 5/5x60 missing",
      "api-memory warn > 85 5/5x60 missing",
      "api-too-few page > 0 10/10x60 breaching",
      "worker-cpu warn > 85 5/5x60 missing",
      "worker-memory warn > 85 5/5x60 missing",
      "worker-too-few page > 0 10/10x60 breaching",
      "api-5xx page > 5 2/3x60 notBreaching",
      "api-healthy page < 2 2/2x60 breaching",
      "api-slow warn > 5 3/5x60 notBreaching",
      "database-cpu warn > 80 5/5x60 missing",
      "database-write-latency warn > 0.02 3/5x60 missing",
      "database-transaction-ids page > 500000000 1/1x300 notBreaching",
      "database-connections page > 144 3/5x60 missing",
      "database-memory warn < 214748364 5/5x60 missing",
      "database-storage page < 4294967296 5/5x60 missing",
      "database-credits warn >= 1 3/3x300 missing",
    ]);
  });

  it("each become one alarm with a name of its own, in the order of nothing but the rules", async () => {
    const { all, names, outputs } = await made();
    const rules = alarmRules(WATCHED);
    expect(all(ALARM).map(({ inputs }) => inputs.name)).toEqual(rules.map(({ id }) => `taskiq-test-${id}`).sort());
    expect(names()).toHaveLength(rules.length + 1);
    expect(outputs.arns).toEqual(
      rules.map(({ id }) => `arn:aws:cloudwatch:us-east-1:111122223333:alarm:taskiq-test-${id}`),
    );
  });
});

describe("an alarm on one metric", () => {
  it("is what CloudWatch's PutMetricAlarm takes", async () => {
    const { find } = await made({ topicArn: TOPIC });
    expect(find(ALARM, "alarms-default-oldest-300s").inputs).toEqual({
      name: "taskiq-test-default-oldest-300s",
      alarmDescription:
        'WARN: Tasks of queue "default" wait more than 5 minutes for a worker. ' +
        "Compare workers with their maximum and look for long or failing tasks. " +
        "Runbook: infra/README.md#alarm-oldest-message",
      namespace: "AWS/SQS",
      metricName: "ApproximateAgeOfOldestMessage",
      dimensions: { QueueName: "taskiq-test-default" },
      statistic: "Maximum",
      period: 60,
      comparisonOperator: "GreaterThanThreshold",
      threshold: 300,
      datapointsToAlarm: 3,
      evaluationPeriods: 5,
      treatMissingData: "notBreaching",
      tags: { Severity: "warn" },
      alarmActions: [TOPIC],
      okActions: [TOPIC],
    });
  });

  it("names a percentile where CloudWatch wants it", async () => {
    const { inputs } = (await made()).find(ALARM, "alarms-api-slow");
    expect(inputs.extendedStatistic).toBe("p99");
    expect(inputs).not.toHaveProperty("statistic");
  });
});

describe("an alarm on an expression", () => {
  it("returns the expression, and its metrics only to it", async () => {
    const { inputs } = (await made()).find(ALARM, "alarms-default-unconsumed");
    const metric = (metricName: string, stat: string) => ({
      namespace: "AWS/SQS",
      metricName,
      dimensions: { QueueName: "taskiq-test-default" },
      period: 300,
      stat,
    });
    expect(inputs.metricQueries).toEqual([
      {
        id: "value",
        expression: "IF(FILL(visible, 0) > 0 AND FILL(deleted, 0) < 1, 1, 0)",
        label: "value",
        returnData: true,
      },
      { id: "visible", metric: metric("ApproximateNumberOfMessagesVisible", "Minimum"), returnData: false },
      { id: "deleted", metric: metric("NumberOfMessagesDeleted", "Sum"), returnData: false },
    ]);
    for (const key of ["metricName", "namespace", "period", "statistic"]) expect(inputs).not.toHaveProperty(key);
  });

  it("uses each of its metrics and no other", () => {
    for (const { id, signal } of alarmRules(WATCHED)) {
      if (!("expression" in signal)) continue;
      const used = new Set(signal.expression.match(/\b[a-z]\w*\b/g));
      expect({ id, used }).toEqual({ id, used: new Set(Object.keys(signal.of)) });
      // CloudWatch: a letter in lower case, then letters, digits and underscores.
      for (const name of Object.keys(signal.of)) expect(name).toMatch(/^[a-z]\w{0,254}$/);
    }
  });
});

describe("the share of leases that are lost", () => {
  const { signal } = rule("leases-lost");
  const expression = "expression" in signal ? signal.expression : "";
  /** As CloudWatch works it out, for one minute. */
  function share(values: { lost?: number; expired?: number; started?: number }): number {
    const text = expression.replaceAll(/FILL\((\w+), 0\)/g, (_, name: keyof typeof values) =>
      String(values[name] ?? 0),
    );
    const tokens = text.match(/IF|\d+|[()+*/>,]/g) ?? [];
    const value = compare();
    expect(tokens).toEqual([]);
    return value;

    function compare(): number {
      const left = sum();
      if (tokens[0] !== ">") return left;
      tokens.shift();
      return left > sum() ? 1 : 0;
    }
    function sum(): number {
      let left = product();
      while (tokens[0] === "+") {
        tokens.shift();
        left += product();
      }
      return left;
    }
    function product(): number {
      let left = one();
      while (tokens[0] === "*" || tokens[0] === "/") left = tokens.shift() === "*" ? left * one() : left / one();
      return left;
    }
    function one(): number {
      const token = tokens.shift();
      if (token !== "IF" && token !== "(") return Number(token);
      if (token === "IF") tokens.shift();
      const of: number[] = [];
      for (let next: string | undefined = ","; next === ","; next = tokens.shift()) of.push(compare());
      return token === "IF" ? Number(of[0] === 0 ? of[2] : of[1]) : Number(of[0]);
    }
  }

  it("is none while all is well, and where nothing was started", () => {
    expect(share({ started: 500 })).toBe(0);
    expect(share({})).toBe(0);
  });

  it("counts those of workers that are gone, of which only the executor knows", () => {
    expect(share({ expired: 10, started: 500 })).toBe(2);
  });

  it("counts those of workers that notice by themselves, and the same ones once", () => {
    expect(share({ lost: 10, started: 500 })).toBe(2);
    expect(share({ lost: 10, expired: 10, started: 500 })).toBe(2);
  });

  it("is at most all of them", () => {
    expect(share({ lost: 3 })).toBe(100);
    expect(share({ expired: 3, started: 1 })).toBe(100);
  });
});

describe("every alarm", () => {
  const rules = alarmRules(WATCHED);

  it("says what it means, what to do and where to read more, on one line that CloudWatch takes", () => {
    for (const one of rules) {
      const text = description(one);
      expect(text).toMatch(/^(PAGE|WARN): .+\. .+\. Runbook: infra\/README\.md#alarm-[a-z0-9-]+$/);
      expect(text.length).toBeLessThanOrEqual(MAX_DESCRIPTION);
    }
  });

  it("rings after no more periods than it looks at, within what CloudWatch evaluates", () => {
    for (const { id, periods, periodSeconds } of rules) {
      const [beyond, of] = periods;
      expect({ id, isPossible: beyond >= 1 && beyond <= of }).toEqual({ id, isPossible: true });
      // A day for periods under an hour, a week for longer ones.
      expect(of * periodSeconds).toBeLessThanOrEqual(periodSeconds < 3_600 ? 86_400 : 604_800);
      expect([10, 20, 30].includes(periodSeconds) || periodSeconds % 60 === 0).toBe(true);
    }
  });

  it("on a metric of ours names one that the runtime writes, with its dimensions", () => {
    const own = rules.flatMap(metricsOf).filter(({ namespace }) => namespace === "taskiq");
    expect(own.length).toBeGreaterThan(8);
    for (const { name, dimensions } of own) {
      expect(Object.keys(METRICS)).toContain(name);
      expect(Object.keys(dimensions)).toEqual(METRICS[name as keyof typeof METRICS].dimensions);
    }
  });

  it("on a metric of AWS has the dimensions under which the service publishes it", () => {
    const dimensions: Record<string, string[][]> = {
      "AWS/SQS": [["QueueName"]],
      "AWS/ECS": [["ClusterName", "ServiceName"]],
      "ECS/ContainerInsights": [["ClusterName", "ServiceName"]],
      "AWS/RDS": [["DBInstanceIdentifier"]],
      "AWS/ApplicationELB": [["LoadBalancer"], ["LoadBalancer", "TargetGroup"]],
    };
    for (const metric of rules.flatMap(metricsOf)) {
      if (metric.namespace === "taskiq") continue;
      expect(dimensions[metric.namespace]).toContainEqual(Object.keys(metric.dimensions));
    }
  });

  it("has an id that no other has", () => {
    expect(new Set(rules.map(({ id }) => id)).size).toBe(rules.length);
  });
});

describe("what a stack lacks", () => {
  const idsOf = (change: Partial<AlarmsArgs>) => alarmRules({ ...WATCHED, ...change }).map(({ id }) => id);

  it("has no alarms: a database elsewhere, no load balancer, no queues, no Container Insights", () => {
    expect(idsOf({ database: null }).filter((id) => id.startsWith("database"))).toEqual([]);
    expect(idsOf({ queues: [] })[0]).toBe("workers-silent");
    expect(idsOf({ containerInsights: false }).filter((id) => id.endsWith("too-few"))).toEqual([]);
    const { loadBalancer: _, ...unbalanced } = WATCHED;
    const ids = alarmRules(unbalanced).map(({ id }) => id);
    expect(ids.filter((id) => ["api-5xx", "api-healthy", "api-slow"].includes(id))).toEqual([]);
  });

  it("leaves out only what cannot be compared, where a database's class is not known", () => {
    expect(idsOf({ database: { instanceId: "orders" } }).filter((id) => id.startsWith("database"))).toEqual([
      "database-cpu",
      "database-write-latency",
      "database-transaction-ids",
    ]);
  });

  it("leaves out the credits of a class that has none", () => {
    const database = { instanceId: "orders", instanceClass: "db.m7g.large", storageGb: 100 };
    expect(idsOf({ database })).not.toContain("database-credits");
  });

  it("watches response times only where a limit is given: waiting for a task makes a slow request", () => {
    const { requestSeconds: _, ...without } = WATCHED;
    expect(alarmRules(without).map(({ id }) => id)).not.toContain("api-slow");
  });

  it("has no actions without a topic", async () => {
    const { inputs } = (await made()).find(ALARM, "alarms-workers-silent");
    expect(inputs).not.toHaveProperty("alarmActions");
    expect(inputs).not.toHaveProperty("okActions");
  });
});

describe("silence", () => {
  it("of workers counts as none alive, because it is", () => {
    expect(rule("workers-silent")).toMatchObject({
      signal: { name: "Running", stat: "SampleCount" },
      comparison: "<",
      threshold: 1,
      missing: "breaching",
    });
  });

  it("of workers that may all sleep is an alarm only while something is queued", () => {
    expect(rule("workers-silent", { ...WATCHED, workerMin: 0 })).toMatchObject({
      signal: { expression: "IF(FILL(backlog, 0) > 0 AND FILL(lines, 0) < 1, 1, 0)" },
      periods: [10, 10],
      missing: "notBreaching",
    });
  });
});

describe("the wanted number of healthy containers", () => {
  it.each([
    [1, 1],
    [2, 2],
    [6, 2],
  ])("with at least %i API tasks is %i", (apiMin, expected) => {
    expect(rule("api-healthy", { ...WATCHED, apiMin }).threshold).toBe(expected);
  });
});
