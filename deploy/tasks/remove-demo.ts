/** Takes the demonstration away: the stack with all it made, its state, and the emulator where the demonstration started it. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { findContainerEngine } from "../container-engine.ts";
import { openDemoStack, STATE_FOLDER } from "../demo-stack.ts";
import { findEmulator, stopEmulator } from "../emulator.ts";
import { removeContentTags } from "../image.ts";
import { runTask } from "../problem.ts";

await runTask(async () => {
  const stack = await openDemoStack();
  if (!(await stack.exists())) console.log("The stack does not exist.");
  else if ((await findEmulator()) === null) {
    console.log("The emulator does not run any more, and took with it what was in it.");
  } else {
    await stack.destroy();
    await stack.remove();
  }
  if (await stopEmulator(join(STATE_FOLDER, "emulator"))) console.log("The emulator is stopped.");
  await removeContentTags(await findContainerEngine());
  await rm(STATE_FOLDER, { recursive: true, force: true });
});
