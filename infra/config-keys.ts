/**
 * The keys of the stack's configuration: how each is read from its text, what it has to be and what to do about
 * anything else. Their meanings and defaults are in Pulumi.yaml, which the command line applies; a test compares both.
 */
import { z } from "zod";
import { maxReceiveCount, queuesShape, retentionSeconds, visibilitySeconds } from "./queue-keys.ts";
import { workerGroupsShape } from "./worker-group-keys.ts";

/** One key. `T` is what the program gets for it. */
export type Key<T> = {
  readonly type: "string" | "integer" | "boolean" | "array";
  readonly schema: z.ZodType<T>;
  /** What the value has to be, with bounds: "an integer from 0 to 100". */
  readonly expected: string;
  /** What to do: a sentence. */
  readonly hint: string;
};

export const ARCHITECTURES = ["ARM64", "X86_64"] as const;
export const PLATFORMS = { ARM64: "linux/arm64", X86_64: "linux/amd64" } as const;
export const SCALING_DRIVERS = ["cloudwatch", "builtin", "off"] as const;
export const NAT_GATEWAYS = ["none", "single", "one-per-az"] as const;
export const DATABASE_TLS = ["verify-full", "disable"] as const;
export const API_AUTHS = ["keys", "none"] as const;
/** The periods CloudWatch Logs has, in days. */
const RETENTIONS = [
  1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
] as const;

const PREFIX = /^[a-z](?:[a-z0-9-]{0,18}[a-z0-9])?$/;
const IPV4 = String.raw`(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)`;
const SUBNET = /^subnet-[a-z0-9-]+$/;

export const PREFIX_RULE =
  "up to 20 lower-case letters, digits and hyphens that start with a letter and end without a hyphen";
export const isPrefix = (text: string): boolean => PREFIX.test(text);

export const KEYS = {
  namePrefix: text(`nothing, or ${PREFIX_RULE}`, isPrefix, "For example taskiq-prod."),
  protect: boolean(),

  queues: {
    type: "array",
    schema: queuesShape,
    expected: "a list of queues",
    hint: "For example [{name: default}, {name: ordered, type: fifo}].",
  } satisfies Key<z.infer<typeof queuesShape>>,
  visibilitySeconds: integer(visibilitySeconds, 0, 43_200, 300),
  retentionSeconds: integer(retentionSeconds, 60, 1_209_600, 1_209_600),
  maxReceiveCount: integer(maxReceiveCount, 1, 1_000, 5),
  cancellation: boolean(),
  tlsOnly: boolean(),

  image: text("nothing, or the name of an image", (value) => /^[\w.:/@-]{1,500}$/.test(value), "Best with its digest."),
  imageBase: requiredText(
    "the name of an image",
    (value) => /^[\w.:/@-]{1,500}$/.test(value),
    "For example node:24-bookworm-slim.",
  ),
  imagePlatforms: list(
    "a list of linux/arm64 and linux/amd64",
    (value) => Object.values<string>(PLATFORMS).includes(value),
    "Leave it empty to build for cpuArchitecture.",
  ),
  cpuArchitecture: choice(ARCHITECTURES),

  demo: boolean(),
  apiMin: number(1, 100, 2),
  apiMax: number(1, 100, 6),
  apiCpu: number(256, 16_384, 512),
  apiMemory: number(512, 122_880, 1_024),
  workerMin: number(0, 1_000, 2),
  workerDesired: number(0, 1_000, 2),
  workerMax: number(1, 1_000, 20),
  workerCpu: number(256, 16_384, 1_024),
  workerMemory: number(512, 122_880, 2_048),
  workerSlots: number(1, 1_000, 10),
  workerSpotPercent: number(0, 100, 75),
  workerGroups: {
    type: "array",
    schema: workerGroupsShape,
    expected: "a list of groups of workers",
    hint: "For example [{name: batch, queues: [reports]}].",
  } satisfies Key<z.infer<typeof workerGroupsShape>>,

  scalingDriver: choice(SCALING_DRIVERS),
  scalingPerWorker: number(1, 10_000, 5),
  scalingOutAbove: number(0, 1_000_000, 50),
  scalingInBelow: number(0, 1_000_000, 10),
  scalingOutCooldownSeconds: number(0, 3_600, 180),
  scalingInCooldownSeconds: number(0, 3_600, 300),

  databaseInstanceClass: requiredText(
    "an instance class of RDS",
    (value) => /^db(?:\.[a-z0-9-]+){2,3}$/.test(value),
    "For example db.t4g.medium.",
  ),
  databaseStorageGb: number(20, 65_536, 20),
  databaseMaxStorageGb: number(20, 65_536, 100),
  databaseMultiAz: boolean(),
  databaseBackupDays: number(0, 35, 7),
  databaseEngineVersion: requiredText(
    "a version of PostgreSQL from 15 on",
    (value) => /^(?:1[5-9]|[2-9]\d)(?:\.\d{1,2})?$/.test(value),
    'For example "17".',
  ),
  databaseTls: choice(DATABASE_TLS),
  databasePassword: text(
    'nothing, or 8 to 128 printable characters without / @ " and space',
    (value) => /^(?:(?![/@"])[!-~]){8,128}$/.test(value),
    "Leave it empty to have RDS make one.",
  ),
  databaseUrl: text(
    "nothing, or postgres://USER@HOST:PORT/NAME?sslmode=verify-full without a password",
    isDatabaseUrl,
    "The password belongs into the secret that databaseSecretArn names.",
  ),
  databaseSecretArn: text(
    "nothing, or the ARN of a secret",
    (value) => /^arn:[\w-]+:secretsmanager:[a-z0-9-]+:\d{12}:secret:\S+$/.test(value),
    "It holds username and password as JSON.",
  ),
  databaseSecurityGroupId: text(
    "nothing, or the id of a security group",
    (value) => /^sg-[a-z0-9-]+$/.test(value),
    "For example sg-0123456789abcdef0.",
  ),

  vpcId: text(
    'nothing, "default" or the id of a VPC',
    (value) => value === "default" || /^vpc-[a-z0-9-]+$/.test(value),
    "For example vpc-0123456789abcdef0.",
  ),
  publicSubnetIds: list(
    "a list of ids of subnets",
    (value) => SUBNET.test(value),
    "For example [subnet-0a…, subnet-0b…].",
  ),
  privateSubnetIds: list(
    "a list of ids of subnets",
    (value) => SUBNET.test(value),
    "For example [subnet-0a…, subnet-0b…].",
  ),
  databaseSubnetIds: list(
    "a list of ids of subnets",
    (value) => SUBNET.test(value),
    "For example [subnet-0a…, subnet-0b…].",
  ),
  vpcCidr: requiredText(
    "an IPv4 network from /16 to /21",
    (value) => isCidr(value, 16, 21),
    "For example 10.80.0.0/16.",
  ),
  availabilityZones: list(
    "a list of availability zones",
    (value) => /^[a-z]{2}(?:-[a-z]+)+-\d[a-z]$/.test(value),
    "For example [us-east-1a, us-east-1b].",
  ),
  natGateways: choice(NAT_GATEWAYS),

  publicApi: boolean(),
  apiAuth: choice(API_AUTHS),
  ingressCidrs: list("a list of IPv4 networks", (value) => isCidr(value, 0, 32), "For example [203.0.113.0/24]."),
  certificateArn: text(
    "nothing, or the ARN of a certificate",
    (value) => /^arn:[\w-]+:(?:acm|iam):\S+$/.test(value),
    "Leave it empty for plain HTTP.",
  ),
  apiHostname: text(
    "nothing, or a host name",
    (value) => /^(?=.{1,253}$)[a-z0-9-]+(?:\.[a-z0-9-]+)+$/.test(value),
    "For example tasks.example.com.",
  ),
  accessLogsBucket: text(
    "nothing, or the name of a bucket",
    (value) => /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(value),
    "Leave it empty to write none.",
  ),
  localUrl: text(
    "nothing, or an http URL that may have {loadBalancer} in it",
    (value) => /^https?:\/\/[^\s/]+/.test(value),
    "For example http://localhost:4566/_alb/{loadBalancer}.",
  ),

  payloadExpireDays: number(1, 10_000, 400),
  taskRetentionDays: number(1, 3_650, 30),
  maxDelayDays: number(0, 3_650, 365),
  logRetentionDays: {
    type: "integer",
    schema: z.int().refine((days) => RETENTIONS.some((one) => one === days)),
    expected: `one of ${RETENTIONS.join(", ")}`,
    hint: "For example 30.",
  } satisfies Key<number>,
  alarms: boolean(),
  alarmTopicArn: text(
    "nothing, or the ARN of an SNS topic",
    (value) => /^arn:[\w-]+:sns:[a-z0-9-]+:\d{12}:\S+$/.test(value),
    "Leave it empty to have alarms in the console only.",
  ),
  dashboard: boolean(),
  waitForSteadyState: boolean(),
};

export type KeyName = keyof typeof KEYS;
/** What reading all keys gives; a text that was left empty is null. */
export type Values = { readonly [Name in KeyName]: (typeof KEYS)[Name] extends Key<infer T> ? T : never };

function boolean(): Key<boolean> {
  return { type: "boolean", schema: z.boolean(), expected: "true or false", hint: "Set one of the two." };
}

function number(min: number, max: number, example: number): Key<number> {
  return integer(z.int().min(min).max(max), min, max, example);
}

function integer(schema: z.ZodType<number>, min: number, max: number, example: number): Key<number> {
  return { type: "integer", schema, expected: `an integer from ${min} to ${max}`, hint: `For example ${example}.` };
}

function choice<const Words extends readonly [string, ...string[]]>(words: Words): Key<Words[number]> {
  return {
    type: "string",
    schema: z.enum(words),
    expected: `one of ${words.join(", ")}`,
    hint: `For example ${words[0]}.`,
  };
}

function requiredText(expected: string, fits: (text: string) => boolean, hint: string): Key<string> {
  return { type: "string", schema: z.string().refine(fits), expected, hint };
}

/** An empty text is null. */
function text(expected: string, fits: (text: string) => boolean, hint: string): Key<string | null> {
  const schema = z
    .string()
    .refine((value) => value === "" || fits(value))
    .transform((value) => (value === "" ? null : value));
  return { type: "string", schema, expected, hint };
}

function list(expected: string, fits: (text: string) => boolean, hint: string): Key<readonly string[]> {
  const schema = z
    .array(z.string(), `expected ${expected}`)
    .refine((values) => values.every(fits))
    .refine((values) => new Set(values).size === values.length, "expected each of them once");
  return { type: "array", schema, expected, hint };
}

function isCidr(text: string, widest: number, narrowest: number): boolean {
  const match = new RegExp(`^${IPV4}/(\\d{1,2})$`).exec(text);
  return match !== null && Number(match[1]) >= widest && Number(match[1]) <= narrowest;
}

function isDatabaseUrl(text: string): boolean {
  if (!/^postgres(?:ql)?:\/\//.test(text) || !URL.canParse(text)) return false;
  const { password, hostname, pathname } = new URL(text);
  return password === "" && hostname !== "" && pathname.length > 1;
}
