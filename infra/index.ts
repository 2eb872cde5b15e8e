/** The whole system, in the order in which work flows through it. */
import * as pulumi from "@pulumi/pulumi";
import { ApiService } from "./api-service.ts";
import { Autoscaling } from "./autoscaling.ts";
import { Cluster } from "./cluster.ts";
import { loadConfig } from "./config.ts";
import { taskLogsUrl } from "./console.ts";
import { createDatabase, databasePort } from "./database-choice.ts";
import { Endpoints } from "./endpoints.ts";
import { API_PORT, apiEnvironment, METRICS_NAMESPACE, migrateEnvironment, workerEnvironment } from "./environment.ts";
import { Firewall } from "./firewall.ts";
import { apiStatements, executionStatements, workerStatements } from "./grants.ts";
import { createImage, givenImage } from "./image.ts";
import { LoadBalancer } from "./load-balancer.ts";
import { createNetwork } from "./network.ts";
import { PayloadBucket } from "./payload-bucket.ts";
import { accountOf, createProvider, stackTags } from "./provider.ts";
import { createQueues, extendedPrefixes } from "./queues.ts";
import { TaskRole } from "./roles.ts";
import { ServiceLog } from "./service-log.ts";
import type { Statement } from "./statement.ts";
import { watch } from "./watching.ts";
import { WorkerService } from "./worker-service.ts";

const config = loadConfig();
const { prefix, protect } = config;
const names = { api: `${prefix}-api`, worker: `${prefix}-worker` };
const provider = createProvider(stackTags());
const account = accountOf(provider);
const opts = { provider };

// Where it runs, and who may talk to whom.
const network = createNetwork("network", config, opts);
const firewall = new Firewall(
  "firewall",
  {
    vpcId: network.vpcId,
    callers: config.ingressCidrs.length > 0 ? config.ingressCidrs : [network.cidr()],
    listenerPorts: LoadBalancer.ports(config.certificateArn),
    apiPort: API_PORT,
    databaseSecurityGroupId: config.databaseSecurityGroupId,
    databasePort: databasePort(config),
    opensHttpsOut: network.closedRouteTableIds === null,
  },
  opts,
);
if (network.closedRouteTableIds !== null) {
  const clients = { api: firewall.apiId, worker: firewall.workerId };
  const { vpcId, privateSubnetIds: subnetIds } = network;
  new Endpoints("endpoints", { vpcId, subnetIds, region: account.region, clients }, opts);
}

// The truth, the payloads and the doorbells.
const databasePlace = { subnetIds: network.databaseSubnetIds, securityGroupId: firewall.databaseId };
const database = createDatabase("database", config, databasePlace, opts);
const payloads = new PayloadBucket(
  "payloads",
  {
    expireDays: config.payloadExpireDays,
    extendedPrefixes: extendedPrefixes(config.queues),
    forceDestroy: !protect,
    tlsOnly: config.tlsOnly,
    account,
  },
  { ...opts, protect },
);
const queues = createQueues({ ...config, account }, opts);

// What runs, as whom, and where its lines go.
const image = createImage(
  "image",
  {
    given: config.image,
    repositoryName: prefix,
    base: config.imageBase,
    platforms: config.imagePlatforms,
    protect,
    account,
  },
  opts,
);
const groups = config.workerGroups.map((group) => ({
  ...group,
  image: group.image === null ? image : givenImage(group.image, account),
}));
const cluster = new Cluster("cluster", { clusterName: prefix, account }, opts);
const log = (name: "api" | "worker") =>
  new ServiceLog(
    name,
    { logGroupName: `/taskiq/${prefix}/${name}`, retentionDays: config.logRetentionDays, account },
    opts,
  );
const logs = { api: log("api"), worker: log("worker") };
const images = [...new Set([image, ...groups.map((group) => group.image)])];
const parts = { queues, payloads, database, cluster };
const scaledService = config.scalingDriver === "builtin" ? names.worker : null;
const role = (name: string, description: string, statements: Statement[]) =>
  new TaskRole(name, { description, statements, account }, opts).arn;
const roles = {
  execution: role("execution", "Starts containers", executionStatements(images, [logs.api, logs.worker])),
  api: role("api", "The API", apiStatements(parts, scaledService)),
  worker: role("worker", "The workers", workerStatements(parts)),
};

// The services: the API migrates the database, then the workers follow.
const environment = {
  prefix,
  region: account.region,
  databaseUrl: database.url,
  databaseSecretArn: database.secretArn,
  databaseTls: config.databaseTls,
  queues: queues.json,
  bucketName: payloads.bucketName,
  taskRetentionDays: config.taskRetentionDays,
  maxDelayDays: config.maxDelayDays,
};
const scaling = {
  driver: config.scalingDriver,
  policy: config.scalingPolicy,
  clusterName: prefix,
  serviceName: names.worker,
};
const place = {
  clusterArn: cluster.arn,
  executionRoleArn: roles.execution,
  architecture: config.cpuArchitecture,
  subnetIds: network.privateSubnetIds,
  assignPublicIp: network.assignPublicIp,
  waitForSteadyState: config.waitForSteadyState,
};
const loadBalancer = new LoadBalancer(
  "api",
  {
    loadBalancerName: names.api,
    isPublic: config.publicApi,
    vpcId: network.vpcId,
    subnetIds: config.publicApi ? network.publicSubnetIds : network.privateSubnetIds,
    securityGroupId: firewall.loadBalancerId,
    certificateArn: config.certificateArn,
    hostname: config.apiHostname,
    accessLogsBucket: config.accessLogsBucket,
    deletionProtection: protect,
  },
  opts,
);
const api = new ApiService(
  "api",
  {
    place,
    serviceName: names.api,
    clusterName: prefix,
    image: image.ref,
    size: config.apiSize,
    min: config.apiMin,
    max: config.apiMax,
    environment: apiEnvironment({
      ...environment,
      demo: config.demo,
      commands: groups.some(({ commands }) => commands),
      auth: config.apiAuth,
      logsUrl: taskLogsUrl(account.region, logs.worker.logGroupName),
      scaling,
    }),
    migrateEnvironment: migrateEnvironment(environment),
    taskRoleArn: roles.api,
    securityGroupId: firewall.apiId,
    targetGroupArn: loadBalancer.targetGroupArn,
    log: logs.api,
  },
  { ...opts, dependsOn: [firewall] },
);
const workerPlace = { place, taskRoleArn: roles.worker, securityGroupId: firewall.workerId, log: logs.worker };
const afterApi = { ...opts, dependsOn: [api] };
const worker = new WorkerService(
  "worker",
  {
    ...workerPlace,
    serviceName: names.worker,
    image: image.ref,
    size: config.workerSize,
    min: config.workerMin,
    desired: config.workerDesired,
    spotPercent: config.workerSpotPercent,
    isScaled: config.scalingDriver !== "off",
    environment: workerEnvironment({
      ...environment,
      slots: config.workerSlots,
      polled: config.workerQueues,
      commands: false,
    }),
  },
  afterApi,
);
const workerGroups = groups.map(({ name, image, size, count, slots, queues: polled, commands }) => {
  const { serviceName } = new WorkerService(
    `worker-${name}`,
    {
      ...workerPlace,
      serviceName: `${names.worker}-${name}`,
      image: image.ref,
      size,
      min: count,
      desired: count,
      spotPercent: 0,
      isScaled: false,
      environment: workerEnvironment({ ...environment, slots, polled, commands }),
    },
    afterApi,
  );
  return { name, serviceName };
});

// How many workers there are, and whether all is well.
const metrics = { namespace: METRICS_NAMESPACE, stack: prefix };
if (config.scalingDriver === "cloudwatch") {
  const queueNames = queues.members.map(({ queue }) => queue.queueName);
  const { scalingPolicy: policy } = config;
  new Autoscaling(
    "autoscaling",
    { clusterName: prefix, serviceName: worker.serviceName, policy, metrics, queueNames },
    opts,
  );
}
const dashboard = watch(
  config,
  {
    metrics,
    queues,
    database,
    loadBalancer,
    clusterName: prefix,
    serviceNames: { api: api.serviceName, worker: worker.serviceName },
    workerGroups,
    logs: [logs.api, logs.worker],
    account,
  },
  opts,
);

/** Where the API is, for its callers. */
export const apiUrl = loadBalancer.url;
/** Where it is from this machine, where its name does not resolve. */
export const localUrl =
  config.localUrl === null
    ? apiUrl
    : pulumi
        .all([config.localUrl, loadBalancer.loadBalancerName])
        .apply(([url, name]) => url.replace("{loadBalancer}", name));
/** What a name of your own points to. */
export const loadBalancerDnsName = loadBalancer.dnsName;
/** By the names in the configuration. */
export const queueUrls = queues.urls;
export const queueArns = queues.arns;
export const bucketName = payloads.bucketName;
export const databaseSecretArn = database.secretArn;
export const clusterName = prefix;
export const apiServiceName = api.serviceName;
export const workerServiceName = worker.serviceName;
/** To let the workers reach what else they need. */
export const workerSecurityGroupId = firewall.workerId;
export const imageRef = image.ref;
/** Log groups of the services. */
export const logGroups = [logs.api.logGroupName, logs.worker.logGroupName];
export const dashboardUrl = dashboard;
