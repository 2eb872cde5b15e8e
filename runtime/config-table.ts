/**
 * Every environment variable, in one table: what it means, its unit, bounds and default, and the rules between them.
 * The schema, the error messages and `.env.example` are all made from it, so an operator never meets a variable that
 * is described one way and checked another. It is long because there are many variables; there is no logic in it.
 */

import { z } from "zod";
import { KEY_ENVIRONMENT } from "./access/key.ts";
import { TENANT_NAME, TENANT_NAME_RULE } from "./access/scope.ts";
import type { Given } from "./config-source.ts";
import {
  choice,
  choices,
  commaList,
  integer,
  optionalText,
  requiredJson,
  requiredText,
  text,
  type Variable,
} from "./config-variable.ts";
import { LOG_FORMATS, LOG_LEVELS } from "./log.ts";
import { EXCLUSIONS, PLACE_IN_BUCKET, type QueueOptions } from "./model/queue.ts";

export const SERVICE_ROLES = ["all", "api", "worker", "executor", "migrate"] as const;
export type ServiceRole = (typeof SERVICE_ROLES)[number];

export const QUEUE_TYPES = ["standard", "fifo", "cancel"] as const;

/** A queue that workers poll. */
export type QueueConfig = {
  readonly name: string;
  readonly url: string;
  readonly deadLetterUrl: string;
  readonly options: QueueOptions;
};

const WEIGHT_RULE = "expected an integer from 1 to 100";
const MAX_RUNNING_RULE = "expected an integer from 1, or null";
const PER_SECOND_RULE = "expected a number above 0, or null";
const MAX_SLOTS_RULE = "expected an integer from 1 to 1000, or null";

const PLACE_RULE = "expected the beginning of keys in the payload bucket, such as results/, and not v1/";

const queueShape = z
  .strictObject(
    {
      name: z.string({ error: queueNameRule }).regex(/^[a-z][a-z0-9-]{0,39}$/, { error: queueNameRule }),
      url: z.url({ protocol: /^https?$/, error: "expected the URL of the queue" }),
      /** Every queue has one but the cancel queue, which carries no tasks. */
      deadLetterUrl: z.url({ protocol: /^https?$/, error: "expected the URL of the dead-letter queue" }).optional(),
      type: z.enum(QUEUE_TYPES, { error: `expected one of ${QUEUE_TYPES.join(", ")}` }).default("standard"),
      fair: z.boolean({ error: "expected true or false" }).default(false),
      order: z.enum(["named", "priority"], { error: "expected one of named, priority" }).default("named"),
      delayByPriority: z.boolean({ error: "expected true or false" }).default(false),
      weight: z.int({ error: WEIGHT_RULE }).min(1, WEIGHT_RULE).max(100, WEIGHT_RULE).default(1),
      maxSlots: z
        .int({ error: MAX_SLOTS_RULE })
        .min(1, MAX_SLOTS_RULE)
        .max(1_000, MAX_SLOTS_RULE)
        .nullable()
        .default(null),
      maxRunning: z.int({ error: MAX_RUNNING_RULE }).min(1, MAX_RUNNING_RULE).nullable().default(null),
      perSecond: z.number({ error: PER_SECOND_RULE }).positive(PER_SECOND_RULE).nullable().default(null),
      accepts: z
        .strictObject(
          {
            tasks: z.array(z.string().min(1).max(200)).min(1).nullable().default(null),
            tenant: z.string().regex(TENANT_NAME, { error: TENANT_NAME_RULE }).default("default"),
            extendedPrefix: z.string().regex(PLACE_IN_BUCKET, { error: PLACE_RULE }).default(""),
          },
          { error: "expected null, or an object with tasks, tenant and extendedPrefix, each if at all" },
        )
        .nullable()
        .default(null),
      results: z
        .strictObject(
          { basePath: z.string().regex(PLACE_IN_BUCKET, { error: PLACE_RULE }).default("") },
          { error: 'expected null, or an object with basePath, for example {"basePath":"results"}' },
        )
        .nullable()
        .default(null),
      wire: z.enum(["doorbell", "taskiq"], { error: "expected one of doorbell, taskiq" }).default("doorbell"),
    },
    { error: "expected an object with name, url, deadLetterUrl and, if at all, type and options of the queue" },
  )
  .readonly();

/** What differs from the defaults on a cancel queue, which carries no tasks. */
function optionsOf({
  name: _name,
  url: _url,
  deadLetterUrl: _dead,
  type,
  ...options
}: z.infer<typeof queueShape>): QueueOptions {
  return { type: type === "fifo" ? "fifo" : "standard", ...options };
}

function queueNameRule(): string {
  return "expected a name of up to 40 lower-case letters, digits and hyphens that starts with a letter";
}

const queuesShape = z
  .array(queueShape, { error: "expected a JSON list of queues" })
  .readonly()
  .superRefine((queues, context) => {
    const names = queues.map((queue) => queue.name);
    const urls = queues.map((queue) => queue.url);
    if (!queues.some((queue) => queue.name === "default" && queue.type === "standard")) {
      context.addIssue('expected a queue named "default"');
    }
    if (queues.filter((queue) => queue.type === "cancel").length > 1) {
      context.addIssue('expected at most one queue of type "cancel"');
    }
    for (const [index, queue] of queues.entries()) {
      const complain = (field: string, message: string) =>
        context.addIssue({ code: "custom", path: [index, field], message });
      if (names.indexOf(queue.name) !== index) complain("name", "expected a name no other queue has");
      if (urls.indexOf(queue.url) !== index) complain("url", "expected a URL no other queue has");
      const { type, deadLetterUrl } = queue;
      if (type === "cancel" && deadLetterUrl !== undefined)
        complain("deadLetterUrl", "expected none on a cancel queue");
      if (type !== "cancel" && deadLetterUrl === undefined) {
        complain("deadLetterUrl", "expected the URL of the dead-letter queue");
      }
      for (const { applies, option, expected } of EXCLUSIONS) {
        if (applies(optionsOf(queue))) complain(option, expected);
      }
      // What is dead-lettered into a queue that is polled would come back for ever.
      if (deadLetterUrl !== undefined && urls.includes(deadLetterUrl)) {
        complain("deadLetterUrl", "expected a queue that no worker polls");
      }
    }
  });

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

const hostRule = {
  expected: "an IP address or a host name",
  hint: "For example 127.0.0.1.",
  pattern: (value: string) => /^[A-Za-z0-9.:_-]{1,253}$/.test(value),
};

export const PROCESS = {
  SERVICE_ROLE: choice({
    meaning:
      "What this process is: the HTTP API with the executor loops, a worker, the executor loops alone, a migration of the database that then exits, or API, loops and worker in one.",
    words: SERVICE_ROLES,
    default: "all",
  }),
  TASKIQ_CONFIG: optionalText({
    meaning:
      "A YAML file with settings by the names of these variables. What is set in the environment wins; --config of the command line names the file too.",
    expected: "the path of a file",
    hint: "Leave it empty to be configured by the environment alone.",
    example: "",
    pattern: (value) => !value.includes("\0"),
  }),
};

const DATABASE = {
  DATABASE_URL: requiredText({
    meaning: "The Postgres database (15 or newer), which holds every task.",
    expected: "a URL that starts with postgres:// or postgresql://",
    hint: "Percent-encode what is special in the password, for example # as %23.",
    example: "postgres://taskiq:change-me@localhost:5432/taskiq",
    pattern: (value) => /^postgres(ql)?:\/\/\S+$/.test(value) && URL.canParse(value),
    secret: true,
  }),
  TASKIQ_DATABASE_SECRET_ARN: optionalText({
    meaning:
      'The secret in Secrets Manager with the database\'s credentials, a JSON object with "username" and "password"; DATABASE_URL then names the user and has no password. Read again whenever the database refuses them, so a rotation needs no restart.',
    expected: "the ARN of a secret",
    hint: "Leave it empty to use the credentials of DATABASE_URL.",
    example: "arn:aws:secretsmanager:us-east-1:111122223333:secret:taskiq-database-AbCdEf",
    pattern: (value) => /^arn:[\w-]+:secretsmanager:[a-z0-9-]+:\d{12}:secret:\S+$/.test(value),
  }),
  TASKIQ_DATABASE_CA_FILE: optionalText({
    meaning: "A file with the certificate authorities that the database's certificate is checked against (PEM).",
    expected: "the path of a file",
    hint: "The image has the bundle of RDS at /app/rds-global-bundle.pem.",
    example: "/app/rds-global-bundle.pem",
    pattern: (value) => !value.includes("\0"),
  }),
  TASKIQ_DATABASE_POOL: integer({
    meaning: "Connections this process opens at most. Heartbeats have one of their own besides.",
    unit: "count",
    min: 1,
    max: 200,
    default: 10,
  }),
  TASKIQ_SCHEMA_WAIT_MS: integer({
    meaning:
      "How long a starting process waits for a migration when the database's schema is older than its code; then it exits.",
    unit: "milliseconds",
    min: 0,
    max: HOUR_MS,
    default: 300_000,
  }),
  TASKIQ_QUERY_TIMEOUT_MS: integer({
    meaning: "How long this process waits for the answer to a statement before it gives the connection up.",
    unit: "milliseconds",
    min: 500,
    max: 5 * MINUTE_MS,
    default: 8_000,
  }),
};

const LOG = {
  TASKIQ_LOG_LEVEL: choice({ meaning: "The least level that is written.", words: LOG_LEVELS, default: "info" }),
  TASKIQ_LOG_FORMAT: choice({
    meaning: "One JSON object a line for machines, or one readable line an event.",
    words: LOG_FORMATS,
    default: "json",
  }),
  TASKIQ_LOG: optionalText({
    meaning:
      '"tasks" writes a line when an attempt starts and one when it succeeds; at high rates that costs more than the queue.',
    expected: '"tasks" or nothing',
    hint: "Leave it empty to log only what goes wrong.",
    example: "tasks",
    pattern: (value) => value === "tasks",
  }),
};

/** For the command line, which reads them in the environment. */
export const CLIENT = {
  TASKIQ_URL: optionalText({
    meaning: "Where the command line finds the API, unless --url says so. No other process reads it.",
    expected: "an http or https URL",
    hint: "Leave it empty for http://127.0.0.1:8080, where the demo listens.",
    example: "https://tasks.example.com",
    pattern: (value) => URL.canParse(value) && /^https?:/.test(value),
  }),
  TASKIQ_API_KEY: optionalText({
    meaning: "The key that the command line sends. No other process reads it.",
    expected: "the text of a key",
    hint: "It starts with tq_; taskiq-aws keygen makes one.",
    example: "tq_local_...",
    pattern: (value) => /^[!-~]{1,200}$/.test(value),
    secret: true,
  }),
};

/** A migration reads its database's credentials there as well. */
const PLACE = {
  AWS_REGION: text({
    meaning: "The region of the queues and the bucket.",
    expected: "the name of an AWS region",
    hint: "For example us-east-1.",
    default: "us-east-1",
    pattern: (value) => /^[a-z0-9-]{1,40}$/.test(value),
    aliases: ["AWS_DEFAULT_REGION"],
  }),
  AWS_ENDPOINT_URL: optionalText({
    meaning: "Where SQS, S3, ECS and Secrets Manager are, when not at AWS: an emulator's address.",
    expected: "an http or https URL",
    hint: "Leave it empty for AWS itself.",
    example: "http://localhost:4566",
    pattern: isHttpUrl,
    aliases: ["DAGSTER_TASKIQ_SQS_ENDPOINT_URL", "DAGSTER_TASKIQ_S3_ENDPOINT_URL"],
  }),
};

function isHttpUrl(value: string): boolean {
  return /^https?:\/\//.test(value) && URL.canParse(value);
}

const AWS = {
  TASKIQ_QUEUES: requiredJson({
    meaning:
      'The queues, as JSON. One is named "default"; each has the URL of its dead-letter queue. "type" is "standard" when left out, or "fifo", or "cancel" for the one queue that asks for cancellations. Options: "fair" (standard queues: tenants share the workers), "order" ("priority": the best task first), "delayByPriority", "weight" (1 to 100: share of a worker\'s free slots), "maxSlots" (most slots of one worker), "maxRunning" and "perSecond" (limits in the whole fleet), "accepts" ({"tasks": names or null for all, "tenant", "extendedPrefix"}: tasks may come as messages of other producers), "results" ({"basePath"}: where these look for results), "wire" ("taskiq": workers of Python serve the queue).',
    shape: queuesShape,
    expected: "a JSON list of queues",
    hint: 'Each queue is written {"name":"default","url":"https://…","deadLetterUrl":"https://…"}.',
    example:
      '[{"name":"default","url":"http://localhost:4566/000000000000/taskiq-default","deadLetterUrl":"http://localhost:4566/000000000000/taskiq-dead-letter"}]',
  }),
  TASKIQ_QUEUE_URL: optionalText({
    meaning:
      "The URL of the default queue, a standard one, where it is the only queue. Not read where TASKIQ_QUEUES is set.",
    expected: "the URL of a standard queue",
    hint: "For FIFO queues, or several, set TASKIQ_QUEUES.",
    example: "http://localhost:4566/000000000000/taskiq-default",
    pattern: (value) => isHttpUrl(value) && !value.endsWith(".fifo"),
    aliases: ["DAGSTER_TASKIQ_SQS_QUEUE_URL", "DAGSTER_TASKIQ_QUEUE_URL", "DAGSTER_SQS_QUEUE_URL"],
  }),
  TASKIQ_DEAD_LETTER_URL: optionalText({
    meaning: "The URL of the dead-letter queue of TASKIQ_QUEUE_URL, and needed with it.",
    expected: "the URL of a queue",
    hint: "It is the target of the queue's redrive policy.",
    example: "http://localhost:4566/000000000000/taskiq-dead-letter",
    pattern: isHttpUrl,
  }),
  TASKIQ_S3_BUCKET: requiredText({
    meaning: "The bucket for inputs and results above TASKIQ_INLINE_PAYLOAD_BYTES.",
    expected: "the name of an S3 bucket",
    hint: "A name has 3 to 63 lower-case letters, digits, dots and hyphens.",
    example: "taskiq-payloads",
    aliases: ["DAGSTER_TASKIQ_S3_BUCKET_NAME", "DAGSTER_S3_BUCKET"],
    pattern: (value) => /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(value),
  }),
};

const PAYLOAD = {
  TASKIQ_INLINE_PAYLOAD_BYTES: integer({
    meaning: "An input or result up to this size is kept in its row, a larger one in S3.",
    unit: "bytes",
    min: 0,
    max: 1_048_576,
    default: 65_536,
  }),
  TASKIQ_MAX_PAYLOAD_BYTES: integer({
    meaning: "An input or result above this size is refused.",
    unit: "bytes",
    min: 1_024,
    max: 268_435_456,
    default: 16_777_216,
  }),
};

const HTTP = {
  TASKIQ_HTTP_HOST: text({ meaning: "The address the API listens on.", ...hostRule, default: "0.0.0.0" }),
  TASKIQ_HTTP_PORT: integer({
    meaning: "The port the API listens on; 0 takes any free one.",
    unit: "count",
    min: 0,
    max: 65_535,
    default: 8_080,
  }),
  TASKIQ_DEMO: choice({
    meaning: "Whether the demonstration's routes are served: POST /tasks and GET /tasks/{id}, for sleep tasks.",
    words: ["on", "off"],
    default: "on",
  }),
  TASKIQ_LOGS_URL: optionalText({
    meaning:
      "Where the dashboard sends people who want the logs of a task; {taskId} stands for its id. Unset: it shows no link.",
    expected: "an http or https URL with {taskId} in it",
    hint: "For example https://logs.example.com/search?q={taskId}.",
    example: "https://logs.example.com/search?q={taskId}",
    pattern: (value) => /^https?:\/\/\S+$/.test(value) && URL.canParse(value) && value.includes("{taskId}"),
  }),
  TASKIQ_MAX_BODY_BYTES: integer({
    meaning: "A request body above this size is refused with 413.",
    unit: "bytes",
    min: 1_024,
    max: 67_108_864,
    default: 1_048_576,
  }),
};

const ACCESS = {
  TASKIQ_API_AUTH: choice({
    meaning:
      "Whether the API asks for a key (keys), or does whatever anybody asks (none), which is for one's own machine and for networks where everybody may do everything. The first key is made with: taskiq-aws keygen.",
    words: ["keys", "none"],
    default: "keys",
  }),
  TASKIQ_KEY_ENVIRONMENT: text({
    meaning: "The word in the text of new keys that tells people which deployment they open.",
    expected: "up to 20 lower-case letters, digits and hyphens",
    hint: "For example production.",
    default: "local",
    pattern: (value) => KEY_ENVIRONMENT.test(value),
  }),
  TASKIQ_AUDIT_RETENTION_MS: integer({
    meaning: "How long is kept who did what, and which keys there were.",
    unit: "milliseconds",
    min: HOUR_MS,
    max: 3_650 * DAY_MS,
    default: 400 * DAY_MS,
  }),
};

const SUBMIT = {
  TASKIQ_GROUP_COMMIT_MS: integer({
    meaning: "How long a request waits for others, to be written in one statement with them.",
    unit: "milliseconds",
    min: 0,
    max: 1_000,
    default: 2,
  }),
  TASKIQ_IDEMPOTENCY_TTL_MS: integer({
    meaning: "How long an Idempotency-Key is remembered.",
    unit: "milliseconds",
    min: 1_000,
    max: 365 * DAY_MS,
    default: DAY_MS,
  }),
  TASKIQ_MAX_DELAY_MS: integer({
    meaning: "The longest delay a task may be submitted with.",
    unit: "milliseconds",
    min: 0,
    max: 3_650 * DAY_MS,
    default: 365 * DAY_MS,
  }),
};

const ENVIRONMENT_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,199}$/;

const WORKER = {
  TASKIQ_WORKER_NAME: optionalText({
    meaning: "The worker's name in logs and in the list of workers. Without one: host, process id and a random suffix.",
    expected: "up to 100 letters, digits, dots, colons, hyphens and underscores",
    hint: "No two workers may have the same name.",
    example: "worker-1",
    pattern: (value) => /^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$/.test(value),
  }),
  TASKIQ_WORKER_QUEUES: commaList({
    meaning: "Names of the queues this worker polls, separated by commas. Without any: all.",
    expected: "names of queues, separated by commas",
    hint: "The names are those of TASKIQ_QUEUES.",
    example: "default",
    pattern: (value) => value !== "",
  }),
  TASKIQ_WORKER_SLOTS: integer({
    meaning: "How many attempts run at once in this worker.",
    unit: "count",
    min: 1,
    max: 1_000,
    default: 10,
  }),
  TASKIQ_LEASE_MS: integer({
    meaning:
      "How long a worker owns an attempt without renewing it. A dead worker's tasks run elsewhere after this time.",
    unit: "milliseconds",
    min: 2_000,
    max: 600_000,
    default: 30_000,
  }),
  TASKIQ_EXTEND_INTERVAL_MS: integer({
    meaning: "How often a worker renews its leases; at most a third of TASKIQ_LEASE_MS.",
    unit: "milliseconds",
    min: 100,
    max: 200_000,
    default: 10_000,
  }),
  TASKIQ_GRACE_MS: integer({
    meaning: "How long attempts that a drain aborts may take to end; a task's own graceMs counts where it is shorter.",
    unit: "milliseconds",
    min: 0,
    max: 10 * MINUTE_MS,
    default: 10_000,
  }),
  TASKIQ_DRAIN_BUDGET_MS: integer({
    meaning:
      "How long a process may take to stop after SIGTERM. ECS kills it after the task definition's stopTimeout (at most 120 s on Fargate), which must not be shorter.",
    unit: "milliseconds",
    min: 1_000,
    max: HOUR_MS,
    default: 120_000,
  }),
  TASKIQ_DRAIN_WORK_MS: integer({
    meaning:
      "How much of TASKIQ_DRAIN_BUDGET_MS running attempts have to finish before they are aborted and requeued; with TASKIQ_GRACE_MS it must fit into the budget.",
    unit: "milliseconds",
    min: 0,
    max: HOUR_MS,
    default: 100_000,
  }),
  TASKIQ_COMMIT_TIMEOUT_MS: integer({
    meaning: "How long a task's commit(tx) and its transaction may take; at most TASKIQ_QUERY_TIMEOUT_MS.",
    unit: "milliseconds",
    min: 100,
    max: 5 * MINUTE_MS,
    default: 5_000,
  }),
  TASKIQ_RECEIVE_WAIT_MS: integer({
    meaning: "How long a poll waits for a first message. SQS counts in whole seconds, to 20.",
    unit: "milliseconds",
    min: 0,
    max: 20_000,
    step: 1_000,
    default: 20_000,
  }),
  TASKIQ_COMPLETE_LINGER_MS: integer({
    meaning: "How long a finished attempt waits for others, to be recorded in one statement with them.",
    unit: "milliseconds",
    min: 0,
    max: 1_000,
    default: 3,
  }),
  TASKIQ_UNKNOWN_TASK_AFTER_MS: integer({
    meaning: "How long a task that no worker knows is offered before it fails; it must outlast a rolling deployment.",
    unit: "milliseconds",
    min: 1_000,
    max: 30 * DAY_MS,
    default: HOUR_MS,
  }),
  TASKIQ_PROBE_HOST: text({
    meaning: "The address of a worker's liveness server (GET /livez).",
    ...hostRule,
    default: "127.0.0.1",
  }),
  TASKIQ_PROBE_PORT: integer({
    meaning:
      "The port of a worker's or an executor's liveness server, which serves /metrics as well; 0 turns it off. Processes on one machine need different ones.",
    unit: "count",
    min: 0,
    max: 65_535,
    default: 8_081,
  }),
  TASKIQ_PROCESS_WARM: integer({
    meaning:
      "Processes forked ahead for tasks with isolation process, for each combination of memoryMb and awsCredentials; none where no task wants one.",
    unit: "count",
    min: 0,
    max: 100,
    default: 1,
  }),
  TASKIQ_PROCESS_ENV: commaList({
    meaning:
      "Names of variables that tasks with isolation process are given although their names or values look like secrets. Not for AWS_* (awsCredentials of the task) and not for variables of this product.",
    expected: "names of environment variables, separated by commas",
    hint: "For example STRIPE_API_KEY.",
    example: "STRIPE_API_KEY",
    pattern: (value) => ENVIRONMENT_NAME.test(value),
  }),
  TASKIQ_COMMANDS: choice({
    meaning:
      "Whether the task `command` exists here. In an API it may then be submitted; in a worker it runs programs as the worker's user.",
    words: ["on", "off"],
    default: "off",
  }),
  TASKIQ_COMMAND_ENV: commaList({
    meaning: "Names of variables that the caller of a command may set for it. Without any: none.",
    expected: "names of environment variables, separated by commas",
    hint: "For example DAGSTER_RUN_ID.",
    example: "DAGSTER_RUN_ID",
    pattern: (value) => ENVIRONMENT_NAME.test(value),
  }),
  TASKIQ_COMMAND_INHERIT_ENV: commaList({
    meaning:
      "Names of the worker's own variables that every command gets, beside PATH, HOME and the locale; whoever may submit a command can read them.",
    expected: "names of environment variables, separated by commas",
    hint: "For example DAGSTER_HOME,PGPASSWORD.",
    example: "DAGSTER_HOME",
    pattern: (value) => ENVIRONMENT_NAME.test(value),
  }),
  TASKIQ_TASK_MODULES: commaList({
    meaning: "Modules with further task definitions: paths or file: URLs, separated by commas.",
    expected: "paths or file: URLs, separated by commas",
    hint: "For example ./tasks/images.ts,./tasks/mail.ts.",
    example: "./tasks/images.ts",
    pattern: (value) => value !== "",
  }),
};

const EXECUTOR = {
  TASKIQ_ANNOUNCE_INTERVAL_MS: integer({
    meaning: "How often the outbox is searched for messages that are due.",
    unit: "milliseconds",
    min: 10,
    max: MINUTE_MS,
    default: 250,
  }),
  TASKIQ_REAP_INTERVAL_MS: integer({
    meaning: "How often tasks of dead workers are searched for.",
    unit: "milliseconds",
    min: 100,
    max: 5 * MINUTE_MS,
    default: 2_000,
  }),
  TASKIQ_RING_AGAIN_AFTER_MS: integer({
    meaning: "How long an announced task may wait before it is announced again, in case its message was lost.",
    unit: "milliseconds",
    min: 100,
    max: DAY_MS,
    default: 300_000,
  }),
  TASKIQ_RING_AGAIN_INTERVAL_MS: integer({
    meaning: "How often such tasks are searched for.",
    unit: "milliseconds",
    min: 100,
    max: HOUR_MS,
    default: 30_000,
  }),
  TASKIQ_PYTHON_INTERVAL_MS: integer({
    meaning:
      'How often tasks for queues with wire "taskiq" are handed out, and their results are looked for in S3: one request each time while any is out.',
    unit: "milliseconds",
    min: 50,
    max: MINUTE_MS,
    default: 500,
  }),
  TASKIQ_PRUNE_INTERVAL_MS: integer({
    meaning: "How often finished tasks beyond TASKIQ_RETENTION_MS are searched for.",
    unit: "milliseconds",
    min: 100,
    max: DAY_MS,
    default: 60_000,
  }),
  TASKIQ_RETENTION_MS: integer({
    meaning: "How long a finished task is kept, with its payloads; at least TASKIQ_IDEMPOTENCY_TTL_MS.",
    unit: "milliseconds",
    min: 1_000,
    max: 3_650 * DAY_MS,
    default: 30 * DAY_MS,
  }),
};

const SCALING = {
  TASKIQ_SCALING: choice({
    meaning:
      "Who sets the number of workers: somebody else (off), or the executor's own scaler (builtin), which reads the depth of the queues and calls ecs:UpdateService. Never builtin beside Application Auto Scaling.",
    words: ["off", "builtin"],
    default: "off",
  }),
  TASKIQ_SCALING_CLUSTER: optionalText({
    meaning: "The ECS cluster of the worker service.",
    expected: "the name of an ECS cluster",
    hint: "It is needed with TASKIQ_SCALING=builtin.",
    example: "taskiq",
    pattern: (value) => /^[A-Za-z0-9_-]{1,255}$/.test(value),
  }),
  TASKIQ_SCALING_SERVICE: optionalText({
    meaning: "The ECS service of the workers.",
    expected: "the name of an ECS service",
    hint: "It is needed with TASKIQ_SCALING=builtin.",
    example: "taskiq-worker",
    pattern: (value) => /^[A-Za-z0-9_-]{1,255}$/.test(value),
  }),
  TASKIQ_SCALING_MIN: integer({
    meaning: "Fewest workers; 0 lets the service go to sleep when nothing is queued.",
    unit: "count",
    min: 0,
    max: 1_000,
    default: 1,
  }),
  TASKIQ_SCALING_MAX: integer({
    meaning: "Most workers; their database connections must fit.",
    unit: "count",
    min: 1,
    max: 1_000,
    default: 20,
  }),
  TASKIQ_SCALING_PER_WORKER: integer({
    meaning:
      "How much backlog one worker is meant for: one scale-out never adds more workers than the backlog divided by this.",
    unit: "count",
    min: 1,
    max: 10_000,
    default: 5,
  }),
  TASKIQ_SCALING_OUT_ABOVE: integer({
    meaning: "More workers are started while the backlog is above this.",
    unit: "count",
    min: 0,
    max: 1_000_000,
    default: 50,
  }),
  TASKIQ_SCALING_IN_BELOW: integer({
    meaning: "Idle workers are stopped while the backlog is below this; at most TASKIQ_SCALING_OUT_ABOVE.",
    unit: "count",
    min: 0,
    max: 1_000_000,
    default: 10,
  }),
  TASKIQ_SCALING_OUT_COOLDOWN_MS: integer({
    meaning: "Least time between two scale-outs.",
    unit: "milliseconds",
    min: 0,
    max: HOUR_MS,
    default: 30_000,
  }),
  TASKIQ_SCALING_IN_COOLDOWN_MS: integer({
    meaning: "Least time between two scale-ins, and after a scale-out.",
    unit: "milliseconds",
    min: 0,
    max: HOUR_MS,
    default: 300_000,
  }),
  TASKIQ_SCALING_INTERVAL_MS: integer({
    meaning: "How often the builtin scaler looks.",
    unit: "milliseconds",
    min: 100,
    max: HOUR_MS,
    default: 5_000,
  }),
  ECS_AGENT_URI: optionalText({
    meaning:
      "Where the ECS agent listens; ECS sets it. A worker asks it for scale-in protection while an attempt runs longer than TASKIQ_PROTECT_AFTER_MS. Unset: nothing is asked.",
    expected: "an http URL",
    hint: "Leave it to ECS.",
    example: "http://169.254.170.2/api/task-id",
    pattern: (value) => /^http:\/\//.test(value) && URL.canParse(value),
  }),
  ECS_CONTAINER_METADATA_URI_V4: optionalText({
    meaning:
      "Where a container learns about itself; ECS sets it. A worker reads the revision of its task definition there, to notice a newer one.",
    expected: "an http URL",
    hint: "Leave it to ECS.",
    example: "http://169.254.170.2/v4/container-id",
    pattern: (value) => /^http:\/\//.test(value) && URL.canParse(value),
  }),
  TASKIQ_PROTECT_AFTER_MS: integer({
    meaning:
      "An attempt that has run this long protects its worker from being scaled in or replaced; shorter ones are finished by the drain.",
    unit: "milliseconds",
    min: 0,
    max: HOUR_MS,
    default: 1_000,
  }),
  TASKIQ_PROTECT_LIMIT_MS: integer({
    meaning:
      "How long a worker may hold up a new deployment: when its protection was refused, or workers of a newer revision have been alive, for this long, it takes no new work and drains.",
    unit: "milliseconds",
    min: 1_000,
    max: DAY_MS,
    default: 30 * MINUTE_MS,
  }),
};

const METRICS = {
  TASKIQ_METRICS: choices({
    meaning:
      "How metrics are shown: to whoever asks for /metrics of the API or of the liveness server (prometheus), and as lines on standard output in CloudWatch's embedded metric format (emf), which become metrics by themselves in a log group of ECS.",
    words: ["prometheus", "emf"],
    default: "prometheus",
  }),
  TASKIQ_METRICS_NAMESPACE: text({
    meaning: "The namespace of the metrics in CloudWatch.",
    expected: "up to 100 letters, digits, dots, slashes, hyphens and underscores",
    hint: "For example taskiq.",
    default: "taskiq",
    pattern: (value) => /^[A-Za-z0-9._/-]{1,100}$/.test(value),
  }),
  TASKIQ_METRICS_STACK: text({
    meaning: "The value of their dimension Stack, which tells the deployments of one account apart.",
    expected: "up to 100 letters, digits, dots, hyphens and underscores",
    hint: "For example production.",
    default: "local",
    pattern: (value) => /^[A-Za-z0-9._-]{1,100}$/.test(value),
  }),
  TASKIQ_METRICS_INTERVAL_MS: integer({
    meaning: "How often these lines are written, and how often the whole system is looked at for either.",
    unit: "milliseconds",
    min: 1_000,
    max: HOUR_MS,
    default: 20_000,
  }),
};

const NO_CONTROL = {
  expected: "a text without control characters",
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it is about.
  pattern: (value: string) => /^[^\u0000-\u001f\u007f]{1,1000}$/.test(value),
};
const ENDPOINT = {
  expected: "an http or https URL",
  pattern: (value: string) => /^https?:$/.test(URL.parse(value)?.protocol ?? ""),
};

/** By the names of OpenTelemetry; what else it names for exporters and resources the SDK reads from the environment by itself. */
const TRACING = {
  OTEL_EXPORTER_OTLP_ENDPOINT: optionalText({
    meaning:
      "Where spans are posted, as OTLP over HTTP in protobuf: the address of a collector, to which /v1/traces is added. OTEL_EXPORTER_OTLP_HEADERS, _TIMEOUT, _COMPRESSION, _CERTIFICATE and OTEL_RESOURCE_ATTRIBUTES are read as well, from the environment only.",
    ...ENDPOINT,
    hint: "For example http://localhost:4318.",
    example: "http://localhost:4318",
  }),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: optionalText({
    meaning: "The same for traces alone, as it is; it wins over the one for everything.",
    ...ENDPOINT,
    hint: "For example http://localhost:4318/v1/traces.",
    example: "http://localhost:4318/v1/traces",
  }),
  OTEL_TRACES_EXPORTER: optionalText({
    meaning:
      'Where spans go: "otlp", "console", which writes them to standard output between the lines of the log, or "none". Left out: "otlp" where there is an endpoint, else nowhere. Words that are unknown here count as none.',
    ...NO_CONTROL,
    hint: "For example otlp.",
    example: "otlp",
  }),
  OTEL_SDK_DISABLED: optionalText({
    meaning: '"true": no spans are collected, whatever else is set. Traces that callers begin go on nevertheless.',
    ...NO_CONTROL,
    hint: "For example true.",
    example: "true",
  }),
  OTEL_SERVICE_NAME: optionalText({
    meaning:
      "The name of the service that spans carry. Left out: that of OTEL_RESOURCE_ATTRIBUTES, else taskiq-aws-api and so on.",
    ...NO_CONTROL,
    hint: "For example orders-worker.",
    example: "orders-worker",
  }),
  OTEL_TRACES_SAMPLER: text({
    meaning:
      "Which traces are kept: always_on, always_off, traceidratio, or with parentbased_ in front, which goes by the caller where there is one.",
    ...NO_CONTROL,
    hint: "For example parentbased_traceidratio.",
    default: "parentbased_always_on",
  }),
  OTEL_TRACES_SAMPLER_ARG: text({
    meaning: "The share of traces that the samplers by ratio keep.",
    expected: "a number from 0 to 1",
    hint: "For example 0.1.",
    default: "1",
    pattern: (value) => /^(?:0|1|0?\.\d{1,9}|[01]\.\d{1,9})$/.test(value) && Number(value) <= 1,
  }),
};

/** The variables in the order of the example file. */
export const SECTIONS: readonly { readonly title: string; readonly variables: Record<string, Variable<unknown>> }[] = [
  { title: "The process", variables: PROCESS },
  { title: "Postgres", variables: DATABASE },
  { title: "AWS", variables: { ...PLACE, ...AWS } },
  { title: "Payloads", variables: PAYLOAD },
  { title: "The API", variables: HTTP },
  { title: "Access", variables: ACCESS },
  { title: "Submitting tasks", variables: SUBMIT },
  { title: "Workers", variables: WORKER },
  { title: "Executor loops", variables: EXECUTOR },
  { title: "Scaling", variables: SCALING },
  { title: "Metrics", variables: METRICS },
  { title: "Tracing", variables: TRACING },
  { title: "Logs", variables: LOG },
  { title: "The command line", variables: CLIENT },
];

/** The queues that carry tasks. */
export function polledQueues(queues: z.infer<typeof queuesShape>): readonly QueueConfig[] {
  return queues.flatMap((queue) => {
    const { name, url, deadLetterUrl } = queue;
    return deadLetterUrl === undefined ? [] : [{ name, url, deadLetterUrl, options: optionsOf(queue) }];
  });
}

/** Those that workers of ours poll. */
export function servedQueues(queues: z.infer<typeof queuesShape>): readonly QueueConfig[] {
  return polledQueues(queues).filter(({ options }) => options.wire === "doorbell");
}

/** The URL of the cancel queue; null where there is none. */
export function cancelQueueUrl(queues: z.infer<typeof queuesShape>): string | null {
  return queues.find(({ type }) => type === "cancel")?.url ?? null;
}

const NOWHERE = "http://localhost/nowhere";

/**
 * TASKIQ_QUEUES as TASKIQ_QUEUE_URL says it. What is wrong with that variable and its companion is told by their own names, so it does not matter
 * what stands here instead.
 */
export function withDefaultQueue(given: Given): Given {
  const { TASKIQ_QUEUES: queues, TASKIQ_QUEUE_URL: url, TASKIQ_DEAD_LETTER_URL: deadLetterUrl } = given.raw;
  if (queues !== undefined || url === undefined) return given;
  const isRight = AWS.TASKIQ_QUEUE_URL.schema.safeParse(url).success;
  const hasDead = deadLetterUrl !== undefined && AWS.TASKIQ_DEAD_LETTER_URL.schema.safeParse(deadLetterUrl).success;
  const queue = {
    name: "default",
    url: isRight ? url : `${NOWHERE}/queue`,
    deadLetterUrl: hasDead ? deadLetterUrl : `${NOWHERE}/dead`,
  };
  const origin = "of TASKIQ_QUEUE_URL and TASKIQ_DEAD_LETTER_URL";
  return {
    ...given,
    raw: { ...given.raw, TASKIQ_QUEUES: JSON.stringify([queue]) },
    origins: { ...given.origins, TASKIQ_QUEUES: origin },
  };
}

/** What a migration needs to know. */
export const MIGRATE_VARIABLES = { ...PROCESS, ...DATABASE, ...PLACE, ...LOG, ...CLIENT };
/** What every other role needs to know. */
export const VARIABLES = {
  ...MIGRATE_VARIABLES,
  ...AWS,
  ...PAYLOAD,
  ...HTTP,
  ...ACCESS,
  ...SUBMIT,
  ...WORKER,
  ...EXECUTOR,
  ...SCALING,
  ...METRICS,
  ...TRACING,
};

type VariableName = keyof typeof VARIABLES;

/** What reading a table gives. */
export type Values<Table> = { [Name in keyof Table]: Table[Name] extends Variable<infer T> ? T : never };

/** A rule between variables. */
export type Rule = {
  /** The variable to change, and what else the rule reads. */
  readonly name: VariableName;
  readonly reads: readonly VariableName[];
  holds(values: Values<typeof VARIABLES>): boolean;
  expected(values: Values<typeof VARIABLES>): string;
  /** What to do. */
  readonly hint: string;
};

export const RULES: readonly Rule[] = [
  {
    name: "TASKIQ_DEAD_LETTER_URL",
    reads: ["TASKIQ_QUEUE_URL", "TASKIQ_QUEUES"],
    holds: (values) =>
      values.TASKIQ_DEAD_LETTER_URL !== null || values.TASKIQ_QUEUES[0]?.deadLetterUrl !== `${NOWHERE}/dead`,
    expected: () => "the URL of the dead-letter queue, as TASKIQ_QUEUE_URL names the queue",
    hint: "Make one if there is none: tasks that fail for good are copied to it.",
  },
  {
    name: "TASKIQ_EXTEND_INTERVAL_MS",
    reads: ["TASKIQ_LEASE_MS"],
    holds: (values) => values.TASKIQ_EXTEND_INTERVAL_MS * 3 <= values.TASKIQ_LEASE_MS,
    expected: (values) =>
      `at most ${Math.floor(values.TASKIQ_LEASE_MS / 3)}, a third of TASKIQ_LEASE_MS (${values.TASKIQ_LEASE_MS})`,
    hint: "Lower it or raise TASKIQ_LEASE_MS: two renewals must be able to fail before the lease ends.",
  },
  {
    name: "TASKIQ_DRAIN_WORK_MS",
    reads: ["TASKIQ_DRAIN_BUDGET_MS", "TASKIQ_GRACE_MS"],
    holds: (values) => values.TASKIQ_DRAIN_WORK_MS + values.TASKIQ_GRACE_MS <= values.TASKIQ_DRAIN_BUDGET_MS,
    expected: (values) =>
      `at most ${Math.max(0, values.TASKIQ_DRAIN_BUDGET_MS - values.TASKIQ_GRACE_MS)}, which is TASKIQ_DRAIN_BUDGET_MS (${values.TASKIQ_DRAIN_BUDGET_MS}) minus TASKIQ_GRACE_MS (${values.TASKIQ_GRACE_MS})`,
    hint: "Lower it, or raise the budget.",
  },
  {
    name: "TASKIQ_RECEIVE_WAIT_MS",
    reads: ["TASKIQ_DRAIN_BUDGET_MS"],
    holds: (values) => values.TASKIQ_RECEIVE_WAIT_MS <= values.TASKIQ_DRAIN_BUDGET_MS,
    expected: (values) => `at most TASKIQ_DRAIN_BUDGET_MS (${values.TASKIQ_DRAIN_BUDGET_MS})`,
    hint: "Lower it: a stopping worker lets its open poll return, or the messages in it would be stuck.",
  },
  {
    name: "TASKIQ_COMMIT_TIMEOUT_MS",
    reads: ["TASKIQ_QUERY_TIMEOUT_MS"],
    holds: (values) => values.TASKIQ_COMMIT_TIMEOUT_MS <= values.TASKIQ_QUERY_TIMEOUT_MS,
    expected: (values) => `at most TASKIQ_QUERY_TIMEOUT_MS (${values.TASKIQ_QUERY_TIMEOUT_MS})`,
    hint: "Lower it or raise TASKIQ_QUERY_TIMEOUT_MS, which would otherwise cut the commit off first.",
  },
  {
    name: "TASKIQ_INLINE_PAYLOAD_BYTES",
    reads: ["TASKIQ_MAX_PAYLOAD_BYTES"],
    holds: (values) => values.TASKIQ_INLINE_PAYLOAD_BYTES <= values.TASKIQ_MAX_PAYLOAD_BYTES,
    expected: (values) => `at most TASKIQ_MAX_PAYLOAD_BYTES (${values.TASKIQ_MAX_PAYLOAD_BYTES})`,
    hint: "Lower it or raise TASKIQ_MAX_PAYLOAD_BYTES.",
  },
  {
    name: "TASKIQ_RETENTION_MS",
    reads: ["TASKIQ_IDEMPOTENCY_TTL_MS"],
    holds: (values) => values.TASKIQ_RETENTION_MS >= values.TASKIQ_IDEMPOTENCY_TTL_MS,
    expected: (values) => `at least TASKIQ_IDEMPOTENCY_TTL_MS (${values.TASKIQ_IDEMPOTENCY_TTL_MS})`,
    hint: "Raise it or lower TASKIQ_IDEMPOTENCY_TTL_MS: a repeated request would otherwise be answered with a deleted task.",
  },
  {
    name: "TASKIQ_PROBE_PORT",
    reads: ["TASKIQ_HTTP_PORT", "SERVICE_ROLE"],
    holds: (values) =>
      values.SERVICE_ROLE !== "all" ||
      values.TASKIQ_PROBE_PORT === 0 ||
      values.TASKIQ_PROBE_PORT !== values.TASKIQ_HTTP_PORT,
    expected: (values) => `a port other than TASKIQ_HTTP_PORT (${values.TASKIQ_HTTP_PORT})`,
    hint: "Both servers run in this process; use 0 to have no liveness server.",
  },
  {
    name: "TASKIQ_WORKER_QUEUES",
    reads: ["TASKIQ_QUEUES"],
    holds: (values) =>
      values.TASKIQ_WORKER_QUEUES.every((name) => servedQueues(values.TASKIQ_QUEUES).some((one) => one.name === name)),
    expected: (values) =>
      `names out of TASKIQ_QUEUES (${servedQueues(values.TASKIQ_QUEUES)
        .map(({ name }) => name)
        .join(", ")})`,
    hint: "Correct the name or add the queue.",
  },
  {
    name: "TASKIQ_SCALING_CLUSTER",
    reads: ["TASKIQ_SCALING"],
    holds: (values) => values.TASKIQ_SCALING === "off" || values.TASKIQ_SCALING_CLUSTER !== null,
    expected: () => "the name of an ECS cluster, as TASKIQ_SCALING is builtin",
    hint: "Name the cluster, or set TASKIQ_SCALING to off.",
  },
  {
    name: "TASKIQ_SCALING_SERVICE",
    reads: ["TASKIQ_SCALING"],
    holds: (values) => values.TASKIQ_SCALING === "off" || values.TASKIQ_SCALING_SERVICE !== null,
    expected: () => "the name of an ECS service, as TASKIQ_SCALING is builtin",
    hint: "Name the service, or set TASKIQ_SCALING to off.",
  },
  {
    name: "TASKIQ_SCALING_MAX",
    reads: ["TASKIQ_SCALING_MIN"],
    holds: (values) => values.TASKIQ_SCALING_MAX >= values.TASKIQ_SCALING_MIN,
    expected: (values) => `at least TASKIQ_SCALING_MIN (${values.TASKIQ_SCALING_MIN})`,
    hint: "Raise it or lower TASKIQ_SCALING_MIN.",
  },
  {
    name: "TASKIQ_SCALING_IN_BELOW",
    reads: ["TASKIQ_SCALING_OUT_ABOVE"],
    holds: (values) => values.TASKIQ_SCALING_IN_BELOW <= values.TASKIQ_SCALING_OUT_ABOVE,
    expected: (values) => `at most TASKIQ_SCALING_OUT_ABOVE (${values.TASKIQ_SCALING_OUT_ABOVE})`,
    hint: "Lower it or raise TASKIQ_SCALING_OUT_ABOVE: between the two nothing happens.",
  },
];
