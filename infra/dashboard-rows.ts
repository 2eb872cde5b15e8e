/** What the dashboard shows, from what users feel down to what causes it: promises, flow, workers, database, API. */
import * as pulumi from "@pulumi/pulumi";
import { alarmStates, type Graph, graph, heading, type Line, logLines, type Row } from "./dashboard-widgets.ts";
import { maxConnections } from "./instance-class.ts";
import {
  databaseMetric,
  type Metric,
  ownMetric,
  queueMetric,
  requestMetric,
  serviceMetric,
  type Watched,
} from "./watched.ts";

const HEIGHT = 6;

export function dashboardRows(
  watched: Watched,
  region: pulumi.Input<string>,
  alarmArns: pulumi.Input<pulumi.Input<string>[]> | undefined,
): Row[] {
  const row = (...graphs: Graph[]): Row => ({ height: HEIGHT, widgets: graphs.map((one) => graph(region, one)) });
  return [
    ...(alarmArns === undefined ? [] : [{ height: 4, widgets: [alarmStates("Alarms", alarmArns)] }]),
    heading("## Promises"),
    row(oldest(watched), durations(watched), outcomes(watched), deadLetters(watched)),
    heading("## Flow"),
    row(backlog(watched), depth(watched), traffic(watched), outbox(watched)),
    heading("## Workers"),
    row(workers(watched), slots(watched), trouble(watched), usage(watched, "worker")),
    ...(watched.database === null
      ? []
      : [heading("## Database"), ...databaseGraphs(watched.database).map((graphs) => row(...graphs))]),
    heading("## API"),
    row(...(watched.loadBalancer === undefined ? [] : requestGraphs(watched.loadBalancer)), usage(watched, "api")),
    heading("## Deployments and errors"),
    { height: HEIGHT, widgets: logs(watched, region) },
  ];
}

const line = (label: string, metric: Metric, more: Partial<Line> = {}): Line => ({ label, ...more, metric });

function oldest(watched: Watched): Graph {
  const due = line("due and unclaimed", ownMetric(watched, "OldestQueuedSeconds", "Maximum"));
  const ages = tasksOf(watched).map((queue) =>
    line(queue.name, queueMetric(queue, "ApproximateAgeOfOldestMessage", "Maximum")),
  );
  return { title: "Oldest task", unit: "seconds", lines: [due, ...ages] };
}

/** Of the tasks that end: what SQS measures is how long messages wait, and a message may ring several times for one task, or none. */
function durations(watched: Watched): Graph {
  const lines = (name: "QueueWaitSeconds" | "RunSeconds", label: string) =>
    ["p50", "p95", "p99"].map((stat) => line(`${label} ${stat}`, ownMetric(watched, name, stat)));
  return {
    title: "Waits and runs",
    unit: "seconds",
    lines: [...lines("QueueWaitSeconds", "waited"), ...lines("RunSeconds", "ran")],
  };
}

function outcomes(watched: Watched): Graph {
  const ended = (name: "Succeeded" | "Failed") =>
    line(name.toLowerCase(), ownMetric(watched, name, "Sum"), { id: name.toLowerCase() });
  const share =
    "IF(FILL(succeeded, 0) + FILL(failed, 0) > 0, 100 * FILL(succeeded, 0) / (FILL(succeeded, 0) + FILL(failed, 0)))";
  return {
    title: "Outcomes a minute",
    unit: "attempts",
    lines: [
      ended("Succeeded"),
      ended("Failed"),
      line("retried", ownMetric(watched, "Retried", "Sum")),
      { label: "succeeded, %", expression: share, axis: "right" },
    ],
  };
}

function deadLetters(watched: Watched): Graph {
  const queues = watched.queues.filter((queue) => queue.deadLetter);
  const visible = queues.map((queue) =>
    line(queue.name, queueMetric(queue, "ApproximateNumberOfMessagesVisible", "Maximum")),
  );
  const struggling = line("third attempt or later", ownMetric(watched, "StrugglingTasks", "Maximum"));
  return { title: "Dead letters", unit: "messages", lines: [...visible, struggling] };
}

function backlog(watched: Watched): Graph {
  return {
    title: "Backlog",
    unit: "tasks",
    lines: [
      line("backlog", ownMetric(watched, "Backlog", "Maximum")),
      line("started a minute", ownMetric(watched, "Started", "Sum")),
    ],
  };
}

function depth(watched: Watched): Graph {
  const lines = tasksOf(watched).flatMap((queue) => [
    line(`${queue.name} visible`, queueMetric(queue, "ApproximateNumberOfMessagesVisible", "Maximum")),
    line(`${queue.name} in flight`, queueMetric(queue, "ApproximateNumberOfMessagesNotVisible", "Maximum")),
    line(`${queue.name} delayed`, queueMetric(queue, "ApproximateNumberOfMessagesDelayed", "Maximum")),
    ...(queue.fair === true
      ? [line(`${queue.name} busy tenants`, queueMetric(queue, "ApproximateNumberOfNoisyGroups", "Maximum"))]
      : []),
  ]);
  return { title: "Queues", unit: "messages", lines };
}

function traffic(watched: Watched): Graph {
  const lines = tasksOf(watched).flatMap((queue) =>
    (["Sent", "Received", "Deleted"] as const).map((verb) =>
      line(`${queue.name} ${verb.toLowerCase()}`, queueMetric(queue, `NumberOfMessages${verb}`, "Sum")),
    ),
  );
  return { title: "Messages a minute", unit: "messages", lines };
}

function outbox(watched: Watched): Graph {
  return {
    title: "Outbox",
    unit: "messages",
    lines: [
      line("pending", ownMetric(watched, "OutboxPending", "Maximum")),
      line("oldest due, s", ownMetric(watched, "OutboxOldestSeconds", "Maximum"), { axis: "right" }),
    ],
  };
}

function workers(watched: Watched): Graph {
  const insight = (name: string) => ({
    ...serviceMetric(watched, "worker", name, "Average"),
    namespace: "ECS/ContainerInsights",
  });
  const counted = [line("wanted", insight("DesiredTaskCount")), line("running", insight("RunningTaskCount"))];
  return {
    title: "Workers",
    unit: "workers",
    lines: [
      line("alive", ownMetric(watched, "Workers", "Maximum")),
      ...(watched.containerInsights === true ? counted : []),
    ],
    mark: { label: "maximum", value: watched.workerMax },
  };
}

function slots(watched: Watched): Graph {
  const busy = line("busy, %", ownMetric(watched, "BusyRatio", "Average"), { id: "busy", hidden: true });
  return {
    title: "Slots",
    unit: "%",
    lines: [busy, { label: "busy, %", expression: "100 * busy" }],
    mark: { label: "scaled in below", value: 80 },
  };
}

function trouble(watched: Watched): Graph {
  return {
    title: "Trouble in workers",
    unit: "count a minute",
    lines: [
      line("leases lost", ownMetric(watched, "LeasesLost", "Sum")),
      line("leases expired", ownMetric(watched, "LeasesExpired", "Sum")),
      line("leaked slots", ownMetric(watched, "LeakedSlots", "Maximum")),
      line("event loop p99, ms", ownMetric(watched, "EventLoopDelayMs", "Maximum"), { axis: "right" }),
    ],
  };
}

function usage(watched: Watched, service: "api" | "worker"): Graph {
  return {
    title: `CPU and memory, ${service}`,
    unit: "%",
    lines: [
      line("CPU", serviceMetric(watched, service, "CPUUtilization", "Average")),
      line("memory", serviceMetric(watched, service, "MemoryUtilization", "Average")),
    ],
  };
}

function databaseGraphs(database: NonNullable<Watched["database"]>): Graph[][] {
  const metric = (label: string, name: string, stat: string, more: Partial<Line> = {}) =>
    line(label, databaseMetric(database, name, stat), more);
  const admitted = database.instanceClass === undefined ? null : maxConnections(database.instanceClass);
  return [
    [
      {
        title: "Connections",
        unit: "connections",
        lines: [metric("open", "DatabaseConnections", "Maximum")],
        ...(admitted === null ? {} : { mark: { label: "admitted, about", value: admitted } }),
      },
      {
        title: "Load",
        unit: "sessions",
        lines: [
          metric("waiting or working", "DBLoad", "Average"),
          metric("working", "DBLoadCPU", "Average"),
          metric("CPU, %", "CPUUtilization", "Average", { axis: "right" }),
        ],
      },
      {
        title: "Latency",
        unit: "seconds",
        lines: [
          metric("read", "ReadLatency", "Average"),
          metric("write", "WriteLatency", "Average"),
          metric("commit log on disk, bytes", "TransactionLogsDiskUsage", "Maximum", { axis: "right" }),
        ],
      },
    ],
    [
      {
        title: "Disk",
        unit: "operations a second",
        lines: [
          metric("read", "ReadIOPS", "Average"),
          metric("write", "WriteIOPS", "Average"),
          metric("queued", "DiskQueueDepth", "Average", { axis: "right" }),
        ],
      },
      {
        title: "Left",
        unit: "bytes",
        lines: [
          metric("memory", "FreeableMemory", "Minimum"),
          metric("storage", "FreeStorageSpace", "Minimum", { axis: "right" }),
        ],
      },
      {
        title: "Transaction ids in use",
        unit: "ids",
        lines: [metric("ids", "MaximumUsedTransactionIDs", "Maximum")],
        mark: { label: "alarm", value: 500_000_000 },
      },
    ],
  ];
}

function requestGraphs(balancer: NonNullable<Watched["loadBalancer"]>): Graph[] {
  const latency = (stat: string) => line(stat, requestMetric(balancer, "targets", "TargetResponseTime", stat));
  return [
    {
      title: "Requests a minute",
      unit: "requests",
      lines: [
        line("all", requestMetric(balancer, "balancer", "RequestCount", "Sum")),
        line("4xx", requestMetric(balancer, "balancer", "HTTPCode_Target_4XX_Count", "Sum")),
        line("5xx", requestMetric(balancer, "balancer", "HTTPCode_Target_5XX_Count", "Sum")),
        line("5xx of the load balancer", requestMetric(balancer, "balancer", "HTTPCode_ELB_5XX_Count", "Sum")),
      ],
    },
    { title: "Response time", unit: "seconds", lines: ["p50", "p95", "p99"].map(latency) },
    {
      title: "Containers behind the load balancer",
      unit: "containers",
      lines: [
        line("healthy", requestMetric(balancer, "targets", "HealthyHostCount", "Minimum")),
        line("unhealthy", requestMetric(balancer, "targets", "UnHealthyHostCount", "Maximum")),
      ],
    },
  ];
}

/** CloudWatch cannot mark deployments in a graph by itself: the lines of processes that start stand below instead. */
function logs(watched: Watched, region: pulumi.Input<string>) {
  const sources = pulumi
    .all([...watched.logGroupNames])
    .apply((names) => names.map((name) => `SOURCE '${name}'`).join(" | "));
  const query = (lines: string) => pulumi.interpolate`${sources} | ${lines}`;
  return [
    logLines(
      region,
      "Starts and stops",
      query(
        'fields @timestamp, service, event, worker | filter event in ["migrate.applied", "api.started", ' +
          '"worker.started", "worker.draining", "process.stopped"] | sort @timestamp desc | limit 50',
      ),
    ),
    logLines(
      region,
      "Errors by event",
      query('filter level in ["warn", "error"] | stats count(*) as lines by event, level | sort lines desc'),
    ),
  ];
}

function tasksOf({ queues }: Watched) {
  return queues.filter((queue) => !queue.deadLetter && queue.cancel !== true);
}
