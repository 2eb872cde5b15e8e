/** `taskiq-aws task run`: submits a task, and with `--wait` follows it to its end. */
import type { Task } from "../client/task.ts";
import { memberTexts } from "../wire/json-text.ts";
import { openClient } from "./api-client.ts";
import { EXIT, type ExitCode, exitCodeOfState } from "./exit-code.ts";
import { readInput } from "./input.ts";
import { describeEnd } from "./progress.ts";
import type { Screen } from "./screen.ts";
import { oneLine } from "./text.ts";
import { watchTask } from "./watch.ts";

export type TaskRunOptions = {
  readonly url: string;
  readonly wait?: true;
  readonly timeoutSeconds?: number;
  readonly delaySeconds?: number;
  /** Milliseconds. */
  readonly delay?: number;
  readonly at?: Date;
  readonly priority?: number;
  readonly queue?: string;
  readonly label?: Readonly<Record<string, string>>;
  readonly idempotencyKey?: string;
  readonly json?: true;
};

export async function runTask(
  task: string,
  input: string | undefined,
  options: TaskRunOptions,
  screen: Screen,
): Promise<ExitCode> {
  const { url, wait, timeoutSeconds, delaySeconds, delay, at, priority, queue, label, idempotencyKey, json } = options;
  const client = openClient(url);
  const { taskId } = await client.enqueue(task, await readInput(input, process.stdin), {
    ...(delaySeconds !== undefined && { delayMs: delaySeconds * 1_000 }),
    ...(delay !== undefined && { delayMs: delay }),
    ...(at !== undefined && { notBefore: at }),
    ...(priority !== undefined && { priority }),
    ...(queue !== undefined && { queue }),
    ...(label !== undefined && { labels: label }),
    ...(idempotencyKey !== undefined && { idempotencyKey }),
  });
  if (wait !== true) {
    screen.out.line(json === true ? JSON.stringify({ task_id: taskId, state: "queued" }) : taskId);
    if (screen.notes.isTerminal) screen.notes.line(`To follow it:\n  taskiq-aws task show ${taskId} --wait`);
    return EXIT.ok;
  }
  screen.notes.line(`${screen.notes.style("bold", oneLine(task))} ${taskId}`);
  const timeoutMs = timeoutSeconds === undefined ? undefined : timeoutSeconds * 1_000;
  const done = await watchTask(client, taskId, { screen, timeoutMs });
  tellEnd(done, screen, json === true);
  return exitCodeOfState(done.state);
}

/** What came out of the task to standard output, how it went to standard error. */
function tellEnd(task: Task, screen: Screen, json: boolean): void {
  screen.notes.line(describeEnd(task, screen.notes));
  if (task.error !== null) {
    screen.notes.line(`  ${oneLine(`${task.error.code}: ${task.error.type}: ${task.error.message}`)}`);
  }
  if (json) screen.out.line(task.json);
  // The exact text: a number that JavaScript would round stays as the handler returned it.
  else if (task.state === "succeeded") screen.out.line(memberTexts(task.json).get("result") ?? "null");
}
