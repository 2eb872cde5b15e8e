/**
 * Everything that a deployment gets from AWS, on this machine and without installing anything: Postgres, SQS and S3.
 * Each part that the environment names (`DATABASE_URL`, `AWS_ENDPOINT_URL`) is used instead of being started.
 *
 * Kept state lies in `.local/`: `postgres/`, `aws/` and `ports.json`. Otherwise the emulator keeps nothing on disk and Postgres has
 * a temporary folder, which is gone after `stop` and also when this process dies without stopping.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { keptPorts } from "./ports.ts";
import { startPostgres } from "./postgres.ts";
import type { QueueAddress } from "./provision.ts";
import { deadLetterSqsName, emulatedQueueUrl, LOCAL_BUCKET, LOCAL_QUEUES, sqsName } from "./queues.ts";
import { serviceUser, temporaryFolder } from "./service-user.ts";
import { startAwsProcess } from "./start-aws-process.ts";

export type LocalStackOptions = {
  /** Keep data and addresses for the next start. */
  readonly keep: boolean;
  /** Where kept state lies. Default: `.local/` beside `runtime/`. */
  readonly dir?: string;
  /** The environment that may name parts, the region, the bucket and credentials. An empty variable counts as unset. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Hears of a part that ended without having been asked to. */
  readonly onLost?: (part: string, reason: string) => void;
};

export type StackPart = {
  readonly name: string;
  /** Its address, without password. */
  readonly where: string;
  /** Null for a part that was given. */
  readonly pid: number | null;
};

export type LocalStack = {
  /** To be put over the environment of the processes that use the stack. */
  readonly env: Readonly<Record<string, string>>;
  readonly parts: readonly StackPart[];
  /** Ends what was started and removes what is not kept. May be called again. */
  stop(): Promise<void>;
};

const STATE_FOLDER = fileURLToPath(new URL("../../.local", import.meta.url));

/** Starts what is not given. When a part fails to start, the others are stopped before this throws. */
export async function startLocalStack(options: LocalStackOptions): Promise<LocalStack> {
  const { keep, dir = STATE_FOLDER } = options;
  if (keep) await mkdir(dir, { recursive: true });
  const places: Places = keep
    ? {
        kept: { postgres: join(dir, "postgres"), aws: join(dir, "aws") },
        ports: await keptPorts(join(dir, "ports.json")),
      }
    : {};
  const starting = await Promise.allSettled([startDatabase(options, places), startServices(options, places)]);
  const running = starting.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  const stop = async (): Promise<void> => throwFirst(await Promise.allSettled(running.map((one) => one.stop())));
  if (running.length < starting.length) {
    await stop();
    throwFirst(starting);
  }
  return { env: Object.assign({}, ...running.map((one) => one.env)), parts: running.map((one) => one.part), stop };
}

/** Where kept state lies and which ports it has; empty when nothing is kept. */
type Places = {
  readonly kept?: { readonly postgres: string; readonly aws: string };
  readonly ports?: { readonly postgres: number; readonly aws: number };
};

type Running = { readonly env: Record<string, string>; readonly part: StackPart; stop(): Promise<void> };

async function startDatabase({ env, keep, onLost }: LocalStackOptions, { kept, ports }: Places): Promise<Running> {
  const given = setting(env, "DATABASE_URL");
  if (given !== undefined) return { ...database(given, null), stop: async () => {} };
  const postgres = await startPostgres({
    dataDir: kept?.postgres ?? (await temporaryFolder(serviceUser(), "postgres")),
    persistent: keep,
    onLost: (reason) => onLost?.("Postgres", reason),
    ...(ports !== undefined && { port: ports.postgres }),
  });
  return { ...database(postgres.url, postgres.pid), stop: postgres.stop };
}

function database(url: string, pid: number | null): Omit<Running, "stop"> {
  return { env: { DATABASE_URL: url }, part: { name: "Postgres", where: withoutPassword(url), pid } };
}

async function startServices({ env, onLost }: LocalStackOptions, { kept, ports }: Places): Promise<Running> {
  const region = setting(env, "AWS_REGION") ?? setting(env, "AWS_DEFAULT_REGION") ?? "us-east-1";
  const bucket = setting(env, "TASKIQ_S3_BUCKET") ?? LOCAL_BUCKET;
  const given = setting(env, "AWS_ENDPOINT_URL");
  if (given !== undefined) {
    // Loaded only here: the SDK takes longer to load than the embedded services to start.
    const { provision } = await import("./provision.ts");
    const credentials = credentialsOf(env);
    const queues = await provision({ endpoint: given, region, credentials, queues: LOCAL_QUEUES, bucket });
    return { ...services({ endpoint: given, region, bucket, queues, pid: null, credentials }), stop: async () => {} };
  }
  const aws = await startAwsProcess({
    region,
    queues: LOCAL_QUEUES,
    buckets: [bucket],
    onLost: (reason) => onLost?.("SQS and S3", reason),
    ...(kept !== undefined && { dataDir: kept.aws }),
    ...(ports !== undefined && { port: ports.aws }),
  });
  const { endpoint, pid } = aws;
  const queues = LOCAL_QUEUES.map((queue) => ({
    name: queue.name,
    type: queue.type,
    url: emulatedQueueUrl(endpoint, sqsName(queue)),
    ...(queue.type !== "cancel" && { deadLetterUrl: emulatedQueueUrl(endpoint, deadLetterSqsName(queue)) }),
  }));
  return { ...services({ endpoint, region, bucket, queues, pid, credentials: TEST_CREDENTIALS }), stop: aws.stop };
}

type Credentials = { readonly accessKeyId: string; readonly secretAccessKey: string; readonly sessionToken?: string };

const TEST_CREDENTIALS: Credentials = { accessKeyId: "test", secretAccessKey: "test" };

type Services = {
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly queues: readonly QueueAddress[];
  readonly pid: number | null;
  readonly credentials: Credentials;
};

function services({ endpoint, region, bucket, queues, pid, credentials }: Services): Omit<Running, "stop"> {
  return {
    env: {
      AWS_ENDPOINT_URL: endpoint,
      AWS_REGION: region,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      AWS_SESSION_TOKEN: credentials.sessionToken ?? "",
      // A profile would take precedence over the keys.
      AWS_PROFILE: "",
      TASKIQ_S3_BUCKET: bucket,
      TASKIQ_QUEUES: JSON.stringify(queues),
    },
    part: { name: "SQS and S3", where: endpoint, pid },
  };
}

/** The keys of the environment, else ones that every emulator takes: no profile, so nothing real is reached by accident. */
function credentialsOf(env: LocalStackOptions["env"]): Credentials {
  const accessKeyId = setting(env, "AWS_ACCESS_KEY_ID");
  const secretAccessKey = setting(env, "AWS_SECRET_ACCESS_KEY");
  const sessionToken = setting(env, "AWS_SESSION_TOKEN");
  if (accessKeyId === undefined || secretAccessKey === undefined) return TEST_CREDENTIALS;
  return { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) };
}

function setting(env: LocalStackOptions["env"], name: string): string | undefined {
  const value = env[name];
  return value === "" ? undefined : value;
}

function withoutPassword(url: string): string {
  if (!URL.canParse(url)) return "given by DATABASE_URL";
  const parsed = new URL(url);
  parsed.password = "";
  return parsed.href;
}

function throwFirst(outcomes: readonly PromiseSettledResult<unknown>[]): void {
  const failed = outcomes.find((one) => one.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}
