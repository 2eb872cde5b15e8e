/** The commands that look at many tasks and at workers, follow a task, cancel and retry. */
import type { Command, Option } from "commander";
import { systemClock } from "../clock.ts";
import type { Act } from "./act.ts";
import { EXIT_CODES_HELP } from "./exit-code.ts";
import { addFilterOptions } from "./filter-options.ts";
import { wholeNumber } from "./option-values.ts";
import type { Screen } from "./screen.ts";
import type { TaskChangeOptions } from "./task-change.ts";
import type { TaskListOptions } from "./task-list.ts";
import type { TaskWatchOptions } from "./task-watch.ts";
import type { WorkerListOptions } from "./worker-list.ts";

const MAX_REASON_CHARS = 500;

/** @param worker the command group that `worker start` is in */
export function addLookCommands(
  { task, worker }: { readonly task: Command; readonly worker: Command },
  act: Act,
  screen: Screen,
  urlOption: () => Option,
): void {
  addFilterOptions(task.command("list"), systemClock.wallMs)
    .description("list tasks, newest first")
    .addOption(urlOption())
    .option("--limit <n>", "show so many at most", wholeNumber(1, 1_000_000), 20)
    .option("--all", "show all of them")
    .option("--json", "print JSON, one line a task")
    .action(
      act(async (options: TaskListOptions) => {
        const { listTasks } = await import("./task-list.ts");
        return listTasks(options, screen);
      }),
    );

  task
    .command("watch")
    .description("follow a task to its end")
    .argument("<id>", "what task run printed")
    .addOption(urlOption())
    .option("--json", "print JSON, one line an event")
    .addHelpText("after", EXIT_CODES_HELP)
    .action(
      act(async (id: string, options: TaskWatchOptions) => {
        const { watchTaskEvents } = await import("./task-watch.ts");
        return watchTaskEvents(id, options, screen);
      }),
    );

  addFilterOptions(task.command("cancel").argument("[id]", "one task; without it, by filter"), systemClock.wallMs)
    .description("cancel a task, or count and with --yes cancel all that match")
    .addOption(urlOption())
    .option("--all", "without a filter: all that wait or run")
    .option("--reason <text>", "why, for whoever looks at them later", reason)
    .option("--yes", "do it; without it they are only counted")
    .option("--json", "print JSON")
    .action(
      act(async (id: string | undefined, options: TaskChangeOptions) => {
        const { cancelTasks } = await import("./task-change.ts");
        return cancelTasks(id, options, screen);
      }),
    );

  addFilterOptions(task.command("retry").argument("[id]", "one task; without it, by filter"), systemClock.wallMs)
    .description("run a task again, or count and with --yes retry all failed ones that match")
    .addOption(urlOption())
    .option("--all", "without a filter: all that failed")
    .option("--yes", "do it; without it they are only counted")
    .option("--json", "print JSON")
    .action(
      act(async (id: string | undefined, options: TaskChangeOptions) => {
        const { retryTasks } = await import("./task-change.ts");
        return retryTasks(id, options, screen);
      }),
    );

  worker
    .command("list")
    .description("show the workers: alive, draining, or lost")
    .addOption(urlOption())
    .option("--json", "print JSON")
    .action(
      act(async (options: WorkerListOptions) => {
        const { listWorkers } = await import("./worker-list.ts");
        return listWorkers(options, screen);
      }),
    );
}

function reason(text: string): string {
  return text.slice(0, MAX_REASON_CHARS);
}
