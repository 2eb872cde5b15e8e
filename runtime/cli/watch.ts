/** Waits for a task before the eyes of a user, who may leave: the task does not notice. */
import type { Client } from "../client/client.ts";
import type { Task } from "../client/task.ts";
import { systemClock } from "../clock.ts";
import { startProgressView } from "./progress.ts";
import type { Screen } from "./screen.ts";

/** The user pressed Ctrl-C while waiting. */
export class Interrupted extends Error {
  override readonly name: string = "Interrupted";
}

/** Throws Interrupted, or what `client.wait` throws. */
export async function watchTask(
  client: Client,
  id: string,
  { screen, timeoutMs }: { screen: Screen; timeoutMs: number | undefined },
): Promise<Task> {
  const leaving = new AbortController();
  const interrupt = (): void =>
    leaving.abort(new Interrupted(`The task goes on. To look again:\n  taskiq-aws task show ${id} --wait`));
  process.once("SIGINT", interrupt);
  const view = startProgressView(screen.notes, systemClock);
  try {
    return await client.wait(id, {
      signal: leaving.signal,
      onUpdate: view.update,
      onAway: view.away,
      ...(timeoutMs !== undefined && { timeoutMs }),
    });
  } finally {
    view.end();
    process.off("SIGINT", interrupt);
  }
}
