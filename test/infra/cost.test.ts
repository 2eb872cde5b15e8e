import { expect, it } from "vitest";
import { valuesOf } from "../../bench/cost-stacks.ts";
import { alarmMetrics } from "../../bench/idle-cost.ts";
import { deployProgram } from "./program.ts";

/** An alarm over metric math reads several metrics; one over a metric reads that. */
function metricsOf({ metricQueries }: { readonly metricQueries?: unknown }): number {
  return Array.isArray(metricQueries) ? metricQueries.filter((query) => "metric" in query).length : 1;
}

it.each([
  ["the default", {}],
  [
    "a stack that may sleep, with a fair queue and a fixed number of API tasks",
    {
      workerMin: 0,
      workerDesired: 0,
      apiMin: 2,
      apiMax: 2,
      cancellation: false,
      queues: [{ name: "default" }, { name: "mail", fair: true }],
    },
  ],
  ["one whose executor scales", { scalingDriver: "builtin", databaseInstanceClass: "db.r8g.large" }],
  ["one without alarms", { alarms: false }],
])("the calculator counts the alarms that the program makes: %s", async (_, config) => {
  const { all } = await deployProgram(config);
  const made = all("aws:cloudwatch/metricAlarm:MetricAlarm").reduce((sum, { inputs }) => sum + metricsOf(inputs), 0);
  // Application Auto Scaling makes two for each policy that tracks a target.
  const tracking = all("aws:appautoscaling/policy:Policy").filter(
    ({ inputs }) => inputs.policyType === "TargetTrackingScaling",
  );
  expect(alarmMetrics(valuesOf({ name: "test", config }))).toBe(made + 2 * tracking.length);
});
