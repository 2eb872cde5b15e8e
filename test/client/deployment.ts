/** The API and a worker in one real process, over a database and an emulator of the test file's own. */
import { fileURLToPath } from "node:url";
import { startTestAws } from "../support/aws.ts";
import { createTestDatabase } from "../support/database.ts";
import { startProcess } from "../support/processes.ts";

export type Deployment = {
  /** Of the API. */
  readonly url: string;
  /** What a service that belongs to it has to be told. */
  readonly env: Readonly<Record<string, string>>;
  stop(): Promise<void>;
};

const ENTRY = fileURLToPath(new URL("../../runtime/main.ts", import.meta.url));
const TASKS = fileURLToPath(new URL("./deployment-tasks.ts", import.meta.url));

/** Progress arrives ten times as often as usual. `settings` win over those of every deployment. */
export async function startDeployment(settings: Readonly<Record<string, string>> = {}): Promise<Deployment> {
  const [database, aws] = await Promise.all([createTestDatabase(), startTestAws()]);
  const env = { ...aws.env, DATABASE_URL: database.url };
  const service = startProcess({
    entry: ENTRY,
    env: {
      ...env,
      SERVICE_ROLE: "all",
      TASKIQ_HTTP_HOST: "127.0.0.1",
      TASKIQ_HTTP_PORT: "0",
      TASKIQ_API_AUTH: "none",
      TASKIQ_PROBE_PORT: "0",
      TASKIQ_TASK_MODULES: TASKS,
      TASKIQ_RECEIVE_WAIT_MS: "1000",
      TASKIQ_EXTEND_INTERVAL_MS: "200",
      TASKIQ_GRACE_MS: "100",
      TASKIQ_DRAIN_WORK_MS: "100",
      TASKIQ_DRAIN_BUDGET_MS: "5000",
      ...settings,
    },
  });
  const [, port] = await service.waitForLine(/"event":"api\.started".*"port":(\d+)/);
  return {
    url: `http://127.0.0.1:${port}`,
    env,
    async stop() {
      service.signal("SIGTERM");
      await service.exited;
      await aws.stop();
      await database.drop();
    },
  };
}
