/** Alarms on the database: everything waits for it, and most of what goes wrong with it shows hours before. */
import type { AlarmRule } from "./alarm-rule.ts";
import { maxConnections, maxCredits, memoryBytes } from "./instance-class.ts";
import { databaseMetric, type Watched } from "./watched.ts";

const GIB = 1_073_741_824;
const LASTING = { periodSeconds: 60, periods: [5, 5], missing: "missing" } as const;
const BRIEFLY = { periodSeconds: 60, periods: [3, 5], missing: "missing" } as const;

export function databaseAlarms({ database }: Watched): AlarmRule[] {
  if (database === null) return [];
  const { instanceClass, storageGb } = database;
  const metric = (name: string, stat: string) => databaseMetric(database, name, stat);
  const rules: AlarmRule[] = [
    {
      id: "database-cpu",
      severity: "warn",
      runbook: "database-cpu",
      means: "The database uses more than 80 % of its CPU.",
      todo: "Find the statements in Database Insights; take a larger instance class if they are ours.",
      signal: metric("CPUUtilization", "Average"),
      comparison: ">",
      threshold: 80,
      ...LASTING,
    },
    {
      id: "database-write-latency",
      severity: "warn",
      runbook: "database-latency",
      means: "A write to the database's disk takes longer than 20 ms.",
      todo: "Compare its IOPS and throughput with what the storage has; raise them or the storage.",
      signal: metric("WriteLatency", "Average"),
      comparison: ">",
      threshold: 0.02,
      ...BRIEFLY,
    },
    {
      id: "database-transaction-ids",
      severity: "page",
      runbook: "database-transaction-ids",
      means: "Postgres has 500 million transaction ids in use and stops writing at 2 billion: vacuum is held up.",
      todo: "End the oldest transaction, drop unused replication slots, and let vacuum finish.",
      signal: metric("MaximumUsedTransactionIDs", "Maximum"),
      comparison: ">",
      threshold: 500_000_000,
      periodSeconds: 300,
      periods: [1, 1],
      missing: "notBreaching",
    },
  ];
  const bytes = instanceClass === undefined ? null : memoryBytes(instanceClass);
  const connections = instanceClass === undefined ? null : maxConnections(instanceClass);
  const credits = instanceClass === undefined ? null : maxCredits(instanceClass);
  if (connections !== null) {
    rules.push({
      id: "database-connections",
      severity: "page",
      runbook: "database-connections",
      means: "More than 80 % of the connections that the database admits are open.",
      todo: "Lower the maximum of workers or their pools, or take a larger instance class.",
      signal: metric("DatabaseConnections", "Maximum"),
      comparison: ">",
      threshold: Math.floor(connections * 0.8),
      ...BRIEFLY,
    });
  }
  if (bytes !== null) {
    rules.push({
      id: "database-memory",
      severity: "warn",
      runbook: "database-memory",
      means: "The database has less than 10 % of its memory left.",
      todo: "Look at the number of connections, then take a larger instance class.",
      signal: metric("FreeableMemory", "Minimum"),
      comparison: "<",
      threshold: Math.floor(bytes / 10),
      ...LASTING,
    });
  }
  if (storageGb !== undefined) {
    rules.push({
      id: "database-storage",
      severity: "page",
      runbook: "database-storage",
      means: "The database has less than 20 % of its first storage left; without any it stops.",
      todo: "Check that RDS can still grow it (maxStorageGb) and what grows: tables, or log held by a replication slot.",
      signal: metric("FreeStorageSpace", "Minimum"),
      comparison: "<",
      threshold: Math.floor((storageGb * GIB) / 5),
      ...LASTING,
    });
  }
  if (credits !== null) {
    rules.push({
      id: "database-credits",
      severity: "warn",
      runbook: "database-credits",
      means: "The database is busy and has less than 20 % of its CPU credits left; beyond them each hour is billed.",
      todo: "Take a larger class, or one that is not burstable, if this is its usual load.",
      signal: {
        // A new instance starts without credits: idle, that means nothing.
        expression: `IF(credits < ${Math.floor(credits * 0.2)} AND cpu > 20, 1, 0)`,
        of: { credits: metric("CPUCreditBalance", "Minimum"), cpu: metric("CPUUtilization", "Average") },
      },
      comparison: ">=",
      threshold: 1,
      periodSeconds: 300,
      periods: [3, 3],
      missing: "missing",
    });
  }
  return rules;
}
