/** The system behind the pages: a database, an emulator, an API and two workers, each a process. */
import { fileURLToPath } from "node:url";
import type { Scope } from "../../../runtime/access/scope.ts";
import { type Client, createClient } from "../../../runtime/client/index.ts";
import { deadLetterSqsName, emulatedQueueUrl, sqsName } from "../../../runtime/local/queues.ts";
import type { Database } from "../../../runtime/postgres/pool.ts";
import { createKey } from "../../access/test-keys.ts";
import { type Role, startSystem } from "../../support/system.ts";

export type StackOptions = {
  /** Whether the API asks for keys. Default `none`. */
  readonly auth?: "keys" | "none";
  /** Settings of all roles. */
  readonly env?: Readonly<Record<string, string>>;
};

export type Stack = {
  readonly url: string;
  /** Of somebody who may do everything. */
  readonly client: Client;
  /** For looking, and for rows in the state under test. */
  readonly database: Database;
  readonly workers: readonly Role[];
  /** The text of a new key. */
  key(scopes: readonly Scope[], tenant?: string): Promise<string>;
  stop(): Promise<void>;
};

const MODULES = fileURLToPath(new URL("./tasks.ts", import.meta.url));
/** What happens is seen soon, and a shutdown takes no time. */
const SETTINGS = {
  TASKIQ_TASK_MODULES: MODULES,
  TASKIQ_WORKER_SLOTS: "5",
  TASKIQ_EXTEND_INTERVAL_MS: "1000",
  TASKIQ_GRACE_MS: "1000",
  TASKIQ_RECEIVE_WAIT_MS: "1000",
  TASKIQ_DRAIN_WORK_MS: "1000",
  TASKIQ_LOGS_URL: "https://logs.example.com/?task={taskId}",
};
const WORKERS = ["worker-1", "worker-2"];

export async function startStack({ auth = "none", env = {} }: StackOptions = {}): Promise<Stack> {
  const system = await startSystem({ env: { ...SETTINGS, TASKIQ_API_AUTH: auth, ...env } });
  try {
    const TASKIQ_QUEUES = queuesText(system.aws.endpoint);
    const api = await system.startApi({ TASKIQ_QUEUES });
    const workers = await Promise.all(WORKERS.map((name) => system.startWorker(name, { TASKIQ_QUEUES })));
    const key = async (scopes: readonly Scope[], tenant = "default"): Promise<string> =>
      (await createKey(system.database, { scopes, tenant })).text;
    const apiKey = auth === "keys" ? await key(["admin"]) : undefined;
    const client = createClient({ baseUrl: api.url, ...(apiKey !== undefined && { apiKey }) });
    return { url: api.url, client, database: system.database, workers, key, stop: system.stop };
  } catch (error) {
    await system.stop();
    throw error;
  }
}

/** Those of the demo: a standard one, and one that keeps an order. */
function queuesText(endpoint: string): string {
  const queues = [
    { name: "default", type: "standard" },
    { name: "ordered", type: "fifo" },
  ] as const;
  return JSON.stringify(
    queues.map((queue) => ({
      ...queue,
      url: emulatedQueueUrl(endpoint, sqsName(queue)),
      deadLetterUrl: emulatedQueueUrl(endpoint, deadLetterSqsName(queue)),
    })),
  );
}
