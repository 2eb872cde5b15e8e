/**
 * `pulumi preview`, `up` or `destroy` of the selected stack. Arguments: preview, up or down, then whatever Pulumi takes, such
 * as `--stack production`.
 */
import { run } from "../command.ts";
import { REPOSITORY } from "../image.ts";
import { Problem, runTask } from "../problem.ts";
import { requirePulumi } from "../pulumi-cli.ts";

const COMMANDS: Readonly<Record<string, string>> = { preview: "preview", up: "up", down: "destroy" };

await runTask(async () => {
  const [task = "", ...args] = process.argv.slice(2);
  const command = COMMANDS[task];
  if (command === undefined) throw new Problem(`Expected preview, up or down, got "${task}".`);
  await requirePulumi();
  await run("pulumi", [command, ...args], { cwd: REPOSITORY });
});
