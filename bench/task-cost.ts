/**
 * What a million no-op tasks add to the bill at saturation: SQS by the request, containers and database by the CPU that is
 * used of them, data by the byte, rows by the time they are kept. Machines that stand by are not in it: they are what the
 * stack costs anyway (idle-cost.ts).
 */
import type { Values } from "../infra/config-keys.ts";
import { containerCost, HOURS } from "./idle-cost.ts";
import type { Measured } from "./measured.ts";
import { databasePrice, PRICES } from "./prices.ts";

export type TaskPart =
  | "SQS requests"
  | "data to and from SQS"
  | "rows kept"
  | "data between zones"
  | "worker CPU"
  | "API CPU"
  | "database CPU"
  | "load balancer";

/** How containers reach SQS. In a VPC of one's own each byte has its price. */
export type WayToSqs = "NAT gateway" | "endpoint" | "public address";

/** What the measurements do not say. Each is named where the table is. */
export const ASSUMPTIONS = {
  /** Busy share of the CPU that is paid for, in containers. */
  containerBusy: 0.6,
  /** The same in the database, which needs more room for peaks and vacuum. */
  databaseBusy: 0.4,
  /** vCPUs of every database class in prices.ts. */
  databaseCpus: 2,
  /** Tables between two vacuums against closely packed ones. */
  bloat: 2,
  /** TLS, TCP and IP around what the processes send. */
  wire: 1.1,
  /** Share of the traffic with the database that crosses to another zone, with two zones. */
  otherZone: 0.5,
  /** Bytes of a task in a batch request and in its answer, at the load balancer. */
  submitBytes: 200,
} as const;

const MILLION = 1e6;
const GB = 1e9;

/** US dollars a million tasks, by part. */
export function taskCost(values: Values, measured: Measured, way: WayToSqs = wayOf(values)): Record<TaskPart, number> {
  const gigabytes = (bytes: number) => (bytes * MILLION) / GB;
  /** Hours of a CPU that is busy to that share. */
  const cpuHours = (micros: number, busy: number) => micros / busy / 3_600;
  const perCpu = (cpu: number, memory: number) => containerCost(values, cpu, memory) / (cpu / 1_024);
  const perWay = { "NAT gateway": PRICES.natData.usd, endpoint: PRICES.endpointData.usd, "public address": 0 };
  const { containerBusy, databaseBusy, databaseCpus, bloat, wire, otherZone, submitBytes } = ASSUMPTIONS;
  const copies = values.databaseMultiAz ? 2 : 1;
  const months = (values.taskRetentionDays * 24) / HOURS;
  return {
    "SQS requests": measured.requests * PRICES.sqsStandard.usd,
    "data to and from SQS": gigabytes(measured.queueBytes) * wire * perWay[way],
    "rows kept": gigabytes(measured.storedBytes) * bloat * months * PRICES.databaseStorage.usd * copies,
    // Both ends pay.
    "data between zones": gigabytes(measured.databaseBytes) * wire * otherZone * 2 * PRICES.otherZone.usd,
    "worker CPU": cpuHours(measured.workerMicros, containerBusy) * perCpu(values.workerCpu, values.workerMemory),
    "API CPU": cpuHours(measured.submitMicros, containerBusy) * perCpu(values.apiCpu, values.apiMemory),
    "database CPU":
      (cpuHours(measured.databaseMicros, databaseBusy) * databasePrice(values.databaseInstanceClass).usd * copies) /
      databaseCpus,
    // A capacity unit is a GB in an hour.
    "load balancer": gigabytes(submitBytes) * PRICES.loadBalancerCapacity.usd,
  };
}

export function wayOf({ vpcId, natGateways }: Values): WayToSqs {
  if (vpcId === "default") return "public address";
  return vpcId === null && natGateways === "none" ? "endpoint" : "NAT gateway";
}

export function total(parts: Readonly<Record<string, number>>): number {
  return Object.values(parts).reduce((sum, usd) => sum + usd, 0);
}
