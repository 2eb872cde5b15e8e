/**
 * The configuration, and the only reader of `process.env`. The variables themselves are in config-table.ts.
 * Whatever is wrong is reported at once, with what was expected, what came and what to do: a container that is
 * restarted once for each mistake takes an afternoon to configure.
 *
 * Over 300 lines, because there are many settings: the type of each, with what it means to the code, and the variable it is made of.
 */
import { z } from "zod";
import { NO_FILE, readConfigFile } from "./config-file.ts";
import { describeIssues, type Source, type Table } from "./config-problems.ts";
import { type Given, givenSettings } from "./config-source.ts";
import {
  CLIENT,
  cancelQueueUrl,
  MIGRATE_VARIABLES,
  PROCESS,
  polledQueues,
  type QueueConfig,
  RULES,
  type Rule,
  type ServiceRole,
  servedQueues,
  VARIABLES,
  type Values,
  withDefaultQueue,
} from "./config-table.ts";
import type { Variable } from "./config-variable.ts";
import { TaskiqError } from "./errors.ts";
import type { LogFormat, LogLevel } from "./log.ts";
import type { TracingConfig } from "./tracing/sdk.ts";

export type { QueueConfig, ServiceRole } from "./config-table.ts";

/** What the process was started as decides what it needs to know: migrating needs a database and nothing of AWS. */
export type Config = ServiceConfig | MigrateConfig;

export type MigrateConfig = {
  readonly role: "migrate";
  readonly database: DatabaseConfig;
  readonly aws: AwsConfig;
  readonly log: LogConfig;
};

export type ServiceConfig = {
  readonly role: Exclude<ServiceRole, "migrate">;
  readonly database: DatabaseConfig;
  readonly log: LogConfig;
  readonly aws: AwsConfig;
  /** At least one; exactly one is called `default`. */
  readonly queues: readonly QueueConfig[];
  /** Where cancellations are asked for; null: nowhere but at the API. */
  readonly cancelQueueUrl: string | null;
  readonly http: {
    readonly host: string;
    /** 0: any free port. */
    readonly port: number;
    readonly maxBodyBytes: number;
    /** The routes of the demonstration, `/tasks`. */
    readonly demo: boolean;
    /** Where the logs of a task are, with `{taskId}` for its id; null: no link to them. */
    readonly logsUrl: string | null;
  };
  readonly access: {
    readonly auth: "keys" | "none";
    /** In the text of new keys. */
    readonly environment: string;
    readonly auditRetentionMs: number;
  };
  readonly submit: {
    readonly groupCommitMs: number;
    readonly idempotencyTtlMs: number;
    readonly maxDelayMs: number;
  };
  readonly worker: {
    /** Null: the process makes a name of its own. */
    readonly name: string | null;
    /** Names of the queues this worker polls: those it was told to, or all. */
    readonly queues: readonly string[];
    readonly slots: number;
    readonly leaseMs: number;
    readonly extendIntervalMs: number;
    readonly graceMs: number;
    readonly drainBudgetMs: number;
    readonly drainWorkMs: number;
    readonly commitTimeoutMs: number;
    readonly receiveWaitMs: number;
    readonly completeLingerMs: number;
    readonly unknownTaskAfterMs: number;
    /** Null: no liveness server. */
    readonly probe: { readonly host: string; readonly port: number } | null;
  };
  readonly executor: {
    readonly announceIntervalMs: number;
    readonly reapIntervalMs: number;
    readonly ringAgainAfterMs: number;
    readonly ringAgainIntervalMs: number;
    readonly pruneIntervalMs: number;
    /** How often tasks are handed out to workers of Python, and their results looked for. */
    readonly pythonIntervalMs: number;
    readonly retentionMs: number;
  };
  readonly payload: {
    readonly bucket: string;
    readonly inlineBytes: number;
    readonly maxBytes: number;
  };
  /** Null: somebody else sets the number of workers. */
  readonly scaling: ScalingConfig | null;
  readonly protection: {
    /** Null: not on ECS. */
    readonly agentUrl: string | null;
    /** Where this container asks what it is. Null: not on ECS. */
    readonly metadataUrl: string | null;
    readonly afterMs: number;
    readonly limitMs: number;
  };
  /** Null: none are written. */
  readonly metrics: MetricsConfig | null;
  /** Null: no spans are collected. */
  readonly tracing: TracingConfig | null;
  readonly tasks: {
    /** Paths or `file:` URLs of modules that define tasks. */
    readonly modules: readonly string[];
    /** Processes forked ahead for each kind of task that wants one. */
    readonly warmProcesses: number;
    /** Names that such tasks are given although they look like secrets. */
    readonly processEnvNames: readonly string[];
    /** Names that callers may set for a command. Null: there are no commands here. */
    readonly commandEnvNames: readonly string[] | null;
    /** Names of the worker's own variables that every command gets. */
    readonly commandInheritedNames: readonly string[];
  };
};

export type AwsConfig = {
  readonly region: string;
  /** Null: the AWS endpoints of the region. */
  readonly endpointUrl: string | null;
};

export type ScalingConfig = {
  readonly cluster: string;
  readonly service: string;
  readonly min: number;
  readonly max: number;
  readonly perWorker: number;
  readonly outAbove: number;
  readonly inBelow: number;
  readonly outCooldownMs: number;
  readonly inCooldownMs: number;
  readonly intervalMs: number;
};

export type MetricsConfig = {
  /** Served at `/metrics`. */
  readonly prometheus: boolean;
  /** Written as lines. */
  readonly emf: boolean;
  readonly namespace: string;
  /** The dimension `Stack`. */
  readonly stack: string;
  readonly intervalMs: number;
};

export type DatabaseConfig = {
  readonly url: string;
  /** Null: the credentials are in the URL. */
  readonly secretArn: string | null;
  /** Null: the certificate authorities Node comes with. */
  readonly caFile: string | null;
  readonly pool: number;
  readonly queryTimeoutMs: number;
  /** How long a start waits for a migration. */
  readonly schemaWaitMs: number;
};

export type LogConfig = {
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** A line when an attempt starts and one when it succeeds. */
  readonly tasks: boolean;
};

/** The environment as it is, for processes that this one starts. */
export function environmentOfProcess(): Readonly<Record<string, string | undefined>> {
  return process.env;
}

/** The key that the command line sends; undefined: none. */
export function apiKeyOfProcess(): string | undefined {
  return textOf("TASKIQ_API_KEY", VARIABLES.TASKIQ_API_KEY, process.env);
}

/**
 * The configuration of this process, from its environment.
 * `overrides` are variables that were given another way, such as on the command line; they win.
 */
export function configFromProcess(overrides: Source = {}): Config {
  return loadConfig({ ...process.env, ...overrides });
}

/**
 * Reads the configuration out of environment variables, and out of the file that TASKIQ_CONFIG names for what they leave out. An empty variable
 * counts as unset.
 * Throws TaskiqError `config_invalid` with every problem at once, one a line; `details` is the list of them.
 */
export function loadConfig(env: Source): Config {
  const path = textOf("TASKIQ_CONFIG", PROCESS.TASKIQ_CONFIG, env);
  const file = path === undefined ? NO_FILE : readConfigFile(path);
  const given = givenSettings(VARIABLES, env, file, Object.keys(CLIENT));
  if (given(PROCESS).raw.SERVICE_ROLE === "migrate") {
    return migrateConfig(read(MIGRATE_VARIABLES, [], given(MIGRATE_VARIABLES)));
  }
  const values = read(VARIABLES, RULES, withDefaultQueue(given(VARIABLES)));
  const role = values.SERVICE_ROLE;
  return role === "migrate" ? migrateConfig(values) : serviceConfig(values, role);
}

function read<T extends Table>(table: T, rules: readonly Rule[], given: Given): Values<T> {
  const { raw } = given;
  const shape = Object.fromEntries(Object.entries(table).map(([name, variable]) => [name, variable.schema]));
  const result = rules.reduce(withRule, z.object(shape)).safeParse(raw);
  const invalid = result.success ? [] : describeIssues(table, given, result.error.issues);
  const all = [...invalid, ...given.problems];
  if (result.success && all.length === 0) {
    // The keys and their types are those of the table, which the shape was made of entry by entry.
    return result.data as Values<T>;
  }
  const message = all.length === 1 ? String(all[0]) : `${all.length} problems in the configuration:\n${all.join("\n")}`;
  throw new TaskiqError("config_invalid", message, { details: all });
}

/** The schema with one more rule, which runs beside problems of other variables, so that all are reported at once. */
function withRule(schema: z.ZodObject, rule: Rule): z.ZodObject {
  const concerned: readonly string[] = [rule.name, ...rule.reads];
  // Rules are only used with the whole table, and run once every variable they read has been parsed.
  const values = (input: unknown) => input as Values<typeof VARIABLES>;
  return schema.refine((input) => rule.holds(values(input)), {
    path: [rule.name],
    error: ({ input }) => `expected ${rule.expected(values(input))}`,
    params: { hint: rule.hint },
    when: ({ issues }) => !issues.some((issue) => concerned.includes(String(issue.path?.[0]))),
  });
}

/** The text of a variable or of the first of its aliases that is set. */
function textOf(name: string, variable: Variable<unknown>, env: Source): string | undefined {
  for (const candidate of [name, ...variable.aliases]) {
    const value = env[candidate]?.trim();
    if (value !== undefined && value !== "") return value;
  }
  return undefined;
}

function migrateConfig(values: Values<typeof MIGRATE_VARIABLES>): MigrateConfig {
  return { role: "migrate", database: databaseConfig(values), aws: awsConfig(values), log: logConfig(values) };
}

function serviceConfig(values: Values<typeof VARIABLES>, role: ServiceConfig["role"]): ServiceConfig {
  return {
    role,
    database: databaseConfig(values),
    log: logConfig(values),
    aws: awsConfig(values),
    queues: polledQueues(values.TASKIQ_QUEUES),
    cancelQueueUrl: cancelQueueUrl(values.TASKIQ_QUEUES),
    http: {
      host: values.TASKIQ_HTTP_HOST,
      port: values.TASKIQ_HTTP_PORT,
      maxBodyBytes: values.TASKIQ_MAX_BODY_BYTES,
      demo: values.TASKIQ_DEMO === "on",
      logsUrl: values.TASKIQ_LOGS_URL,
    },
    access: {
      auth: values.TASKIQ_API_AUTH,
      environment: values.TASKIQ_KEY_ENVIRONMENT,
      auditRetentionMs: values.TASKIQ_AUDIT_RETENTION_MS,
    },
    submit: {
      groupCommitMs: values.TASKIQ_GROUP_COMMIT_MS,
      idempotencyTtlMs: values.TASKIQ_IDEMPOTENCY_TTL_MS,
      maxDelayMs: values.TASKIQ_MAX_DELAY_MS,
    },
    worker: workerConfig(values),
    executor: {
      announceIntervalMs: values.TASKIQ_ANNOUNCE_INTERVAL_MS,
      reapIntervalMs: values.TASKIQ_REAP_INTERVAL_MS,
      ringAgainAfterMs: values.TASKIQ_RING_AGAIN_AFTER_MS,
      ringAgainIntervalMs: values.TASKIQ_RING_AGAIN_INTERVAL_MS,
      pruneIntervalMs: values.TASKIQ_PRUNE_INTERVAL_MS,
      pythonIntervalMs: values.TASKIQ_PYTHON_INTERVAL_MS,
      retentionMs: values.TASKIQ_RETENTION_MS,
    },
    payload: {
      bucket: values.TASKIQ_S3_BUCKET,
      inlineBytes: values.TASKIQ_INLINE_PAYLOAD_BYTES,
      maxBytes: values.TASKIQ_MAX_PAYLOAD_BYTES,
    },
    scaling: scalingConfig(values),
    protection: {
      agentUrl: values.ECS_AGENT_URI,
      metadataUrl: values.ECS_CONTAINER_METADATA_URI_V4,
      afterMs: values.TASKIQ_PROTECT_AFTER_MS,
      limitMs: values.TASKIQ_PROTECT_LIMIT_MS,
    },
    metrics:
      values.TASKIQ_METRICS.length === 0
        ? null
        : {
            prometheus: values.TASKIQ_METRICS.includes("prometheus"),
            emf: values.TASKIQ_METRICS.includes("emf"),
            namespace: values.TASKIQ_METRICS_NAMESPACE,
            stack: values.TASKIQ_METRICS_STACK,
            intervalMs: values.TASKIQ_METRICS_INTERVAL_MS,
          },
    tracing: tracingConfig(values),
    tasks: {
      modules: values.TASKIQ_TASK_MODULES,
      warmProcesses: values.TASKIQ_PROCESS_WARM,
      processEnvNames: values.TASKIQ_PROCESS_ENV,
      commandEnvNames: values.TASKIQ_COMMANDS === "on" ? values.TASKIQ_COMMAND_ENV : null,
      commandInheritedNames: values.TASKIQ_COMMAND_INHERIT_ENV,
    },
  };
}

function scalingConfig(values: Values<typeof VARIABLES>): ScalingConfig | null {
  const { TASKIQ_SCALING_CLUSTER: cluster, TASKIQ_SCALING_SERVICE: service } = values;
  // The rules ask for both where the scaler is on.
  if (values.TASKIQ_SCALING === "off" || cluster === null || service === null) return null;
  return {
    cluster,
    service,
    min: values.TASKIQ_SCALING_MIN,
    max: values.TASKIQ_SCALING_MAX,
    perWorker: values.TASKIQ_SCALING_PER_WORKER,
    outAbove: values.TASKIQ_SCALING_OUT_ABOVE,
    inBelow: values.TASKIQ_SCALING_IN_BELOW,
    outCooldownMs: values.TASKIQ_SCALING_OUT_COOLDOWN_MS,
    inCooldownMs: values.TASKIQ_SCALING_IN_COOLDOWN_MS,
    intervalMs: values.TASKIQ_SCALING_INTERVAL_MS,
  };
}

function tracingConfig(values: Values<typeof VARIABLES>): TracingConfig | null {
  const { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: own, OTEL_EXPORTER_OTLP_ENDPOINT: base } = values;
  const url = own ?? (base === null ? null : `${base.replace(/\/+$/, "")}/v1/traces`);
  const wanted = values.OTEL_TRACES_EXPORTER?.split(",").map((word) => word.trim()) ?? (url === null ? [] : ["otlp"]);
  const exporter = (["otlp", "console"] as const).find((known) => wanted.includes(known));
  if (values.OTEL_SDK_DISABLED?.toLowerCase() === "true" || exporter === undefined) return null;
  return {
    exporter,
    url,
    serviceName: values.OTEL_SERVICE_NAME,
    sampler: values.OTEL_TRACES_SAMPLER,
    samplerRatio: Number(values.OTEL_TRACES_SAMPLER_ARG),
  };
}

function awsConfig(values: Values<typeof MIGRATE_VARIABLES>): AwsConfig {
  return { region: values.AWS_REGION, endpointUrl: values.AWS_ENDPOINT_URL };
}

function workerConfig(values: Values<typeof VARIABLES>): ServiceConfig["worker"] {
  const named = [...new Set(values.TASKIQ_WORKER_QUEUES)];
  return {
    name: values.TASKIQ_WORKER_NAME,
    queues: named.length > 0 ? named : servedQueues(values.TASKIQ_QUEUES).map((queue) => queue.name),
    slots: values.TASKIQ_WORKER_SLOTS,
    leaseMs: values.TASKIQ_LEASE_MS,
    extendIntervalMs: values.TASKIQ_EXTEND_INTERVAL_MS,
    graceMs: values.TASKIQ_GRACE_MS,
    drainBudgetMs: values.TASKIQ_DRAIN_BUDGET_MS,
    drainWorkMs: values.TASKIQ_DRAIN_WORK_MS,
    commitTimeoutMs: values.TASKIQ_COMMIT_TIMEOUT_MS,
    receiveWaitMs: values.TASKIQ_RECEIVE_WAIT_MS,
    completeLingerMs: values.TASKIQ_COMPLETE_LINGER_MS,
    unknownTaskAfterMs: values.TASKIQ_UNKNOWN_TASK_AFTER_MS,
    probe: values.TASKIQ_PROBE_PORT === 0 ? null : { host: values.TASKIQ_PROBE_HOST, port: values.TASKIQ_PROBE_PORT },
  };
}

function databaseConfig(values: Values<typeof MIGRATE_VARIABLES>): DatabaseConfig {
  return {
    url: values.DATABASE_URL,
    secretArn: values.TASKIQ_DATABASE_SECRET_ARN,
    caFile: values.TASKIQ_DATABASE_CA_FILE,
    pool: values.TASKIQ_DATABASE_POOL,
    queryTimeoutMs: values.TASKIQ_QUERY_TIMEOUT_MS,
    schemaWaitMs: values.TASKIQ_SCHEMA_WAIT_MS,
  };
}

function logConfig(values: Values<typeof MIGRATE_VARIABLES>): LogConfig {
  return {
    level: values.TASKIQ_LOG_LEVEL,
    format: values.TASKIQ_LOG_FORMAT,
    tasks: values.TASKIQ_LOG === "tasks",
  };
}
