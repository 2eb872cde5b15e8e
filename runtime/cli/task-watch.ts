/** `taskiq-aws task watch`: what happens to a task, as it happens. */
import type { Task } from "../client/task.ts";
import type { TaskEvent } from "../client/task-events.ts";
import { systemClock } from "../clock.ts";
import { openClient } from "./api-client.ts";
import { type ExitCode, exitCodeOfState } from "./exit-code.ts";
import { describeEnd, startProgressView } from "./progress.ts";
import type { Screen } from "./screen.ts";
import { oneLine } from "./text.ts";
import { Interrupted } from "./watch.ts";

export type TaskWatchOptions = { readonly url: string; readonly json?: true };

export async function watchTaskEvents(id: string, { url, json }: TaskWatchOptions, screen: Screen): Promise<ExitCode> {
  const client = openClient(url);
  let task = await client.get(id);
  const leaving = new AbortController();
  const interrupt = (): void =>
    leaving.abort(new Interrupted(`The task goes on. To look again:\n  taskiq-aws task watch ${id}`));
  process.once("SIGINT", interrupt);
  screen.notes.line(`${screen.notes.style("bold", oneLine(task.task))} ${id}`);
  let view = startProgressView(screen.notes, systemClock);
  try {
    for await (const event of client.tasks.events(id, { signal: leaving.signal, onAway: () => view.away() })) {
      task = { ...task, ...changeOf(event) };
      if (json === true) screen.out.line(JSON.stringify(event));
      else if (event.kind === "attempt") {
        // The line that is being drawn has to end before another one is written.
        view.end();
        screen.notes.line(describeAttempt(event));
        view = startProgressView(screen.notes, systemClock);
      }
      view.update(task);
    }
  } finally {
    view.end();
    process.off("SIGINT", interrupt);
  }
  const done = await client.get(id);
  screen.notes.line(describeEnd(done, screen.notes));
  return exitCodeOfState(done.state);
}

function changeOf(event: TaskEvent): Partial<Task> {
  switch (event.kind) {
    case "state": {
      const { state, attempt, failures, losses, worker, cancelRequested } = event;
      return { state, attempt, failures, losses, worker, cancelRequested };
    }
    case "progress":
      return { progress: event.progress, progressMessage: event.message };
    case "attempt":
      // The next one starts without.
      return { progress: null, progressMessage: null };
  }
}

function describeAttempt({ attempt, outcome, worker, error }: Extract<TaskEvent, { kind: "attempt" }>): string {
  const why = error === null ? "" : `: ${error.code}: ${error.message}`;
  return `  ${oneLine(`attempt ${attempt} ${outcome}${worker === null ? "" : ` on ${worker}`}${why}`)}`;
}
