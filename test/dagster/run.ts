/**
 * `npm run test:dagster`: real Dagster on this worker fleet. Makes a Python environment, starts the fleet and lets pytest do the rest: first what needs
 * no fleet (unit/), then the runs (live/). Not part of `npm test`, because it installs from PyPI and takes a quarter of an hour on two cores.
 *
 *   PYTHON                what makes the environment. Default: python3, which has to be 3.10 to 3.13
 *   DAGSTER_TEST_FOLDER    where logs and Dagster's files go, and stay. Default: a temporary folder, removed at the end
 *
 * Arguments go to pytest: `npm run test:dagster -- -k terminate`.
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { prepareVenv, run } from "../support/venv.ts";
import { startFleet } from "./fleet.ts";

const HERE = fileURLToPath(new URL(".", import.meta.url));
/** Run workers wait for their steps: half of the fleet's slots at most. */
const SLOTS = 8;
const RUN_SLOTS = 2;
/** Variables of the code location and of the package, which every process of a run needs. */
const DAGSTER_YAML = `
telemetry: {enabled: false}
storage:
  postgres:
    postgres_url: {env: INTEROP_PG_URL}
run_monitoring:
  enabled: true
  start_timeout_seconds: 3600
  cancel_timeout_seconds: 60
  max_resume_run_attempts: 3
run_coordinator:
  module: dagster.core.run_coordinator
  class: DefaultRunCoordinator
run_launcher:
  module: dagster_taskiq
  class: TaskiqRunLauncher
  config:
    url: {env: TASKIQ_URL}
    grace_seconds: 5
`;

// Whatever was started is killed by its `exit` handlers.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

const python = await prepareVenv({
  name: "dagster",
  requirements: join(HERE, "requirements.txt"),
  editable: join(HERE, "../../runtime/dagster"),
});
const pytestArgs = process.argv.slice(2);
const kept = process.env.DAGSTER_TEST_FOLDER;
const folder = kept ?? (await mkdtemp(join(tmpdir(), "taskiq-dagster-")));
const home = join(folder, "dagster-home");
const pipes = join(folder, "pipes");
await Promise.all([home, pipes].map((made) => mkdir(made, { recursive: true })));
await writeFile(join(home, "dagster.yaml"), DAGSTER_YAML);

// For the task's definition in API and workers, and for the tests: all of them inherit it.
process.env.TEST_PIPES_FOLDER = pipes;

const pytest = (tests: string, env: Readonly<Record<string, string>> = {}) =>
  // 5: no test of these has the wanted name.
  run(python, ["-m", "pytest", "-p", "no:cacheprovider", "-v", "-rP", "--tb=short", join(HERE, tests), ...pytestArgs], {
    env: { PYTHONDONTWRITEBYTECODE: "1", DAGSTER_DISABLE_TELEMETRY: "1", ...env },
    allowed: [0, 1, 5],
  });

/** What every process of a run needs: the driver, run workers and steps. */
const settings = ({ apiUrl, dagsterUrl }: { readonly apiUrl: string; readonly dagsterUrl: string }) => ({
  // The scheme that SQLAlchemy knows.
  INTEROP_PG_URL: dagsterUrl.replace("postgres://", "postgresql://"),
  INTEROP_EXECUTOR: "dagster_taskiq:taskiq_executor",
  INTEROP_JOURNAL: join(folder, "journal.jsonl"),
  TASKIQ_URL: apiUrl,
  DAGSTER_DISABLE_TELEMETRY: "1",
  PYTHONDONTWRITEBYTECODE: "1",
});

const codes = [await pytest("unit")];
if (codes[0] === 1) process.exit(1);
const fleet = await startFleet({ folder, slots: SLOTS, runSlots: RUN_SLOTS, env: settings });
try {
  codes.push(await pytest("live", { ...settings(fleet), DAGSTER_HOME: home, DAGSTER_TEST_FLEET: fleet.file }));
} finally {
  await fleet.stop();
  if (kept === undefined) await rm(folder, { recursive: true, force: true });
  else console.log(`kept: ${folder}`);
}
process.exitCode = codes.every((code) => code === 0 || code === 5) ? 0 : 1;
