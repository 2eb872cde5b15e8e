/**
 * The whole system on an emulator, from nothing to finished tasks. TASKIQ_IMAGE is an image that exists, used instead of
 * building one; TASKIQ_EMULATOR chooses the emulator where none listens on port 4566.
 */
import { join } from "node:path";
import { run } from "../command.ts";
import { findContainerEngine } from "../container-engine.ts";
import { forgetDemoStack, openDemoStack, STATE_FOLDER } from "../demo-stack.ts";
import { EMULATOR_URL, findEmulator, startEmulator } from "../emulator.ts";
import { buildImage, LOCAL_IMAGE, tagByContent } from "../image.ts";
import { Problem, runTask } from "../problem.ts";
import { requirePulumi } from "../pulumi-cli.ts";
import { followTasks, submitSleep, waitForApi } from "../sleep-tasks.ts";
import { createSettings } from "../stack-settings.ts";

const READY_MS = 180_000;
const TASKS = 6;
const SLEEP_SECONDS = 5;

await runTask(async () => {
  // Everything that can be missing is asked for before anything is started.
  await requirePulumi();
  const engine = await findContainerEngine();

  const found = await findEmulator();
  if (found === null) {
    await startEmulator({ stateDir: join(STATE_FOLDER, "emulator"), runsContainers: true });
    await forgetDemoStack();
  } else console.log(`Port 4566: ${found} listens, and is used.`);

  const given = process.env.TASKIQ_IMAGE;
  if (given === undefined || given === "") await buildImage(engine, { tag: LOCAL_IMAGE });
  else await run(engine.program, ["tag", given, LOCAL_IMAGE]);
  // By its content, or a second deployment would not see that the image is another one.
  const image = await tagByContent(engine, LOCAL_IMAGE);

  const { file: configFile } = await createSettings(join(STATE_FOLDER, "Pulumi.localstack.yaml"), { image });
  const stack = await openDemoStack({ configFile });
  const existed = await stack.exists();
  await stack.create();
  // An emulator that was started anew meanwhile has nothing of what the state says.
  await stack.up(...(existed ? ["--refresh"] : []));
  const { localUrl, apiUrl } = await stack.outputs();
  const url = typeof localUrl === "string" && localUrl !== "" ? localUrl : apiUrl;
  if (typeof url !== "string") throw new Problem("The stack has neither the output localUrl nor apiUrl.");
  console.log(`\nWaiting for ${url}`);
  await waitForApi(url, READY_MS);

  console.log(`\nThe same as ${TASKS} times:`);
  console.log(
    `  curl -X POST ${url}/tasks -H 'content-type: application/json' -d '{"duration_seconds": ${SLEEP_SECONDS}}'\n`,
  );
  const ids = await Promise.all(Array.from({ length: TASKS }, () => submitSleep(url, SLEEP_SECONDS)));
  const ended = await followTasks(url, ids, READY_MS, ({ id, state, worker }) => {
    console.log(`  ${id}  ${state}${worker === null ? "" : ` on ${worker}`}`);
  });
  const failed = ended.filter(({ state }) => state !== "succeeded");
  if (failed.length > 0) throw new Problem(`${failed.length} of ${TASKS} tasks did not succeed.`);

  console.log(`
The system runs:
  API          ${url}
  its pages    ${url}/docs
  health       ${url}/health
  AWS          ${EMULATOR_URL} (any credentials, us-east-1)

  mise run logs                  follows its logs
  mise run remove-taskiq-demo    takes it away again`);
});
