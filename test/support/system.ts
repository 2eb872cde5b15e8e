/**
 * The whole system for one test: a database, an emulator and the roles, each a process that can be killed, frozen and
 * stopped. What a test asserts it reads by SQL, by HTTP, from the queues and from what the processes log.
 */
import { fileURLToPath } from "node:url";
import { startPostgres } from "../../runtime/local/postgres.ts";
import {
  deadLetterSqsName,
  emulatedQueueUrl,
  LOCAL_BUCKET,
  LOCAL_QUEUES,
  sqsName,
} from "../../runtime/local/queues.ts";
import { serviceUser, temporaryFolder } from "../../runtime/local/service-user.ts";
import { type AwsProcess, startAwsProcess } from "../../runtime/local/start-aws-process.ts";
import { migrate } from "../../runtime/postgres/migrate.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import type { Queue } from "../../runtime/queue/queue.ts";
import { openQueues } from "../../runtime/queue/sqs.ts";
import { createTestDatabase } from "./database.ts";
import { executeSql } from "./execute-sql.ts";
import { type Exit, startProcess } from "./processes.ts";
import { TIMES } from "./system-times.ts";
import { until } from "./until.ts";

export type LogLine = { readonly event: string; readonly level: string; readonly [field: string]: unknown };

export type Role = {
  /** `worker-1`; what the rows of its tasks say. */
  readonly name: string;
  readonly pid: number;
  /** Everything it logged so far, or only one event. */
  log(event?: string): LogLine[];
  /** The first line of an event, among those written and those to come, for which `matches` holds. */
  logged(event: string, matches?: (line: LogLine) => boolean, deadlineMs?: number): Promise<LogLine>;
  signal(signal: NodeJS.Signals): void;
  /** False once it has ended. */
  readonly alive: boolean;
  readonly exited: Promise<Exit>;
};

export type Api = Role & { readonly url: string };

export type Postgres = Awaited<ReturnType<typeof startPostgres>>;

export type System = {
  /** For looking: no role uses it. */
  readonly database: Database;
  readonly databaseUrl: string;
  readonly queue: Queue;
  readonly deadLetter: Queue;
  readonly aws: SystemAws;
  /** The server behind the database, where the test has one of its own. */
  readonly postgres: Postgres | undefined;
  /** Starts the API with the executor loops and waits until it takes requests. `env` is put over the system's. */
  startApi(env?: Readonly<Record<string, string>>): Promise<Api>;
  /** Starts a worker and waits until it polls. */
  startWorker(name: string, env?: Readonly<Record<string, string>>): Promise<Role>;
  /** Starts the executor loops by themselves. */
  startExecutor(env?: Readonly<Record<string, string>>): Promise<Role>;
  /** Ends the emulator: what was in the queues is gone, as after a purge. */
  stopAws(): Promise<void>;
  /** Starts it again on the same port. */
  startAwsAgain(): Promise<void>;
  /** Kills what still runs. */
  stop(): Promise<void>;
};

/** How SQS and S3 are reached by parts that run in the test itself. */
export type SystemAws = {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: typeof CREDENTIALS;
  readonly queues: readonly { readonly name: string; readonly url: string; readonly deadLetterUrl: string }[];
  readonly bucket: string;
};

export type SystemOptions = {
  /** A Postgres server of its own, which the test may stop and restart. Default: a database on the server of the run. */
  readonly ownServer?: boolean;
  /** Settings of all roles. */
  readonly env?: Readonly<Record<string, string>>;
};

const ENTRY = fileURLToPath(new URL("../../runtime/main.ts", import.meta.url));
const TASK_MODULES = ["counted", "hanging-commit", "deaf", "narrow", "steps"].map((name) =>
  fileURLToPath(new URL(`../system/tasks/${name}.ts`, import.meta.url)),
);
const REGION = "us-east-1";
const CREDENTIALS = { accessKeyId: "test", secretAccessKey: "test" };
const QUEUE = "default";

export async function startSystem({ ownServer = false, env: settings = {} }: SystemOptions = {}): Promise<System> {
  const started: (() => Promise<void>)[] = [];
  /** What was started last ends first, and nothing stays because something else could not be ended. */
  const stop = async (): Promise<void> => {
    let failed: Promise<void> = Promise.resolve();
    for (const end of started.splice(0).reverse()) {
      const ended = end();
      await ended.catch(() => {
        failed = ended;
      });
    }
    await failed;
  };
  try {
    return await start();
  } catch (error) {
    await stop();
    throw error;
  }

  async function start(): Promise<System> {
    const [postgres, firstAws] = await Promise.all([ownServer ? startServer(started) : undefined, startEmulator()]);
    let emulator = firstAws;
    started.push(() => emulator.stop());
    const { url: databaseUrl } = postgres ?? (await cloneDatabase(started));
    await executeSql(databaseUrl, "create table public.effect (task_id uuid not null, attempt int not null)");
    const database = openDatabase({ connectionString: databaseUrl, max: 2, applicationName: "test" });
    started.push(() => database.close());

    const { endpoint } = firstAws;
    const aws: SystemAws = {
      endpoint,
      region: REGION,
      credentials: CREDENTIALS,
      queues: [
        {
          name: QUEUE,
          url: emulatedQueueUrl(endpoint, sqsName({ name: QUEUE, type: "standard" })),
          deadLetterUrl: emulatedQueueUrl(endpoint, deadLetterSqsName({ name: QUEUE, type: "standard" })),
        },
      ],
      bucket: LOCAL_BUCKET,
    };
    const queues = openQueues(aws);
    started.push(async () => queues.close());
    const queue = queues.get(QUEUE);
    if (queue === undefined) throw new Error("expected the queue that was configured");

    const env = {
      ...TIMES.env,
      DATABASE_URL: databaseUrl,
      AWS_ENDPOINT_URL: endpoint,
      AWS_REGION: REGION,
      AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
      AWS_PROFILE: "",
      TASKIQ_S3_BUCKET: LOCAL_BUCKET,
      TASKIQ_QUEUES: JSON.stringify(aws.queues),
      TASKIQ_TASK_MODULES: TASK_MODULES.join(","),
      TASKIQ_DATABASE_POOL: "5",
      TASKIQ_WORKER_SLOTS: "50",
      TASKIQ_HTTP_HOST: "127.0.0.1",
      TASKIQ_HTTP_PORT: "0",
      TASKIQ_API_AUTH: "none",
      TASKIQ_PROBE_PORT: "0",
      TASKIQ_LOG: "tasks",
      ...settings,
    };
    const startRole = (role: string, name: string, more: Readonly<Record<string, string>>): Role => {
      const one = openRole(name, { ...env, SERVICE_ROLE: role, ...more });
      started.push(async () => {
        one.signal("SIGKILL");
        await one.exited;
      });
      return one;
    };

    return {
      database,
      databaseUrl,
      queue,
      deadLetter: queues.deadLetter(QUEUE),
      aws,
      postgres,
      async startApi(more = {}) {
        const role = startRole("api", "api", more);
        const { host, port } = await role.logged("api.started");
        return Object.assign(role, { url: `http://${host}:${port}` });
      },
      async startWorker(name, more = {}) {
        const role = startRole("worker", name, { TASKIQ_WORKER_NAME: name, ...more });
        await role.logged("worker.started");
        return role;
      },
      async startExecutor(more = {}) {
        const role = startRole("executor", "executor", more);
        await role.logged("executor.started");
        return role;
      },
      stopAws: () => emulator.stop(),
      async startAwsAgain() {
        emulator = await startEmulator(Number(new URL(endpoint).port));
      },
      stop,
    };
  }
}

function startEmulator(port?: number): Promise<AwsProcess> {
  return startAwsProcess({
    region: REGION,
    queues: LOCAL_QUEUES,
    buckets: [LOCAL_BUCKET],
    ...(port !== undefined && { port }),
  });
}

async function startServer(started: (() => Promise<void>)[]): Promise<Postgres> {
  const postgres = await startPostgres({ dataDir: await temporaryFolder(serviceUser(), "system"), persistent: false });
  started.push(postgres.stop);
  await migrate(postgres.url);
  return postgres;
}

async function cloneDatabase(started: (() => Promise<void>)[]): Promise<{ url: string }> {
  const clone = await createTestDatabase();
  started.push(clone.drop);
  return clone;
}

function openRole(name: string, env: Readonly<Record<string, string>>): Role {
  const child = startProcess({ entry: ENTRY, env: { ...env, TASKIQ_TEST_REAL_TIMES: undefined } });
  const parsed: LogLine[] = [];
  let read = 0;
  let alive = true;
  const ended = () => {
    alive = false;
  };
  child.exited.then(ended, ended);

  function log(event?: string): LogLine[] {
    for (; read < child.lines.length; read++) {
      const line = child.lines[read] ?? "";
      // Written by runtime/log.ts; anything else is what a process prints when it cannot start.
      parsed.push(line.startsWith("{") ? (JSON.parse(line) as LogLine) : { event: "", level: "", text: line });
    }
    return event === undefined ? [...parsed] : parsed.filter((line) => line.event === event);
  }

  return {
    name,
    pid: child.pid,
    log,
    async logged(event, matches = () => true, deadlineMs = 20_000) {
      const found = await until(() => log(event).find(matches) ?? !alive, {
        deadlineMs,
        what: `${event} of ${name}`,
      }).catch((error: Error) => {
        throw new Error(`${error.message}\n${child.lines.slice(-20).join("\n")}`);
      });
      if (found !== true) return found;
      throw new Error(`expected ${event} of ${name}, it ended\n${child.lines.slice(-20).join("\n")}`);
    },
    signal: child.signal,
    get alive() {
      return alive;
    },
    exited: child.exited,
  };
}
