/** The program of the golden sessions as a process. `PIPES_CHECKS` names checks, `PIPES_MODE=raise` throws, `PIPES_CLI` reads the command line. */
import { type PipesOptions, withPipes } from "../../../runtime/pipes/index.ts";
import { reportEverything } from "../report-everything.ts";

const { env } = process;
const options: PipesOptions = {
  ...(env.PIPES_CLI === undefined ? { env } : { argv: process.argv }),
  s3: { region: "us-east-1", endpoint: env.PIPES_ENDPOINT },
};

await withPipes(options, async (pipes) => {
  process.stdout.write("external stdout line\n");
  process.stderr.write("external stderr line é🚀\n");
  if (env.PIPES_MODE === "raise") {
    throw new TypeError("external failed", { cause: new Error("inner") });
  }
  // A list of texts, written by the test.
  reportEverything(pipes, JSON.parse(env.PIPES_CHECKS ?? "[]") as string[]);
});
