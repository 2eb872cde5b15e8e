/** `taskiq-aws task show`: a task as it is now, or with `--wait` as it has become. */
import { systemClock } from "../clock.ts";
import { openClient } from "./api-client.ts";
import { EXIT, type ExitCode, exitCodeOfState } from "./exit-code.ts";
import type { Screen } from "./screen.ts";
import { taskBlock } from "./task-block.ts";
import { watchTask } from "./watch.ts";

export type TaskShowOptions = {
  readonly url: string;
  readonly wait?: true;
  readonly timeoutSeconds?: number;
  readonly json?: true;
};

export async function showTask(id: string, options: TaskShowOptions, screen: Screen): Promise<ExitCode> {
  const { url, wait, timeoutSeconds, json } = options;
  const client = openClient(url);
  const timeoutMs = timeoutSeconds === undefined ? undefined : timeoutSeconds * 1_000;
  const task = wait === true ? await watchTask(client, id, { screen, timeoutMs }) : await client.get(id);
  screen.out.line(json === true ? task.json : taskBlock(task, screen.out, systemClock.wallMs()));
  return wait === true ? exitCodeOfState(task.state) : EXIT.ok;
}
