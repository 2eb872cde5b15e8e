/** The commands: what each is called, what it takes, and which module does it. A module is loaded when its command runs. */
import { Argument, Command, CommanderError, Option } from "commander";
import { VERSION } from "../version.ts";
import { EXIT, EXIT_CODES_HELP, type ExitCode } from "./exit-code.ts";
import { apiUrl, DEFAULT_API_URL, idempotencyKey, label, seconds, wholeNumber } from "./option-values.ts";
import { reportError } from "./report-error.ts";
import type { Screen } from "./screen.ts";
import type { TaskRunOptions } from "./task-run.ts";
import type { TaskShowOptions } from "./task-show.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Nothing: the command started a service, which goes on and ends the process itself. */
type Outcome = ExitCode | undefined;

const YEAR_SECONDS = 31_536_000;
/** Below the longest that timers can be set to. */
const MAX_WAIT_SECONDS = 2_000_000;

/** Runs one command line. `env` is for the processes that `demo` starts. */
export async function runCommand(argv: readonly string[], screen: Screen, env: Environment): Promise<Outcome> {
  let outcome: Outcome;

  /** Makes an action of a function: its exit code is kept, what it throws is told. */
  function act<Args extends unknown[]>(work: (...args: Args) => Promise<Outcome>): (...args: Args) => Promise<void> {
    return async (...args) => {
      // Commander adds the options and the command itself.
      const command = args.at(-1) as unknown as Command;
      try {
        outcome = await work(...args);
      } catch (error) {
        outcome = reportError(error, screen, { json: command.opts<{ json?: true }>().json === true });
      }
    };
  }

  try {
    await programOf(act, screen, env).parseAsync(argv);
    return outcome;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Asking for help or the version is no mistake.
    return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
}

type Act = <Args extends unknown[]>(work: (...args: Args) => Promise<Outcome>) => (...args: Args) => Promise<void>;

function programOf(act: Act, screen: Screen, env: Environment): Command {
  const program = new Command("taskiq-aws")
    .description("Background tasks in your own AWS account.")
    .version(VERSION, "-V, --version", "show the version")
    .helpOption("-h, --help", "show this help")
    .helpCommand(false)
    .exitOverride();

  const task = program.command("task").description("submit a task, look at one").helpCommand(false);

  task
    .command("run")
    .description("submit a task; print its id, with --wait its result")
    .argument("<task>", "name of the task")
    .addArgument(new Argument("[input-json]", "its input: JSON, @file, or - for standard input"))
    .addOption(urlOption())
    .option("--wait", "follow it to its end")
    .addOption(timeoutOption())
    .option("--delay-seconds <n>", "start it that much later", seconds(0, YEAR_SECONDS))
    .option("--priority <n>", "-100 to 100, higher starts earlier", wholeNumber(-100, 100))
    .option("--queue <name>", "send it to this queue")
    .option("--label <name=value>", "label it; may be repeated", label)
    .option("--idempotency-key <key>", "the same key makes the same task, for a day", idempotencyKey)
    .option("--json", "print JSON")
    .addHelpText("after", EXIT_CODES_HELP)
    .action(
      act(async (name: string, input: string | undefined, options: TaskRunOptions) => {
        const { runTask } = await import("./task-run.ts");
        return runTask(name, input, options, screen);
      }),
    );

  task
    .command("show")
    .description("show a task")
    .argument("<id>", "what task run printed")
    .addOption(urlOption())
    .option("--wait", "first follow it to its end")
    .addOption(timeoutOption())
    .option("--json", "print JSON")
    .addHelpText("after", EXIT_CODES_HELP)
    .action(
      act(async (id: string, options: TaskShowOptions) => {
        const { showTask } = await import("./task-show.ts");
        return showTask(id, options, screen);
      }),
    );

  for (const [role, description] of [
    ["worker", "run tasks"],
    ["api", "serve the HTTP API, with the executor loops"],
  ] as const) {
    program
      .command(role)
      .description(description)
      .helpCommand(false)
      .command("start")
      .description(`${description}, until SIGTERM or Ctrl-C; configured by the environment (.env.example)`)
      .action(
        act(async () => {
          const { run } = await import("../main.ts");
          await run({ SERVICE_ROLE: role });
          return undefined;
        }),
      );
  }

  program
    .command("migrate")
    .description("bring the database's schema up to date (DATABASE_URL)")
    .option("--json", "print JSON")
    .action(
      act(async (options: { json?: true }) => {
        const { runMigrate } = await import("./migrate.ts");
        return runMigrate(options, screen);
      }),
    );

  program
    .command("doctor")
    .description("say what can be reached, what is wrong, and what to do")
    .addOption(urlOption())
    .option("--json", "print JSON")
    .addHelpText("after", "\nExit code 1 when something does not work, 0 when there are only warnings.")
    .action(
      act(async (options: { url: string; json?: true }, command: Command) => {
        const { runDoctor } = await import("./doctor/run-doctor.ts");
        const isGiven = command.getOptionValueSource("url") !== "default" && options.url !== DEFAULT_API_URL;
        return runDoctor({ api: { url: options.url, isGiven }, json: options.json === true }, screen);
      }),
    );

  program
    .command("demo")
    .description("run it all on this machine: Postgres, SQS and S3, the API, two workers")
    .option("--port <n>", "port of the API", wholeNumber(1, 65_535), 8_080)
    .option("--keep", "keep the data for the next time, in .local")
    .option("--exit", "run twenty tasks, print a summary, and end")
    .action(
      act(async ({ port, keep, exit }: { port: number; keep?: true; exit?: true }) => {
        const { demo } = await import("../demo.ts");
        const outcome = await demo({ port, keep: keep === true, exit: exit === true, env });
        return outcome === 0 ? EXIT.ok : EXIT.failed;
      }),
    );

  return program;
}

function urlOption(): Option {
  return new Option("--url <url>", "where the API is").env("TASKIQ_URL").default(DEFAULT_API_URL).argParser(apiUrl);
}

function timeoutOption(): Option {
  return new Option("--timeout-seconds <n>", "how long to wait at most; implies --wait (default: no limit)")
    .argParser(seconds(0, MAX_WAIT_SECONDS))
    .implies({ wait: true });
}
