#!/usr/bin/env node
/** `taskiq-aws`: the command line. */
import { runCommand } from "./cli/program.ts";
import { openScreen } from "./cli/screen.ts";
import { environmentOfProcess } from "./config.ts";

// Whoever reads the output may stop reading (`| head`); that is no error.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit();
  });
}

const exitCode = await runCommand(process.argv, openScreen(process.stdout, process.stderr), environmentOfProcess());
// A check that got no answer in time may still hold a socket, so this does not wait for all to close; only for what was
// written to get through a pipe.
if (exitCode !== undefined) process.stdout.write("", () => process.exit(exitCode));
