/**
 * The configuration as the doctor needs it: every problem in it, and all the same whatever can be checked. One misspelt
 * variable must not hide that the database is away too.
 */
import type { AwsConfig, Config, DatabaseConfig, QueueConfig } from "../../config.ts";
import type { Source } from "../../config-problems.ts";
import { VARIABLES } from "../../config-table.ts";
import { TaskiqError } from "../../errors.ts";
import { type Finding, fail, ok } from "./finding.ts";

export type ReadConfig = (overrides: Source) => Config;

export type AwsPlace = { readonly region: string; readonly endpoint?: string };

export type Settings = {
  readonly findings: readonly Finding[];
  /** Nothing that has to be set is set: this is no service, but a place from where somebody uses one. */
  readonly isEmpty: boolean;
  /** Null: not configured so that it could be checked. */
  readonly database: { readonly config: DatabaseConfig; readonly aws: AwsConfig } | null;
  readonly queues: {
    readonly aws: AwsPlace;
    readonly queues: readonly QueueConfig[];
    /** Null: there is no cancel queue. */
    readonly cancelUrl: string | null;
  } | null;
  readonly bucket: { readonly aws: AwsPlace; readonly name: string } | null;
};

const CHECK = "configuration";

/** What the checks read, with values that are valid and lead nowhere. */
const STAND_INS = {
  SERVICE_ROLE: undefined,
  TASKIQ_CONFIG: undefined,
  DATABASE_URL: "postgres://localhost/none",
  TASKIQ_DATABASE_CA_FILE: undefined,
  TASKIQ_DATABASE_SECRET_ARN: undefined,
  AWS_REGION: "us-east-1",
  AWS_ENDPOINT_URL: undefined,
  TASKIQ_QUEUES: '[{"name":"default","url":"http://localhost/1/queue","deadLetterUrl":"http://localhost/1/dead"}]',
  TASKIQ_QUEUE_URL: "http://localhost/1/queue",
  TASKIQ_DEAD_LETTER_URL: "http://localhost/1/dead",
  TASKIQ_S3_BUCKET: "none",
} satisfies Source;

const REQUIRED = ["DATABASE_URL", "TASKIQ_QUEUES", "TASKIQ_S3_BUCKET"];

export function readSettings(read: ReadConfig): Settings {
  try {
    const config = read({});
    return { findings: [describe(config)], isEmpty: false, ...partsOf(config, new Set()) };
  } catch (error) {
    const problems = problemsOf(error);
    const broken = new Set(problems.map((problem) => /^\w+/.exec(problem)?.[0] ?? ""));
    return {
      findings: problems.map((problem) => fail(CHECK, problem, null)),
      isEmpty: broken.size === REQUIRED.length && REQUIRED.every((name) => isMissing(name, problems)),
      ...salvage(read, broken),
    };
  }
}

function describe(config: Config): Finding {
  if (config.role === "migrate") return ok(CHECK, "role migrate, which needs the database only.");
  const names = config.queues.map(({ name }) => name).join(", ");
  const where = config.aws.endpointUrl === null ? `region ${config.aws.region}` : config.aws.endpointUrl;
  return ok(CHECK, `role ${config.role}, ${where}, queues ${names}.`);
}

function problemsOf(error: unknown): readonly string[] {
  if (!(error instanceof TaskiqError) || !Array.isArray(error.details)) throw error;
  return error.details.map(String);
}

function isMissing(name: string, problems: readonly string[]): boolean {
  return problems.some((problem) => problem.startsWith(`${name}:`) && problem.includes(", got nothing."));
}

/** Reads it once more without what is wrong, and without what no check needs. */
function salvage(read: ReadConfig, broken: ReadonlySet<string>): Parts {
  const overrides: Record<string, string | undefined> = {};
  for (const name of [...Object.keys(VARIABLES), ...broken]) {
    if (name in STAND_INS && !broken.has(name)) continue;
    // Only names of the stand-ins have one.
    overrides[name] = (STAND_INS as Source)[name];
  }
  try {
    return partsOf(read(overrides), broken);
  } catch {
    return { database: null, queues: null, bucket: null };
  }
}

type Parts = Pick<Settings, "database" | "queues" | "bucket">;

function partsOf(config: Config, broken: ReadonlySet<string>): Parts {
  const isWhole = (...names: (keyof typeof STAND_INS)[]) => !names.some((name) => broken.has(name));
  const isDatabaseWhole = isWhole("DATABASE_URL", "TASKIQ_DATABASE_CA_FILE", "TASKIQ_DATABASE_SECRET_ARN");
  const database = isDatabaseWhole ? { config: config.database, aws: config.aws } : null;
  if (config.role === "migrate") return { database, queues: null, bucket: null };
  const { region, endpointUrl } = config.aws;
  const aws = { region, ...(endpointUrl !== null && { endpoint: endpointUrl }) };
  const isPlaced = isWhole("AWS_REGION", "AWS_ENDPOINT_URL");
  return {
    database,
    queues:
      isPlaced && isWhole("TASKIQ_QUEUES", "TASKIQ_QUEUE_URL", "TASKIQ_DEAD_LETTER_URL")
        ? { aws, queues: config.queues, cancelUrl: config.cancelQueueUrl }
        : null,
    bucket: isPlaced && isWhole("TASKIQ_S3_BUCKET") ? { aws, name: config.payload.bucket } : null,
  };
}
