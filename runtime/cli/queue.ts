/** `taskiq-aws queue list|show|pause|resume`. */
import type { Queue } from "../client/queues.ts";
import { openClient } from "./api-client.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import { queueBlock, queueTable } from "./queue-block.ts";
import type { Screen } from "./screen.ts";

export type QueueOptions = { readonly url: string; readonly json?: true };

export async function listQueues({ url, json }: QueueOptions, screen: Screen): Promise<ExitCode> {
  const queues = await openClient(url).queues.list();
  if (json === true) screen.out.line(`{"queues":[${queues.map((queue) => queue.json).join(",")}]}`);
  else for (const line of queueTable(queues, screen.out)) screen.out.line(line);
  return EXIT.ok;
}

export async function showQueue(name: string, options: QueueOptions, screen: Screen): Promise<ExitCode> {
  tell(await openClient(options.url).queues.get(name), options, screen);
  return EXIT.ok;
}

export async function pauseQueue(name: string, options: QueueOptions, screen: Screen): Promise<ExitCode> {
  tell(await openClient(options.url).queues.pause(name), options, screen);
  if (options.json !== true) {
    screen.notes.line(`What runs goes on, what is submitted waits. To go on: taskiq-aws queue resume ${name}`);
  }
  return EXIT.ok;
}

export async function resumeQueue(name: string, options: QueueOptions, screen: Screen): Promise<ExitCode> {
  tell(await openClient(options.url).queues.resume(name), options, screen);
  return EXIT.ok;
}

function tell(queue: Queue, { json }: QueueOptions, screen: Screen): void {
  screen.out.line(json === true ? queue.json : queueBlock(queue, screen.out));
}
