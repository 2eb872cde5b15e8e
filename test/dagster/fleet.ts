/**
 * What the live tests run on: Postgres, the emulator, the API and two workers of this repository as processes. A worker that dies is started again, as a
 * service would; who lives is told in a file, so that a test can kill one.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
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
import { startAwsProcess } from "../../runtime/local/start-aws-process.ts";
import { migrate } from "../../runtime/postgres/migrate.ts";
import { executeSql } from "../support/execute-sql.ts";

export type Fleet = {
  readonly apiUrl: string;
  /** Of the database that Dagster may use. */
  readonly dagsterUrl: string;
  readonly awsUrl: string;
  /** A file `{"workers": {"worker-1": <pid>, …}}`, written again whenever one starts. */
  readonly file: string;
  stop(): Promise<void>;
};

export type FleetOptions = {
  /** For logs and the file. */
  readonly folder: string;
  /** Slots of each worker, and how many of them run workers may take. */
  readonly slots: number;
  readonly runSlots: number;
  /** Of all processes: what commands are to inherit. */
  readonly env: (urls: { apiUrl: string; dagsterUrl: string; awsUrl: string }) => Readonly<Record<string, string>>;
};

const ENTRY = fileURLToPath(new URL("../../runtime/main.ts", import.meta.url));
const TASK_MODULE = fileURLToPath(new URL("./location/piped.ts", import.meta.url));
const REGION = "us-east-1";
const WORKERS = ["worker-1", "worker-2"];
const STOP_MS = 10_000;
const START_MS = 60_000;

export async function startFleet({ folder, slots, runSlots, env: settings }: FleetOptions): Promise<Fleet> {
  const ends: (() => Promise<unknown>)[] = [];
  let stopping = false;
  const stop = async (): Promise<void> => {
    stopping = true;
    for (const end of ends.splice(0).reverse()) await end().catch((error) => console.error(error));
  };
  try {
    const [standard] = LOCAL_QUEUES;
    if (standard === undefined) throw new Error("expected a queue");
    const queues = [standard, { ...standard, name: "runs" }];
    const postgres = await startPostgres({
      dataDir: await temporaryFolder(serviceUser(), "dagster"),
      persistent: false,
    });
    ends.push(() => postgres.stop());
    const aws = await startAwsProcess({ region: REGION, queues, buckets: [LOCAL_BUCKET] });
    ends.push(() => aws.stop());
    await executeSql(postgres.url, "create database dagster");
    await executeSql(postgres.url, "create database taskiq");
    const databaseUrl = withDatabase(postgres.url, "taskiq");
    await migrate(databaseUrl);

    const env = {
      DATABASE_URL: databaseUrl,
      AWS_ENDPOINT_URL: aws.endpoint,
      AWS_REGION: REGION,
      AWS_ACCESS_KEY_ID: "test",
      AWS_SECRET_ACCESS_KEY: "test",
      AWS_PROFILE: "",
      TASKIQ_S3_BUCKET: LOCAL_BUCKET,
      TASKIQ_QUEUES: JSON.stringify(
        queues.map((queue) => ({
          name: queue.name,
          url: emulatedQueueUrl(aws.endpoint, sqsName(queue)),
          deadLetterUrl: emulatedQueueUrl(aws.endpoint, deadLetterSqsName(queue)),
          ...(queue.name === "runs" && { maxSlots: runSlots }),
        })),
      ),
      TASKIQ_COMMANDS: "on",
      TASKIQ_TASK_MODULES: TASK_MODULE,
      TASKIQ_WORKER_SLOTS: String(slots),
      TASKIQ_HTTP_HOST: "127.0.0.1",
      TASKIQ_HTTP_PORT: "0",
      TASKIQ_API_AUTH: "none",
      TASKIQ_PROBE_PORT: "0",
      TASKIQ_LOG: "tasks",
      TASKIQ_LOG_FORMAT: "json",
      // Shorter than a deployment's, so that a dead worker is noticed in seconds.
      TASKIQ_LEASE_MS: "6000",
      TASKIQ_EXTEND_INTERVAL_MS: "1500",
      TASKIQ_REAP_INTERVAL_MS: "500",
      // A killed worker's last poll may have taken a message with it.
      TASKIQ_RECEIVE_WAIT_MS: "2000",
      TASKIQ_RING_AGAIN_AFTER_MS: "5000",
      TASKIQ_RING_AGAIN_INTERVAL_MS: "1000",
      TASKIQ_DRAIN_WORK_MS: "1000",
      TASKIQ_GRACE_MS: "2000",
    };
    const api = start("api", { ...env, SERVICE_ROLE: "api" }, folder);
    ends.push(api.stop);
    const { host, port } = await api.said("api.started");
    const apiUrl = `http://${host}:${port}`;
    const dagsterUrl = withDatabase(postgres.url, "dagster");
    const given = settings({ apiUrl, dagsterUrl, awsUrl: aws.endpoint });
    const workerEnv = {
      ...env,
      ...given,
      SERVICE_ROLE: "worker",
      TASKIQ_COMMAND_INHERIT_ENV: Object.keys(given).join(","),
    };

    const file = join(folder, "fleet.json");
    const pids = new Map<string, number>();
    const startWorker = async (name: string): Promise<void> => {
      const worker = start(name, { ...workerEnv, TASKIQ_WORKER_NAME: name }, folder);
      ends.push(worker.stop);
      void worker.exited.then(() => (stopping ? undefined : startWorker(name)));
      await worker.said("worker.started");
      pids.set(name, worker.pid);
      await writeFile(file, JSON.stringify({ workers: Object.fromEntries(pids) }));
    };
    await Promise.all(WORKERS.map(startWorker));
    return { apiUrl, dagsterUrl, awsUrl: aws.endpoint, file, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

type Line = { readonly event: string; readonly [field: string]: unknown };

/** One role of `main.ts`; everything it writes goes to `<folder>/<name>.log`. */
function start(name: string, env: Readonly<Record<string, string>>, folder: string) {
  const child: ChildProcess = spawn(process.execPath, [ENTRY], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const log = createWriteStream(join(folder, `${name}.log`), { flags: "a" });
  const exited = once(child, "exit");
  const heard: Line[] = [];
  const listeners = new Set<(line: Line) => void>();
  if (child.stdout === null) throw new Error("expected a pipe");
  child.stderr?.pipe(log);
  createInterface({ input: child.stdout }).on("line", (text) => {
    log.write(`${text}\n`);
    if (!text.startsWith("{")) return;
    // Written by runtime/log.ts.
    const line = JSON.parse(text) as Line;
    heard.push(line);
    for (const listen of listeners) listen(line);
  });
  process.once("exit", () => child.kill("SIGKILL"));
  return {
    pid: child.pid ?? -1,
    exited,
    /** The first line of this event. */
    async said(event: string): Promise<Line> {
      const before = heard.find((line) => line.event === event);
      if (before !== undefined) return before;
      return await new Promise<Line>((resolve, reject) => {
        const overdue = setTimeout(() => reject(new Error(`expected ${event} of ${name}, see ${name}.log`)), START_MS);
        listeners.add((line) => {
          if (line.event !== event) return;
          clearTimeout(overdue);
          resolve(line);
        });
        void exited.then(() => reject(new Error(`expected ${event} of ${name}, it ended; see ${name}.log`)));
      });
    },
    async stop(): Promise<void> {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGTERM");
      const overdue = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
      await exited;
      clearTimeout(overdue);
    },
  };
}

function withDatabase(url: string, name: string): string {
  const parsed = new URL(url);
  parsed.pathname = `/${name}`;
  return parsed.href;
}
