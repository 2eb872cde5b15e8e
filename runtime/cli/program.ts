/**
 * The commands: what each is called, what it takes, and which module does it. A module is loaded when its command runs. Long because there are many
 * commands; there is no logic in it.
 */
import { Argument, Command, CommanderError, Option } from "commander";
import { SCOPES } from "../access/scope.ts";
import { CATCH_UP_POLICIES, OVERLAP_POLICIES, SCHEDULE_LIMITS } from "../model/schedule.ts";
import { VERSION } from "../version.ts";
import type { Act, Outcome } from "./act.ts";
import { EXIT, EXIT_CODES_HELP } from "./exit-code.ts";
import type { KeyCreateOptions, KeyOptions } from "./key.ts";
import type { KeygenOptions } from "./keygen.ts";
import { addLookCommands } from "./look-commands.ts";
import {
  apiUrl,
  DEFAULT_API_URL,
  fingerprint,
  idempotencyKey,
  label,
  life,
  pointInTime,
  scopes,
  seconds,
  span,
  wholeNumber,
} from "./option-values.ts";
import type { QueueOptions } from "./queue.ts";
import type { QueueRedriveOptions } from "./queue-redrive.ts";
import { reportError } from "./report-error.ts";
import { addRunCommands } from "./run-commands.ts";
import type { ScheduleCreateOptions, ScheduleOptions, ScheduleTriggerOptions } from "./schedule.ts";
import type { Screen } from "./screen.ts";
import type { TaskRunOptions } from "./task-run.ts";
import type { TaskShowOptions } from "./task-show.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

const YEAR_SECONDS = 31_536_000;
const YEAR_MS = YEAR_SECONDS * 1_000;
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
    .addOption(
      new Option("--delay <time>", "the same as 90s, 15m, 2h or 3d")
        .argParser(span(0, YEAR_MS))
        .conflicts(["delaySeconds", "at"]),
    )
    .addOption(
      new Option("--at <time>", "start it then, as in 2026-12-24T18:00:00+01:00")
        .argParser(pointInTime)
        .conflicts(["delaySeconds", "delay"]),
    )
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

  addRunCommands(program, act, screen, urlOption);

  const queue = program.command("queue").description("look at queues, pause them, redrive").helpCommand(false);

  queue
    .command("list")
    .description("show the queues, with what waits and runs in each")
    .addOption(urlOption())
    .option("--json", "print JSON")
    .action(
      act(async (options: QueueOptions) => {
        const { listQueues } = await import("./queue.ts");
        return listQueues(options, screen);
      }),
    );

  for (const [verb, description, name] of [
    ["show", "show a queue", "showQueue"],
    ["pause", "stop the claims from a queue; what runs goes on, what comes waits", "pauseQueue"],
    ["resume", "let the workers claim from a queue again", "resumeQueue"],
  ] as const) {
    queue
      .command(verb)
      .description(description)
      .argument("<queue>", "name of the queue")
      .addOption(urlOption())
      .option("--json", "print JSON")
      .action(
        act(async (queueName: string, options: QueueOptions) => {
          const commands = await import("./queue.ts");
          return commands[name](queueName, options, screen);
        }),
      );
  }

  queue
    .command("redrive")
    .description("put the tasks in the dead-letter queue back to work")
    .argument("<queue>", "name of the queue")
    .addOption(urlOption())
    .option("--dry-run", "only count, by task and reason")
    .option("--limit <n>", "at most so many tasks", wholeNumber(1, 1_000_000))
    .option("--rate <n>", "at most so many tasks a second", wholeNumber(1, 500), 50)
    .option("--discard-poison", "delete messages that no task can come of")
    .option("--json", "print JSON")
    .action(
      act(async (queueName: string, options: QueueRedriveOptions) => {
        const { redriveQueue } = await import("./queue-redrive.ts");
        return redriveQueue(queueName, options, screen);
      }),
    );

  for (const [role, description] of [
    ["worker", "run tasks"],
    ["api", "serve the HTTP API, with the executor loops"],
  ] as const) {
    const group = program
      .command(role)
      .description(role === "worker" ? `${description}; list those that do` : description)
      .helpCommand(false);
    if (role === "worker") addLookCommands({ task, worker: group }, act, screen, urlOption);
    group
      .command("start")
      .description(`${description}, until SIGTERM or Ctrl-C; configured by the environment (.env.example)`)
      .addOption(configOption())
      .action(
        act(async ({ config }: { config?: string }) => {
          const { run } = await import("../main.ts");
          await run({ SERVICE_ROLE: role, ...fromFile(config) });
          return undefined;
        }),
      );
  }

  program
    .command("migrate")
    .description("bring the database's schema up to date (DATABASE_URL)")
    .addOption(configOption())
    .option("--json", "print JSON")
    .action(
      act(async ({ config, ...options }: { json?: true; config?: string }) => {
        const { runMigrate } = await import("./migrate.ts");
        return runMigrate({ ...options, settings: fromFile(config) }, screen);
      }),
    );

  addScheduleCommands(program, act, screen);

  program
    .command("keygen")
    .description("make an API key in the database (DATABASE_URL); the first one, too")
    .option("--name <name>", "what it is for; two live keys may share one", "admin")
    .option("--tenant <name>", "whose tasks it is for", "default")
    .addOption(scopesOption().default(["admin"], "admin"))
    .addOption(expiresOption())
    .addOption(
      new Option("--environment <word>", "the word in the key that tells deployments apart")
        .env("TASKIQ_KEY_ENVIRONMENT")
        .default("local"),
    )
    .option("--offline", "only print a key and its fingerprint, to be stored elsewhere")
    .option("--fingerprint <id:hash>", "store this, and not a new key", fingerprint)
    .option("--json", "print JSON")
    .action(
      act(async (options: KeygenOptions) => {
        const { runKeygen } = await import("./keygen.ts");
        return runKeygen(options, screen);
      }),
    );

  const key = program
    .command("key")
    .description("make, list, end and replace API keys, with a key of an admin in TASKIQ_API_KEY")
    .helpCommand(false);

  key
    .command("create")
    .description("make a key; print its text, which is not shown again")
    .argument("<name>", "what it is for")
    .addOption(urlOption())
    .option("--tenant <name>", "whose tasks it is for (default: your own)")
    .addOption(scopesOption().makeOptionMandatory())
    .addOption(expiresOption())
    .option("--json", "print JSON")
    .action(
      act(async (name: string, options: KeyCreateOptions) => {
        const { createKey } = await import("./key.ts");
        return createKey(name, options, screen);
      }),
    );

  key
    .command("list")
    .description("show the keys, newest first")
    .addOption(urlOption())
    .option("--json", "print JSON")
    .action(
      act(async (options: KeyOptions) => {
        const { listKeys } = await import("./key.ts");
        return listKeys(options, screen);
      }),
    );

  key
    .command("revoke")
    .description("end a key for good, within 30 seconds everywhere")
    .argument("<id>", "what key list shows")
    .addOption(urlOption())
    .option("--json", "print JSON")
    .action(
      act(async (id: string, options: KeyOptions) => {
        const { revokeKey } = await import("./key.ts");
        return revokeKey(id, options, screen);
      }),
    );

  key
    .command("rotate")
    .description("make a second key like this one; the old one lives until it is revoked")
    .argument("<id>", "what key list shows")
    .addOption(urlOption())
    .option("--json", "print JSON")
    .action(
      act(async (id: string, options: KeyOptions) => {
        const { rotateKey } = await import("./key.ts");
        return rotateKey(id, options, screen);
      }),
    );

  program
    .command("doctor")
    .description("say what can be reached, what is wrong, and what to do")
    .addOption(urlOption())
    .addOption(configOption())
    .option("--json", "print JSON")
    .addHelpText("after", "\nExit code 1 when something does not work, 0 when there are only warnings.")
    .action(
      act(async (options: { url: string; config?: string; json?: true }, command: Command) => {
        const { runDoctor } = await import("./doctor/run-doctor.ts");
        const isGiven = command.getOptionValueSource("url") !== "default" && options.url !== DEFAULT_API_URL;
        const settings = fromFile(options.config);
        return runDoctor({ api: { url: options.url, isGiven }, settings, json: options.json === true }, screen);
      }),
    );

  program
    .command("demo")
    .description("run it all on this machine: Postgres, SQS and S3, the API, two workers")
    .option("--port <n>", "port of the API", wholeNumber(1, 65_535), 8_080)
    .option("--keep", "keep the data for the next time, in .local")
    .option("--exit", "run twenty tasks and a job, print a summary, and end")
    .action(
      act(async ({ port, keep, exit }: { port: number; keep?: true; exit?: true }) => {
        const { demo } = await import("../demo.ts");
        const outcome = await demo({ port, keep: keep === true, exit: exit === true, env });
        return outcome === 0 ? EXIT.ok : EXIT.failed;
      }),
    );

  return program;
}

function addScheduleCommands(program: Command, act: Act, screen: Screen): void {
  const schedule = program
    .command("schedule")
    .description("tasks that are made again and again, by a cron expression or every so often")
    .helpCommand(false);
  const { intervalMs, catchUpLimit } = SCHEDULE_LIMITS;

  schedule
    .command("create")
    .description("create a schedule; print its id")
    .argument("<name>", "unique")
    .argument("<task>", "name of the task")
    .addArgument(new Argument("[input-json]", "its input: JSON, @file, or - for standard input"))
    .addOption(urlOption())
    .addOption(new Option("--cron <expression>", 'five fields, as in "30 2 * * 1-5"').conflicts("every"))
    .option("--time-zone <name>", "of --cron, as in Europe/Berlin (default: UTC)")
    .option("--every <time>", "30s, 15m, 2h or 3d", span(intervalMs.min, intervalMs.max))
    .addOption(
      new Option("--catch-up <policy>", "for times missed during an outage (default: one)").choices(CATCH_UP_POLICIES),
    )
    .option(
      "--catch-up-limit <n>",
      "most tasks made up for with --catch-up all (default: 100)",
      wholeNumber(catchUpLimit.min, catchUpLimit.max),
    )
    .addOption(
      new Option("--overlap <policy>", "while the task of the last time has not ended (default: allow)").choices(
        OVERLAP_POLICIES,
      ),
    )
    .option("--priority <n>", "-100 to 100, higher starts earlier", wholeNumber(-100, 100))
    .option("--queue <name>", "send its tasks to this queue")
    .option("--label <name=value>", "label its tasks; may be repeated", label)
    .option("--paused", "it starts when it is resumed")
    .option("--idempotency-key <key>", "the same key makes the same schedule", idempotencyKey)
    .option("--json", "print JSON")
    .action(
      act(async (name: string, task: string, input: string | undefined, options: ScheduleCreateOptions) => {
        const { createSchedule } = await import("./schedule.ts");
        return createSchedule(name, task, input, options, screen);
      }),
    );

  schedule
    .command("list")
    .description("show the schedules, in the order of their names")
    .addOption(urlOption())
    .option("--json", "print JSON")
    .action(
      act(async (options: ScheduleOptions) => {
        const { listSchedules } = await import("./schedule.ts");
        return listSchedules(options, screen);
      }),
    );

  for (const [verb, description] of [
    ["show", "show a schedule"],
    ["pause", "fire it no more, until it is resumed"],
    ["resume", "let a paused or disabled schedule go on, with its first time from now on"],
    ["delete", "delete it; its tasks stay"],
  ] as const) {
    schedule
      .command(verb)
      .description(description)
      .argument("<schedule>", "its name or id")
      .addOption(urlOption())
      .option("--json", "print JSON")
      .action(
        act(async (schedule: string, options: ScheduleOptions) => {
          const { changeSchedule } = await import("./schedule.ts");
          return changeSchedule(verb, schedule, options, screen);
        }),
      );
  }

  schedule
    .command("trigger")
    .description("submit its task now; print the task's id")
    .argument("<schedule>", "its name or id")
    .addOption(urlOption())
    .option("--idempotency-key <key>", "the same key makes the same task, for a day", idempotencyKey)
    .option("--json", "print JSON")
    .action(
      act(async (schedule: string, options: ScheduleTriggerOptions) => {
        const { triggerSchedule } = await import("./schedule.ts");
        return triggerSchedule(schedule, options, screen);
      }),
    );
}

function scopesOption(): Option {
  return new Option("--scopes <list>", `what it allows, of ${SCOPES.join(", ")}`).argParser(scopes);
}

function expiresOption(): Option {
  return new Option("--expires <time>", "when it ends: 90d, 12h or never").default(YEAR_MS, "365d").argParser(life);
}

function urlOption(): Option {
  return new Option("--url <url>", "where the API is").env("TASKIQ_URL").default(DEFAULT_API_URL).argParser(apiUrl);
}

function configOption(): Option {
  return new Option("--config <file>", "settings in YAML, for what the environment leaves out (TASKIQ_CONFIG)");
}

function fromFile(config: string | undefined): Readonly<Record<string, string>> {
  return config === undefined ? {} : { TASKIQ_CONFIG: config };
}

function timeoutOption(): Option {
  return new Option("--timeout-seconds <n>", "how long to wait at most; implies --wait (default: no limit)")
    .argParser(seconds(0, MAX_WAIT_SECONDS))
    .implies({ wait: true });
}
