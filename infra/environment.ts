/**
 * What the stack tells its containers. The names are those of the runtime's own table of variables, so a renamed or
 * misspelt one does not compile; secrets are named, never told.
 */
import type * as pulumi from "@pulumi/pulumi";
import type { ServiceRole, VARIABLES } from "../runtime/config-table.ts";
import type { ScalingPolicy } from "../runtime/model/scaling.ts";

type VariableName = keyof typeof VARIABLES;
/** What no process starts without. A test holds it against the runtime's table. */
type Required = "DATABASE_URL";
/** What no process but a migration starts without. */
type RequiredToServe = Required | "TASKIQ_QUEUES" | "TASKIQ_S3_BUCKET";

export type Environment<Needed extends VariableName = "SERVICE_ROLE" | Required> = {
  readonly [Name in Needed]: pulumi.Input<string>;
} & { readonly [Name in VariableName]?: pulumi.Input<string> };

type ServiceEnvironment = Environment<"SERVICE_ROLE" | RequiredToServe>;

export type EnvironmentArgs = {
  readonly prefix: string;
  readonly region: pulumi.Input<string>;
  readonly databaseUrl: pulumi.Input<string>;
  readonly databaseSecretArn: pulumi.Input<string>;
  readonly databaseTls: "verify-full" | "disable";
  /** JSON for TASKIQ_QUEUES. */
  readonly queues: pulumi.Input<string>;
  readonly bucketName: pulumi.Input<string>;
  readonly taskRetentionDays: number;
  readonly maxDelayDays: number;
};

export type ScalingArgs = {
  readonly driver: "cloudwatch" | "builtin" | "off";
  readonly policy: ScalingPolicy;
  readonly clusterName: string;
  readonly serviceName: string;
};

export const API_PORT = 8_080;
export const PROBE_PORT = 8_081;
/** From SIGTERM to SIGKILL: the longest that Fargate has. */
export const STOP_SECONDS = 120;
/** Namespace of the metrics that containers write. */
export const METRICS_NAMESPACE = "taskiq";

const DAY_MS = 86_400_000;
/** A process that takes longer than its budget ends itself 5 s later, which must come before ECS kills it. */
const DRAIN_BUDGET_MS = (STOP_SECONDS - 10) * 1_000;
const GRACE_MS = 10_000;

export function apiEnvironment(
  args: EnvironmentArgs & {
    readonly demo: boolean;
    /** Whether programs of a caller's choice may be submitted, for workers that run them. */
    readonly commands: boolean;
    readonly auth: "keys" | "none";
    /** Where the logs of a task are, with `{taskId}` for its id. */
    readonly logsUrl: pulumi.Input<string>;
    readonly scaling: ScalingArgs;
  },
): ServiceEnvironment {
  const { driver, policy, clusterName, serviceName } = args.scaling;
  return {
    ...serviceEnvironment(args, "api"),
    TASKIQ_HTTP_PORT: String(API_PORT),
    TASKIQ_DEMO: args.demo ? "on" : "off",
    ...commandsEnvironment(args),
    TASKIQ_API_AUTH: args.auth,
    TASKIQ_KEY_ENVIRONMENT: args.prefix,
    TASKIQ_LOGS_URL: args.logsUrl,
    TASKIQ_SCALING: driver === "builtin" ? "builtin" : "off",
    ...(driver === "builtin" && {
      TASKIQ_SCALING_CLUSTER: clusterName,
      TASKIQ_SCALING_SERVICE: serviceName,
      TASKIQ_SCALING_MIN: String(policy.min),
      TASKIQ_SCALING_MAX: String(policy.max),
      TASKIQ_SCALING_PER_WORKER: String(policy.perWorker),
      TASKIQ_SCALING_OUT_ABOVE: String(policy.outAbove),
      TASKIQ_SCALING_IN_BELOW: String(policy.inBelow),
      TASKIQ_SCALING_OUT_COOLDOWN_MS: String(policy.outCooldownMs),
      TASKIQ_SCALING_IN_COOLDOWN_MS: String(policy.inCooldownMs),
    }),
  };
}

export function workerEnvironment(
  args: EnvironmentArgs & {
    readonly slots: number;
    /** Names of the queues it polls; null: all. */
    readonly polled: readonly string[] | null;
    /** Whether it runs programs of a caller's choice. */
    readonly commands: boolean;
  },
): ServiceEnvironment {
  return {
    ...serviceEnvironment(args, "worker"),
    ...(args.polled !== null && { TASKIQ_WORKER_QUEUES: args.polled.join(",") }),
    ...commandsEnvironment(args),
    TASKIQ_WORKER_SLOTS: String(args.slots),
    TASKIQ_PROBE_PORT: String(PROBE_PORT),
  };
}

export function migrateEnvironment(args: EnvironmentArgs): Environment {
  return {
    SERVICE_ROLE: role("migrate"),
    AWS_REGION: args.region,
    DATABASE_URL: args.databaseUrl,
    TASKIQ_DATABASE_SECRET_ARN: args.databaseSecretArn,
    // The image has it.
    ...(args.databaseTls === "verify-full" && { TASKIQ_DATABASE_CA_FILE: "/app/rds-global-bundle.pem" }),
  };
}

function serviceEnvironment(args: EnvironmentArgs, name: ServiceRole): ServiceEnvironment {
  return {
    ...migrateEnvironment(args),
    SERVICE_ROLE: role(name),
    TASKIQ_QUEUES: args.queues,
    TASKIQ_S3_BUCKET: args.bucketName,
    TASKIQ_RETENTION_MS: String(args.taskRetentionDays * DAY_MS),
    TASKIQ_MAX_DELAY_MS: String(args.maxDelayDays * DAY_MS),
    TASKIQ_DRAIN_BUDGET_MS: String(DRAIN_BUDGET_MS),
    TASKIQ_DRAIN_WORK_MS: String(DRAIN_BUDGET_MS - GRACE_MS),
    TASKIQ_GRACE_MS: String(GRACE_MS),
    TASKIQ_METRICS: "emf",
    TASKIQ_METRICS_NAMESPACE: METRICS_NAMESPACE,
    TASKIQ_METRICS_STACK: args.prefix,
  };
}

/** Off is the runtime's default. */
function commandsEnvironment({ commands }: { readonly commands: boolean }): { readonly TASKIQ_COMMANDS?: string } {
  return commands ? { TASKIQ_COMMANDS: "on" } : {};
}

function role(name: ServiceRole): string {
  return name;
}
