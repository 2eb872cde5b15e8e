/**
 * A preview of a stack as it would be in production: the provider validates every resource of it, those included that
 * no emulator makes. Its VPC is given, because the component that makes one needs a provider of its own.
 */
import { join } from "node:path";
import { openDemoStack } from "../../deploy/demo-stack.ts";
import { createSettings } from "../../deploy/stack-settings.ts";
import { sayChanges } from "./deployment.ts";
import { expect, type Steps } from "./steps.ts";

const PRODUCTION = {
  namePrefix: "taskiq-production",
  protect: true,
  tlsOnly: true,
  image:
    "123456789012.dkr.ecr.us-east-1.amazonaws.com/taskiq@sha256:2b4d1c6f0a9e8b7d6c5f4e3d2c1b0a99887766554433221100ffeeddccbbaa99",
  cpuArchitecture: "ARM64",
  demo: false,
  apiMin: 2,
  apiMax: 6,
  apiCpu: 512,
  apiMemory: 1024,
  workerMin: 2,
  workerDesired: 2,
  workerMax: 20,
  workerCpu: 1024,
  workerMemory: 2048,
  workerSlots: 10,
  workerSpotPercent: 50,
  scalingDriver: "cloudwatch",
  scalingOutAbove: 50,
  scalingInBelow: 10,
  scalingOutCooldownSeconds: 180,
  scalingInCooldownSeconds: 300,
  databaseInstanceClass: "db.m7g.large",
  databaseMaxStorageGb: 500,
  databaseMultiAz: true,
  databaseBackupDays: 14,
  databaseTls: "verify-full",
  databasePassword: "",
  vpcId: "vpc-0a1b2c3d4e5f60718",
  publicSubnetIds: ["subnet-0a1b2c3d4e5f60711", "subnet-0a1b2c3d4e5f60712"],
  privateSubnetIds: ["subnet-0a1b2c3d4e5f60713", "subnet-0a1b2c3d4e5f60714"],
  databaseSubnetIds: ["subnet-0a1b2c3d4e5f60715", "subnet-0a1b2c3d4e5f60716"],
  publicApi: true,
  apiAuth: "keys",
  ingressCidrs: ["203.0.113.0/24"],
  certificateArn: "arn:aws:acm:us-east-1:123456789012:certificate/11112222-3333-4444-5555-666677778888",
  apiHostname: "tasks.example.com",
  accessLogsBucket: "taskiq-access-logs",
  localUrl: "",
  logRetentionDays: 90,
  alarms: true,
  alarmTopicArn: "arn:aws:sns:us-east-1:123456789012:alarms",
  dashboard: true,
  waitForSteadyState: true,
} as const;

/** Types that only this configuration has, and of which a preview without them would prove little. */
const EXPECTED = [
  "aws:appautoscaling/target:Target",
  "aws:appautoscaling/policy:Policy",
  "aws:cloudwatch/metricAlarm:MetricAlarm",
  "aws:cloudwatch/dashboard:Dashboard",
  "aws:rds/instance:Instance",
  "aws:lb/listener:Listener",
];

export async function productionClaims(folder: string, { step }: Steps): Promise<void> {
  await step("the provider accepts every resource of a production stack", async () => {
    const settings = await createSettings(join(folder, "Pulumi.production.yaml"), PRODUCTION);
    const stack = await openDemoStack({ stateDir: join(folder, "production"), configFile: settings.file, quiet: true });
    await stack.create();
    const changes = sayChanges(await stack.changes());
    for (const type of EXPECTED)
      expect(
        changes.some((change) => change.includes(type)),
        `expected a ${type}`,
      );
    expect(
      changes.every((change) => change.startsWith("create ")),
      `expected creations, got ${changes.join("; ")}`,
    );
    return `${changes.length} resources`;
  });
}
