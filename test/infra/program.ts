/** Runs infra/index.ts whole, with the configuration as the command line would hand it over. */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parse } from "yaml";
import { type Deployment, type DeployOptions, deploy } from "./support.ts";

const ROOT = resolve(import.meta.dirname, "../..");

export type ConfigEntry = {
  readonly type: string;
  readonly items?: { readonly type: string };
  readonly description: string;
  readonly secret?: boolean;
  readonly default: unknown;
};

/** The schema of Pulumi.yaml. */
export const schema = (
  parse(readFileSync(join(ROOT, "Pulumi.yaml"), "utf8")) as { config: Record<string, ConfigEntry> }
).config;

/** Every key with its default. */
export const defaults: Record<string, unknown> = Object.fromEntries(
  Object.entries(schema).map(([key, entry]) => [key, entry.default]),
);

/** The keys of a stack's file, with their namespaces. */
export function stackFile(stack: string): Record<string, unknown> {
  const text = readFileSync(join(ROOT, `Pulumi.${stack}.yaml`), "utf8");
  return (parse(text) as { config: Record<string, unknown> }).config;
}

const deployed = new Map<string, Promise<Program>>();
let runs = 0;

export type Program = Deployment<Record<string, unknown>>;

/**
 * The program's outputs and resources. Keys that are not given have their defaults. A configuration is deployed once,
 * whichever tests look at it.
 */
export function deployProgram(
  config: Record<string, unknown> = {},
  options: Omit<DeployOptions, "config"> = {},
): Promise<Program> {
  const key = JSON.stringify([config, options]);
  const known = deployed.get(key) ?? run(config, options);
  deployed.set(key, known);
  return known;
}

function run(config: Record<string, unknown>, options: Omit<DeployOptions, "config">): Promise<Program> {
  // The program registers its resources while it is imported, so it has to be another module each time.
  const path = `../../infra/index.ts?run=${++runs}`;
  return deploy(async () => ({ ...((await import(/* @vite-ignore */ path)) as Record<string, unknown>) }), {
    ...options,
    config: { "aws:region": "us-east-1", ...qualified(defaults), ...qualified(config) },
  });
}

/** A configuration for production in a VPC that exists: every option that costs something is on. */
export const PRODUCTION: Record<string, unknown> = {
  publicApi: true,
  ingressCidrs: ["203.0.113.0/24", "198.51.100.7/32"],
  certificateArn: "arn:aws:acm:us-east-1:111122223333:certificate/12345678-1234-1234-1234-123456789012",
  apiHostname: "tasks.example.com",
  accessLogsBucket: "example-access-logs",
  vpcId: "vpc-0a1b2c3d",
  publicSubnetIds: ["subnet-0aaa", "subnet-0bbb"],
  privateSubnetIds: ["subnet-0ccc", "subnet-0ddd"],
  databaseSubnetIds: ["subnet-0eee", "subnet-0fff"],
  databaseMultiAz: true,
  databaseBackupDays: 14,
  databaseInstanceClass: "db.r7g.large",
  workerSpotPercent: 75,
  workerMax: 50,
  queues: [
    { name: "default" },
    { name: "tenants", fair: true },
    { name: "ordered", type: "fifo", visibilitySeconds: 60 },
  ],
  image: "111122223333.dkr.ecr.us-east-1.amazonaws.com/taskiq@sha256:0123",
  alarmTopicArn: "arn:aws:sns:us-east-1:111122223333:alarms",
};

/** Queues that are shared with producers and workers in Python. */
export const NEIGHBOURS: Record<string, unknown> = {
  queues: [
    { name: "default" },
    { name: "shop", accepts: { tasks: ["sleep"], tenant: "shop" }, results: { basePath: "results" } },
    { name: "crm", accepts: { extendedPrefix: "crm/" }, results: { basePath: "results/crm/" } },
    { name: "models", wire: "taskiq", results: { basePath: "results/models" } },
  ],
};

/** A second worker service with an image of its own, as for programs in Python. */
export const GROUPED: Record<string, unknown> = {
  queues: [{ name: "default" }, { name: "ordered", type: "fifo" }, { name: "reports" }, { name: "batch" }],
  workerGroups: [
    {
      name: "programs",
      queues: ["reports", "batch"],
      slots: 2,
      cpu: 2_048,
      memory: 4_096,
      image: "111122223333.dkr.ecr.us-east-1.amazonaws.com/taskiq-python@sha256:0456",
      commands: true,
      count: 3,
    },
  ],
};

function qualified(config: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => [key.includes(":") ? key : `taskiq-aws:${key}`, value]),
  );
}
