/**
 * What a stack costs in a month in which nobody submits a task. Alarms, metrics and log lines are counted by the code that
 * makes them, so that the table follows when one is added.
 */
import { alarmRules } from "../infra/alarms.ts";
import {
  ageRule,
  inRule,
  type MetricsSource,
  outRule,
  type ScalingRule,
  wakeRule,
} from "../infra/autoscaling-rules.ts";
import type { Values } from "../infra/config-keys.ts";
import type { Watched, WatchedQueue } from "../infra/watched.ts";
import { createEmf, type MetricValues } from "../runtime/metrics/emf.ts";
import { METRICS, type Metric, type MetricName } from "../runtime/metrics/names.ts";
import { DEFAULT_POLICY } from "../runtime/model/scaling.ts";
import { databasePrice, PRICES } from "./prices.ts";

export type Part =
  | "API containers"
  | "worker containers"
  | "database"
  | "load balancer"
  | "way to AWS"
  | "alarms"
  | "metrics"
  | "dashboard"
  | "logs"
  | "secret"
  | "polling SQS"
  | "image";

/** Hours of an average month. */
export const HOURS = 730;
const SECONDS = HOURS * 3_600;
/** A VPC that is made has two zones unless it names them; a given one is taken to have as many as it names subnets. */
const ZONES = 2;
/** TASKIQ_METRICS_INTERVAL_MS, and the long poll of a worker, both at their defaults. */
const METRICS_SECONDS = 20;
const POLL_SECONDS = 20;
/** Interface endpoints of a VPC without a way out (infra/endpoints.ts). */
const ENDPOINTS = 6;
const IMAGE_GB = 0.28;
/** Alarms that Application Auto Scaling makes for a target that it tracks. */
const TRACKING_ALARMS = 2;

/** US dollars a month by part; a part that the stack lacks is 0. */
export function idleCost(values: Values): Record<Part, number> {
  return {
    "API containers": values.apiMin * containerCost(values, values.apiCpu, values.apiMemory) * HOURS,
    "worker containers": values.workerMin * containerCost(values, values.workerCpu, values.workerMemory) * HOURS,
    database: databaseCost(values),
    "load balancer":
      PRICES.loadBalancer.usd * HOURS + (values.publicApi ? ZONES * PRICES.publicAddress.usd * HOURS : 0),
    "way to AWS": exitCost(values),
    alarms: alarmMetrics(values) * PRICES.alarmMetric.usd,
    metrics: customMetrics(values) * PRICES.metric.usd,
    dashboard: values.dashboard ? PRICES.dashboard.usd : 0,
    logs: (logBytes(values) / 1e9) * PRICES.logIngestion.usd,
    secret: values.databaseUrl === null ? PRICES.secret.usd : 0,
    "polling SQS": (sqsRequests(values) / 1e6) * PRICES.sqsStandard.usd,
    image: values.image === null ? IMAGE_GB * PRICES.registryStorage.usd : 0,
  };
}

/** US dollars an hour of one container on Fargate; `cpu` in units of 1/1024 vCPU, `memory` in MiB. */
export function containerCost(
  { cpuArchitecture }: Pick<Values, "cpuArchitecture">,
  cpu: number,
  memory: number,
): number {
  const [cpuPrice, memoryPrice] =
    cpuArchitecture === "ARM64"
      ? [PRICES.fargateArmCpu, PRICES.fargateArmMemory]
      : [PRICES.fargateX86Cpu, PRICES.fargateX86Memory];
  return (cpu / 1_024) * cpuPrice.usd + (memory / 1_024) * memoryPrice.usd;
}

/** A standby costs as much as the instance, and has a disk of its own. Backups up to the size of the disk are free. */
function databaseCost({ databaseUrl, databaseInstanceClass, databaseStorageGb, databaseMultiAz }: Values): number {
  if (databaseUrl !== null) return 0;
  const one = databasePrice(databaseInstanceClass).usd * HOURS + databaseStorageGb * PRICES.databaseStorage.usd;
  return one * (databaseMultiAz ? 2 : 1);
}

/** NAT gateways with their addresses, or endpoints, or an address for each container in a default VPC. */
function exitCost({ vpcId, natGateways, availabilityZones, apiMin, workerMin }: Values): number {
  if (vpcId === "default") return (apiMin + workerMin) * PRICES.publicAddress.usd * HOURS;
  // In a VPC that exists somebody else pays for the way out.
  if (vpcId !== null) return 0;
  const zones = availabilityZones.length > 0 ? availabilityZones.length : ZONES;
  if (natGateways === "none") return ENDPOINTS * zones * PRICES.endpoint.usd * HOURS;
  return (natGateways === "single" ? 1 : zones) * (PRICES.natGateway.usd + PRICES.publicAddress.usd) * HOURS;
}

/** CloudWatch bills an alarm by the metrics it reads. */
export function alarmMetrics(values: Values): number {
  const { alarms, apiMin, apiMax, scalingDriver } = values;
  const rules = alarms ? alarmRulesOf(values) : [];
  const watching = rules.reduce((sum, { signal }) => sum + ("of" in signal ? Object.keys(signal.of).length : 1), 0);
  const scaling = scalingDriver === "cloudwatch" ? scalingRules(values) : [];
  const scalingMetrics = scaling.flatMap(({ metricQueries }) => [...metricQueries]).filter((one) => "metric" in one);
  return watching + scalingMetrics.length + (apiMax > apiMin ? TRACKING_ALARMS : 0);
}

/** As the program has them; a test compares the counts. */
function alarmRulesOf(values: Values) {
  const watched: Watched = {
    metrics: { namespace: "taskiq", stack: "taskiq" },
    queues: watchedQueues(values),
    loadBalancer: { arnSuffix: "", targetGroupArnSuffix: "" },
    clusterName: "taskiq",
    serviceNames: { api: "taskiq-api", worker: "taskiq-worker" },
    database:
      values.databaseUrl === null
        ? { instanceId: "taskiq", instanceClass: values.databaseInstanceClass, storageGb: values.databaseStorageGb }
        : null,
    logGroupNames: [],
    apiMin: values.apiMin,
    workerMin: values.workerMin,
    workerMax: values.workerMax,
  };
  return alarmRules(watched);
}

function scalingRules({ workerMin, workerMax }: Values): ScalingRule[] {
  const source: MetricsSource = { namespace: "taskiq", stack: "taskiq" };
  const policy = { ...DEFAULT_POLICY, min: workerMin, max: workerMax };
  const rules = [outRule, ageRule, inRule, ...(workerMin === 0 ? [wakeRule] : [])];
  return rules.map((rule) => rule(policy, source));
}

function watchedQueues({ queues, cancellation, retentionSeconds }: Values): WatchedQueue[] {
  const types = (["standard", "fifo"] as const).filter((type) => queues.some((queue) => queue.type === type));
  return [
    ...types.map((type) => ({ name: `dead-letter-${type}`, queueName: type, deadLetter: true, retentionSeconds })),
    ...queues.map(({ name, type, fair }) => ({
      name,
      queueName: type === "fifo" ? `${name}.fifo` : name,
      deadLetter: false,
      fair,
      retentionSeconds,
    })),
    ...(cancellation
      ? [{ name: "cancel", queueName: "cancel", deadLetter: false, cancel: true, retentionSeconds }]
      : []),
  ];
}

/** Each value of a dimension is a metric of its own. The sum is that of a month in which every metric is written. */
export function customMetrics({ queues, workerMin }: Values): number {
  const polled = polledQueues({ queues });
  return Object.values<Metric>(METRICS).reduce((sum, { source, dimensions, sporadic }) => {
    if ((source === "worker" && workerMin === 0) || sporadic === true) return sum;
    return sum + (dimensions.some((one) => one === "Queue") ? polled : 1);
  }, 0);
}

/** Workers poll, and the executor counts, the standard queues. */
function polledQueues({ queues }: Pick<Values, "queues">): number {
  return queues.filter(({ type }) => type === "standard").length;
}

/** Lines of metrics: an idle process writes hardly any other. */
function logBytes({ queues, workerMin }: Values): number {
  const lines = SECONDS / METRICS_SECONDS;
  return (
    lines * (workerMin * lineBytes("worker") + lineBytes("executor") + polledQueues({ queues }) * lineBytes("queue"))
  );
}

/** Of one line as the runtime writes it, with the 26 bytes that CloudWatch Logs adds to every line. */
export function lineBytes(of: "worker" | "executor" | "queue"): number {
  let bytes = 26;
  const write = (line: string) => {
    bytes += Buffer.byteLength(line);
  };
  const emf = createEmf({
    namespace: "taskiq",
    stack: "taskiq-production",
    ...(of === "worker" && { worker: "ip-10-80-12-34.ec2.internal-1-a1b2c3d4" }),
    clock: { wallMs: () => 1_800_000_000_000 },
    write,
  });
  const names = (Object.keys(METRICS) as MetricName[]).filter((name) => {
    const { dimensions, source, sporadic }: Metric = METRICS[name];
    if (sporadic === true) return false;
    const isOfQueue = dimensions.some((one) => one === "Queue");
    return of === "queue" ? isOfQueue : !isOfQueue && source === of;
  });
  const values: MetricValues = Object.fromEntries(names.map((name) => [name, 100]));
  emf.put(values, ...(of === "queue" ? ["default"] : []));
  return bytes;
}

/** Long polls of the workers; and the executor asks every queue and its dead-letter queue how long it is. */
function sqsRequests({ queues, workerMin }: Values): number {
  const polled = polledQueues({ queues });
  return workerMin * polled * (SECONDS / POLL_SECONDS) + 2 * polled * (SECONDS / METRICS_SECONDS);
}
