/** Alarms on the two services: what their containers write, and what ECS measures. */
import type { AlarmRule } from "./alarm-rule.ts";
import { type Metric, ownMetric, serviceMetric, type Watched } from "./watched.ts";

const MINUTELY = { periodSeconds: 60 } as const;
const BRIEFLY = { ...MINUTELY, periods: [3, 5], missing: "notBreaching" } as const;
const STEADILY = { ...MINUTELY, periods: [3, 3], missing: "notBreaching" } as const;

export function serviceAlarms(watched: Watched): AlarmRule[] {
  return [
    silentWorkers(watched),
    ...ownAlarms(watched),
    ...ecsAlarms(watched, "api"),
    ...ecsAlarms(watched, "worker"),
    ...groupAlarms(watched),
  ];
}

/** Each further worker service is watched as the first is. */
function groupAlarms(watched: Watched): AlarmRule[] {
  return (watched.workerGroups ?? []).flatMap(({ name, serviceName }) => {
    const serviceNames = { ...watched.serviceNames, worker: serviceName };
    return ecsAlarms({ ...watched, serviceNames }, "worker", `worker-${name}`);
  });
}

/** Every worker writes a line every 20 s, so that none at all means that none lives. */
function silentWorkers(watched: Watched): AlarmRule {
  const lines = ownMetric(watched, "Running", "SampleCount");
  const rule = {
    id: "workers-silent",
    severity: "page",
    runbook: "workers-silent",
    todo: "Read the events of the worker service and the last lines of its log.",
  } as const;
  if ((watched.workerMin ?? 1) > 0) {
    const means = "No worker has given a sign of life for 3 minutes.";
    const whenSilent = { comparison: "<", threshold: 1, ...MINUTELY, periods: [3, 3], missing: "breaching" } as const;
    return { ...rule, means, signal: lines, ...whenSilent };
  }
  return {
    ...rule,
    means: "Tasks are queued and for 10 minutes no worker has given a sign of life.",
    signal: {
      expression: "IF(FILL(backlog, 0) > 0 AND FILL(lines, 0) < 1, 1, 0)",
      of: { backlog: ownMetric(watched, "Backlog", "Minimum"), lines },
    },
    comparison: ">=",
    threshold: 1,
    ...MINUTELY,
    periods: [10, 10],
    missing: "notBreaching",
  };
}

function ownAlarms(watched: Watched): AlarmRule[] {
  const highest = (name: string): Metric => ownMetric(watched, name, "Maximum");
  return [
    {
      id: "executor-silent",
      severity: "page",
      runbook: "executor-silent",
      means: "For 3 minutes no executor has counted the backlog: nobody announces, reaps or prunes.",
      todo: "Read the events of the API service and its log; check that it reaches the database.",
      signal: ownMetric(watched, "Backlog", "SampleCount"),
      comparison: "<",
      threshold: 1,
      ...STEADILY,
      missing: "breaching",
    },
    {
      id: "tasks-waiting-1800s",
      severity: "page",
      runbook: "tasks-waiting",
      means: "A task has been due for more than 30 minutes and no worker has claimed it.",
      todo: "Find its queue and name in the list of tasks; look for a limit, an unknown name or too few workers.",
      signal: highest("OldestQueuedSeconds"),
      comparison: ">",
      threshold: 1_800,
      ...BRIEFLY,
    },
    {
      id: "outbox-late",
      severity: "page",
      runbook: "outbox-late",
      means: "Messages have been due in the outbox for more than a minute: accepted tasks are not announced.",
      todo: "Look for announce.failed in the API's log: SQS, its permissions or the network.",
      signal: highest("OutboxOldestSeconds"),
      comparison: ">",
      threshold: 60,
      ...STEADILY,
    },
    {
      id: "struggling-tasks",
      severity: "warn",
      runbook: "struggling-tasks",
      means: "Tasks are in their third attempt or a later one.",
      todo: "Find them in the list of tasks and read their last error before their attempts are spent.",
      signal: highest("StrugglingTasks"),
      comparison: ">",
      threshold: 0,
      ...MINUTELY,
      periods: [2, 3],
      missing: "notBreaching",
    },
    {
      id: "leases-lost",
      severity: "warn",
      runbook: "leases-lost",
      means: "More than 1 % of attempts lose their lease: workers die, block or lose the database.",
      todo: "Look for task.lost, eventloop.blocked and heartbeat.failed in the workers' log.",
      // A worker that is gone says nothing of its attempts: whoever recovers them does. One that was only silent says it too, of the same ones.
      signal: {
        expression:
          "IF(FILL(lost, 0) + FILL(expired, 0) > 0, 100 * IF(FILL(lost, 0) > FILL(expired, 0), FILL(lost, 0), FILL(expired, 0)) / " +
          "IF(FILL(started, 0) > FILL(lost, 0) + FILL(expired, 0), FILL(started, 0), FILL(lost, 0) + FILL(expired, 0)), 0)",
        of: {
          lost: ownMetric(watched, "LeasesLost", "Sum"),
          expired: ownMetric(watched, "LeasesExpired", "Sum"),
          started: ownMetric(watched, "Started", "Sum"),
        },
      },
      comparison: ">",
      threshold: 1,
      ...BRIEFLY,
    },
    {
      id: "leaked-slots",
      severity: "warn",
      runbook: "leaked-slots",
      means: "Handlers ignore that they were aborted and keep their worker's slots.",
      todo: "Look for slot.leaked in the workers' log; make the handler heed ctx.signal or run it as a process.",
      signal: highest("LeakedSlots"),
      comparison: ">",
      threshold: 0,
      ...STEADILY,
    },
    {
      id: "event-loop-delay",
      severity: "warn",
      runbook: "event-loop-delay",
      means: "A worker's event loop stands still for more than a second: leases are renewed on it.",
      todo: "Look for eventloop.blocked in the workers' log and run that task as a process.",
      signal: highest("EventLoopDelayMs"),
      comparison: ">",
      threshold: 1_000,
      ...BRIEFLY,
    },
    {
      id: "workers-at-max",
      severity: "warn",
      runbook: "workers-at-max",
      means: "For 15 minutes as many workers run as are allowed.",
      todo: "If tasks wait, raise the maximum; the database must have the connections for it.",
      signal: highest("Workers"),
      comparison: ">=",
      threshold: watched.workerMax,
      ...MINUTELY,
      periods: [15, 15],
      missing: "notBreaching",
    },
  ];
}

function ecsAlarms(watched: Watched, service: "api" | "worker", label: string = service): AlarmRule[] {
  const inUse = (name: "CPU" | "memory", metricName: string): AlarmRule => ({
    id: `${label}-${name.toLowerCase()}`,
    severity: "warn",
    runbook: "container-size",
    means: `The ${label} service uses more than 85 % of its ${name}.`,
    todo: `Give its containers more ${name}, or run more of them.`,
    signal: serviceMetric(watched, service, metricName, "Average"),
    comparison: ">",
    threshold: 85,
    ...MINUTELY,
    periods: [5, 5],
    missing: "missing",
  });
  const insight = (name: string): Metric => ({
    ...serviceMetric(watched, service, name, "Minimum"),
    namespace: "ECS/ContainerInsights",
  });
  const tooFew: AlarmRule = {
    id: `${label}-too-few`,
    severity: "page",
    runbook: "too-few-tasks",
    means: `For 10 minutes fewer ${label} containers run than are wanted.`,
    todo: "Read the events of the service: capacity, a failing image, health checks.",
    signal: {
      expression: "desired - running",
      of: { desired: insight("DesiredTaskCount"), running: insight("RunningTaskCount") },
    },
    comparison: ">",
    threshold: 0,
    ...MINUTELY,
    periods: [10, 10],
    missing: "breaching",
  };
  const usage = [inUse("CPU", "CPUUtilization"), inUse("memory", "MemoryUtilization")];
  return watched.containerInsights === true ? [...usage, tooFew] : usage;
}
