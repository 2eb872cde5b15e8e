/**
 * Starts a free emulator of AWS on port 4566. TASKIQ_EMULATOR chooses it: ministack (default), ministack-pip or floci.
 * `stop` as an argument stops it again.
 */
import { join } from "node:path";
import { STATE_FOLDER } from "../demo-stack.ts";
import { EMULATOR_URL, startEmulator, stopEmulator } from "../emulator.ts";
import { Problem, runTask } from "../problem.ts";

const FOLDER = join(STATE_FOLDER, "emulator");

await runTask(async () => {
  const [argument] = process.argv.slice(2);
  if (argument === "stop") {
    console.log((await stopEmulator(FOLDER)) ? "The emulator is stopped." : "No emulator was started from here.");
    return;
  }
  if (argument !== undefined) throw new Problem(`Expected no argument or "stop", got "${argument}".`);
  await startEmulator({ stateDir: FOLDER });
  console.log(`The emulator answers on ${EMULATOR_URL}. Its state is gone when it stops.`);
  console.log("  mise run deploy-taskiq-demo    deploys to it");
  console.log("  mise run localstack stop       stops it");
});
