/** The commands around jobs and runs. */
import { Argument, type Command, InvalidArgumentError, Option } from "commander";
import { systemClock } from "../clock.ts";
import { RUN_STATES, type RunState } from "../model/run.ts";
import type { Act } from "./act.ts";
import { RUN_EXIT_CODES_HELP } from "./exit-code.ts";
import { timeOrAge } from "./filter-options.ts";
import type { JobOptions } from "./job.ts";
import { idempotencyKey, label, wholeNumber } from "./option-values.ts";
import type { RunCancelOptions, RunReexecuteOptions, RunResumeOptions } from "./run-change.ts";
import type { RunListOptions } from "./run-list.ts";
import type { RunShowOptions } from "./run-show.ts";
import type { RunStartOptions } from "./run-start.ts";
import type { RunWatchOptions } from "./run-watch.ts";
import type { Screen } from "./screen.ts";

const MAX_REASON_CHARS = 500;

export function addRunCommands(program: Command, act: Act, screen: Screen, urlOption: () => Option): void {
  const job = program.command("job").description("graphs of steps that are defined in code").helpCommand(false);
  const run = program
    .command("run")
    .description("start a graph of steps, follow it, cancel it, run it again")
    .helpCommand(false);

  job
    .command("list")
    .description("show the jobs, in the order of their names")
    .addOption(urlOption())
    .option("--json", "print JSON")
    .action(
      act(async (options: JobOptions) => {
        const { listJobs } = await import("./job.ts");
        return listJobs(options, screen);
      }),
    );

  job
    .command("show")
    .description("show a job: its input and its steps")
    .argument("<job>", "name of the job")
    .addOption(urlOption())
    .option("--json", "print JSON")
    .action(
      act(async (name: string, options: JobOptions) => {
        const { showJob } = await import("./job.ts");
        return showJob(name, options, screen);
      }),
    );

  run
    .command("start")
    .description("start a run; print its id, with --watch follow it and print its result")
    .addArgument(new Argument("[job]", "name of the job; or --graph"))
    .addOption(urlOption())
    .option("--graph <file>", "a graph of steps as JSON; - for standard input")
    .option("--input <json>", "its input: JSON, @file, or - for standard input")
    .option("--watch", "follow it to its end")
    .addOption(
      new Option("--mode <mode>", "each step a task, or all in one (default: as the job says)").choices([
        "orchestrated",
        "simple",
      ]),
    )
    .option("--priority <n>", "-100 to 100, added to that of each step", wholeNumber(-100, 100))
    .option("--label <name=value>", "label it; may be repeated", label)
    .option("--idempotency-key <key>", "the same key makes the same run, for a day", idempotencyKey)
    .option("--json", "print JSON; with --watch one line an event")
    .addHelpText("after", RUN_EXIT_CODES_HELP)
    .action(
      act(async (name: string | undefined, options: RunStartOptions) => {
        const { startRun } = await import("./run-start.ts");
        return startRun(name, options, screen);
      }),
    );

  run
    .command("watch")
    .description("follow a run and its steps to the end")
    .argument("<id>", "what run start printed")
    .addOption(urlOption())
    .option("--json", "print JSON, one line an event")
    .addHelpText("after", RUN_EXIT_CODES_HELP)
    .action(
      act(async (id: string, options: RunWatchOptions) => {
        const { watchRunCommand } = await import("./run-watch.ts");
        return watchRunCommand(id, options, screen);
      }),
    );

  run
    .command("show")
    .description("show a run and its steps")
    .argument("<id>", "what run start printed")
    .addOption(urlOption())
    .option("--json", "print JSON")
    .action(
      act(async (id: string, options: RunShowOptions) => {
        const { showRun } = await import("./run-show.ts");
        return showRun(id, options, screen);
      }),
    );

  const time = (text: string): Date => timeOrAge(text, systemClock.wallMs());
  run
    .command("list")
    .description("list runs, newest first")
    .option("--state <states>", "one or several: failed,cancelled", states)
    .option("--job <name>", "name of the job")
    .option("--label <name=value>", "may be repeated; all have to match", label)
    .option("--created-after <time>", "2026-12-24T18:00:00Z, or 15m, 2h, 3d ago", time)
    .option("--created-before <time>", "the same", time)
    .addOption(urlOption())
    .option("--limit <n>", "show so many at most", wholeNumber(1, 1_000_000), 20)
    .option("--all", "show all of them")
    .option("--json", "print JSON, one line a run")
    .action(
      act(async (options: RunListOptions) => {
        const { listRuns } = await import("./run-list.ts");
        return listRuns(options, screen);
      }),
    );

  run
    .command("cancel")
    .description("cancel a run: what waits at once, what runs within its grace time")
    .argument("<id>", "what run start printed")
    .addOption(urlOption())
    .option("--reason <text>", "why, for whoever looks at it later", (text) => text.slice(0, MAX_REASON_CHARS))
    .option("--json", "print JSON")
    .action(
      act(async (id: string, options: RunCancelOptions) => {
        const { cancelRun } = await import("./run-change.ts");
        return cancelRun(id, options, screen);
      }),
    );

  run
    .command("resume")
    .description("ring again for the steps of a run that wait to be claimed")
    .argument("<id>", "what run start printed")
    .addOption(urlOption())
    .option("--json", "print JSON")
    .action(
      act(async (id: string, options: RunResumeOptions) => {
        const { resumeRun } = await import("./run-change.ts");
        return resumeRun(id, options, screen);
      }),
    );

  run
    .command("reexecute")
    .description("run the same graph with the same input again, as a new run; print its id")
    .argument("<id>", "a run that is over")
    .addOption(urlOption())
    .option("--from-failure", "what failed, was cancelled or never ran; other results are kept")
    .option("--steps <keys>", "these; load* is load and all that comes after it: extract,load*", chosen)
    .option("--all", "every step")
    .option("--watch", "follow it to its end")
    .option("--idempotency-key <key>", "the same key makes the same run, for a day", idempotencyKey)
    .option("--json", "print JSON; with --watch one line an event")
    .addHelpText("after", RUN_EXIT_CODES_HELP)
    .action(
      act(async (id: string, options: RunReexecuteOptions) => {
        const { reexecuteRun } = await import("./run-change.ts");
        return reexecuteRun(id, options, screen);
      }),
    );
}

function states(text: string): readonly RunState[] {
  const words = text.split(",").map((word) => word.trim());
  const known = words.flatMap((word) => RUN_STATES.find((state) => state === word) ?? []);
  if (known.length === words.length) return known;
  throw new InvalidArgumentError(`Expected states out of ${RUN_STATES.join(", ")}, separated by commas.`);
}

function chosen(text: string): readonly string[] {
  const keys = text.split(",").map((key) => key.trim());
  if (keys.every((key) => /^[A-Za-z0-9_-]{1,100}\*?$/.test(key))) return keys;
  throw new InvalidArgumentError("Expected keys of steps, separated by commas, for example extract,load*.");
}
