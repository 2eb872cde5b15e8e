/** What there is to watch: the facts that alarms and dashboard share. Each part is optional where a stack may lack it. */
import type * as pulumi from "@pulumi/pulumi";

export type WatchedQueue = {
  /** As in the configuration. */
  readonly name: string;
  /** As in SQS. */
  readonly queueName: string;
  readonly deadLetter: boolean;
  /** The cancel queue, whose messages are requests instead of tasks. */
  readonly cancel?: boolean;
  readonly fair?: boolean;
  readonly retentionSeconds: number;
};

export type Watched = {
  /** Namespace of the metrics that the containers write, and the value of their dimension `Stack`. */
  readonly metrics: { readonly namespace: string; readonly stack: string };
  readonly queues: readonly WatchedQueue[];
  readonly loadBalancer?: {
    readonly arnSuffix: pulumi.Input<string>;
    readonly targetGroupArnSuffix: pulumi.Input<string>;
  };
  readonly clusterName: pulumi.Input<string>;
  readonly serviceNames: { readonly api: pulumi.Input<string>; readonly worker: pulumi.Input<string> };
  /** Further worker services. Default none. */
  readonly workerGroups?: readonly { readonly name: string; readonly serviceName: pulumi.Input<string> }[];
  /** Null for a database that is not on RDS. What is left out leaves out the alarms that compare with it. */
  readonly database: {
    readonly instanceId: pulumi.Input<string>;
    /** For example `db.t4g.small`. */
    readonly instanceClass?: string;
    readonly storageGb?: number;
  } | null;
  readonly logGroupNames: readonly pulumi.Input<string>[];
  /** Fewest API tasks. Default 2. */
  readonly apiMin?: number;
  /** Fewest workers; with 0 their silence is an alarm only while something is queued. Default 1. */
  readonly workerMin?: number;
  /** Most workers, of all services together. */
  readonly workerMax: number;
  /** Whether the cluster has Container Insights, which counts tasks and costs extra. Default false. */
  readonly containerInsights?: boolean;
  /**
   * Seconds within which 99 of 100 requests are to be answered. Default: not watched, because a client that waits for
   * its task (`wait_seconds`) makes a slow request that is none.
   */
  readonly requestSeconds?: number;
};

/** One number over time, as CloudWatch knows it. */
export type Metric = {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, pulumi.Input<string>>>;
  readonly stat: string;
};

export function queueMetric({ queueName }: WatchedQueue, name: string, stat: string): Metric {
  return { namespace: "AWS/SQS", name, dimensions: { QueueName: queueName }, stat };
}

/** A metric that the containers write. */
export function ownMetric({ metrics }: Watched, name: string, stat: string): Metric {
  return { namespace: metrics.namespace, name, dimensions: { Stack: metrics.stack }, stat };
}

export function serviceMetric(watched: Watched, service: "api" | "worker", name: string, stat: string): Metric {
  const dimensions = { ClusterName: watched.clusterName, ServiceName: watched.serviceNames[service] };
  return { namespace: "AWS/ECS", name, dimensions, stat };
}

export function databaseMetric(database: { instanceId: pulumi.Input<string> }, name: string, stat: string): Metric {
  return { namespace: "AWS/RDS", name, dimensions: { DBInstanceIdentifier: database.instanceId }, stat };
}

/** Of the load balancer, or of its targets. */
export function requestMetric(
  { arnSuffix, targetGroupArnSuffix }: NonNullable<Watched["loadBalancer"]>,
  of: "balancer" | "targets",
  name: string,
  stat: string,
): Metric {
  const dimensions = { LoadBalancer: arnSuffix, ...(of === "targets" ? { TargetGroup: targetGroupArnSuffix } : {}) };
  return { namespace: "AWS/ApplicationELB", name, dimensions, stat };
}
