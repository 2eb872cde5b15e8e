/** Alarms and dashboard of the stack, where it wants them: what there is to watch, gathered once for both. */
import * as pulumi from "@pulumi/pulumi";
import { Alarms } from "./alarms.ts";
import type { StackConfig } from "./config.ts";
import { Dashboard } from "./dashboard.ts";
import type { DatabaseLike } from "./existing-database.ts";
import type { LoadBalancer } from "./load-balancer.ts";
import type { Queues } from "./queues.ts";
import type { ServiceLog } from "./service-log.ts";
import type { Account } from "./statement.ts";
import type { Watched } from "./watched.ts";

export type WatchedParts = {
  readonly metrics: Watched["metrics"];
  readonly queues: Queues;
  readonly database: DatabaseLike;
  readonly loadBalancer: LoadBalancer;
  readonly clusterName: string;
  readonly serviceNames: { readonly api: pulumi.Output<string>; readonly worker: pulumi.Output<string> };
  readonly workerGroups: NonNullable<Watched["workerGroups"]>;
  readonly logs: readonly ServiceLog[];
  readonly account: Account;
};

/** The dashboard's address in the console; empty without one. */
export function watch(
  config: StackConfig,
  parts: WatchedParts,
  opts: pulumi.ComponentResourceOptions,
): pulumi.Output<string> {
  const { database, loadBalancer } = parts;
  const watched: Watched = {
    metrics: parts.metrics,
    queues: parts.queues.watched,
    loadBalancer: { arnSuffix: loadBalancer.arnSuffix, targetGroupArnSuffix: loadBalancer.targetGroupArnSuffix },
    clusterName: parts.clusterName,
    serviceNames: parts.serviceNames,
    workerGroups: parts.workerGroups,
    database:
      database.instanceId === null
        ? null
        : {
            instanceId: database.instanceId,
            instanceClass: config.databaseInstanceClass,
            storageGb: config.databaseStorageGb,
          },
    logGroupNames: parts.logs.map((log) => log.logGroupName),
    apiMin: config.apiMin,
    workerMin: config.workerMin,
    // Workers say how many there are in all.
    workerMax: config.workerGroups.reduce((sum, { count }) => sum + count, config.workerMax),
  };
  const topic = config.alarmTopicArn === null ? {} : { topicArn: config.alarmTopicArn };
  const alarms = config.alarms ? new Alarms("alarms", { ...watched, ...topic }, opts) : null;
  if (!config.dashboard) return pulumi.output("");
  const alarmArns = alarms === null ? {} : { alarmArns: alarms.arns };
  return new Dashboard("dashboard", { ...watched, ...alarmArns, region: parts.account.region }, opts).url;
}
