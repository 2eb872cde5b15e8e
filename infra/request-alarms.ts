/** Alarms on what the load balancer sees of the API: this is what callers see. */
import type { AlarmRule } from "./alarm-rule.ts";
import { requestMetric, type Watched } from "./watched.ts";

const MINUTELY = { periodSeconds: 60 } as const;
const BRIEFLY = { ...MINUTELY, periods: [3, 5], missing: "notBreaching" } as const;

export function requestAlarms({ loadBalancer: balancer, requestSeconds, apiMin = 2 }: Watched): AlarmRule[] {
  if (balancer === undefined) return [];
  // With two, one may fail or be replaced; who runs one has decided otherwise.
  const healthy = Math.min(2, apiMin);
  const alarms: AlarmRule[] = [
    {
      id: "api-5xx",
      severity: "page",
      runbook: "api-errors",
      means: "More than 5 % of requests are answered with 5xx.",
      todo: "Read the API's log; check the database and the last deployment.",
      signal: {
        // Requests for which no container was healthy are not among RequestCount.
        expression:
          "IF(FILL(requests, 0) + FILL(refused, 0) >= 20, " +
          "100 * (FILL(failed, 0) + FILL(refused, 0)) / (FILL(requests, 0) + FILL(refused, 0)), 0)",
        of: {
          requests: requestMetric(balancer, "balancer", "RequestCount", "Sum"),
          failed: requestMetric(balancer, "balancer", "HTTPCode_Target_5XX_Count", "Sum"),
          refused: requestMetric(balancer, "balancer", "HTTPCode_ELB_5XX_Count", "Sum"),
        },
      },
      comparison: ">",
      threshold: 5,
      ...MINUTELY,
      periods: [2, 3],
      missing: "notBreaching",
    },
    {
      id: "api-healthy",
      severity: "page",
      runbook: "api-healthy",
      means: `Fewer than ${healthy} API containers are healthy.`,
      todo: "Read the events of the API service and what /readyz answers: usually the database.",
      signal: requestMetric(balancer, "targets", "HealthyHostCount", "Minimum"),
      comparison: "<",
      threshold: healthy,
      ...MINUTELY,
      periods: [2, 2],
      missing: "breaching",
    },
  ];
  if (requestSeconds === undefined) return alarms;
  return [
    ...alarms,
    {
      id: "api-slow",
      severity: "warn",
      runbook: "api-slow",
      means: `1 of 100 requests takes longer than ${requestSeconds} s.`,
      todo: "Compare with the database's latency and connections, and with requests that wait for tasks.",
      signal: requestMetric(balancer, "targets", "TargetResponseTime", "p99"),
      comparison: ">",
      threshold: requestSeconds,
      ...BRIEFLY,
    },
  ];
}
