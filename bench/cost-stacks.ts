/** The configurations whose cost is shown, as a stack file would have them; what they leave out has its default. */
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { KEYS, type Key, type Values } from "../infra/config-keys.ts";

export type CostedStack = { readonly name: string; readonly config: Readonly<Record<string, unknown>> };

export const STACKS: readonly CostedStack[] = [
  { name: "default", config: {} },
  {
    name: "production-like",
    config: {
      databaseInstanceClass: "db.r8g.large",
      databaseStorageGb: 100,
      databaseMaxStorageGb: 500,
      databaseMultiAz: true,
      databaseBackupDays: 14,
      natGateways: "one-per-az",
      publicApi: true,
      ingressCidrs: ["203.0.113.0/24"],
      certificateArn: "arn:aws:acm:us-east-1:111122223333:certificate/12345678-1234-1234-1234-123456789012",
      apiHostname: "tasks.example.com",
      workerMax: 50,
      workerSpotPercent: 75,
    },
  },
  {
    // For trials: no worker while nothing is queued, containers with addresses of their own instead of a NAT gateway.
    name: "smallest",
    config: {
      protect: false,
      queues: [{ name: "default" }],
      cancellation: false,
      apiMin: 1,
      apiMax: 1,
      apiCpu: 256,
      apiMemory: 512,
      workerMin: 0,
      workerDesired: 0,
      workerMax: 3,
      workerCpu: 256,
      workerMemory: 512,
      scalingDriver: "builtin",
      databaseInstanceClass: "db.t4g.micro",
      databaseBackupDays: 1,
      vpcId: "default",
      alarms: false,
      dashboard: false,
    },
  },
];

/** All values of a stack. Throws, by zod, where one is none that the program would take. */
export function valuesOf({ config }: CostedStack): Values {
  const text = readFileSync(new URL("../Pulumi.yaml", import.meta.url), "utf8");
  // The file has this shape; the program's own tests hold it against the table of keys.
  const { config: schema } = parse(text) as { config: Record<string, { default: unknown }> };
  const unknown = Object.keys(config).find((name) => !(name in KEYS));
  if (unknown !== undefined)
    throw new Error(`expected keys of Pulumi.yaml, got "${unknown}". Correct bench/cost-stacks.ts.`);
  const entries = (Object.entries(KEYS) as [string, Key<unknown>][]).map(([name, key]) => [
    name,
    key.schema.parse(config[name] ?? schema[name]?.default),
  ]);
  return Object.fromEntries(entries) as Values; // Each by the schema of its key.
}
