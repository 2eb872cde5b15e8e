/**
 * The task `command`: runs a program of any language, in a process group of its own. Never a shell: `argv` goes to the program as it is.
 *
 *   running ──► ended                                 its whole group is killed: nothing it started stays behind
 *      └─ abort or timeout: SIGTERM to the group ──► ended
 *                  └─ grace time over: SIGKILL to the group ──► ended
 *
 * Linux takes no argument and no environment string of 128 KiB or more. One that is longer is written to a file: an argument becomes `@` and the
 * file's path, a variable NAME becomes NAME_FILE with the path. The files are gone when the command is.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import type { HostContext } from "../define/context.ts";
import { defineTask, type TaskDefinition } from "../define/task.ts";
import { TaskiqError } from "../errors.ts";
import { commandEnvironment, type Environment } from "../isolation/environment.ts";
import { type ProcessGroups, signalGroup } from "../isolation/groups.ts";
import { POLICY_LIMITS } from "../model/task.ts";
import { type Captured, capture, describeOutput, storedOutput, tailOf } from "./command-output.ts";

export const COMMAND = "command";

export type CommandParts = {
  readonly groups: ProcessGroups;
  /** This process's; a command gets a few names of it. */
  readonly environment: Environment;
  /** Names that a caller may set. */
  readonly envNames: readonly string[];
  /** Names of this process's own that every command gets. */
  readonly inheritedNames: readonly string[];
};

export type CommandInput = z.output<ReturnType<typeof inputOf>>;

export type CommandResult = {
  readonly exitCode: 0;
  readonly signal: null;
  readonly stdout: ReturnType<typeof tailOf>;
  readonly stderr: ReturnType<typeof tailOf>;
  /** Where `{"stdout": …, "stderr": …}` stands in the payload bucket, when a tail above is not all of it. */
  readonly outputRef: string | null;
};

/** With its NUL a string may have 131,072 bytes (MAX_ARG_STRLEN). */
const MAX_STRING_BYTES = 131_071;
const DEFAULT_OUTPUT_BYTES = 1_048_576;
const MAX_OUTPUT_BYTES = 16_777_216;
/** Between SIGTERM and SIGKILL, where no attempt's own grace time counts because its `timeoutMs` ended it. */
const GRACE_MS = POLICY_LIMITS.graceMs.default;
/** For output that is still in a pipe when the command is gone. Something outside its group may hold the pipe for ever. */
const LAST_OUTPUT_MS = 1_000;

export function commandTask(parts: CommandParts): TaskDefinition {
  const definition = defineTask({
    name: COMMAND,
    input: inputOf(parts.envNames),
    // The input has its own limit, of one hour where it names none.
    timeoutMs: POLICY_LIMITS.timeoutMs.max,
    graceMs: GRACE_MS,
    run: (input: CommandInput, ctx: HostContext) => runCommand(input, ctx, parts),
  });
  // Its input reaches `run` only through its own schema; a registry holds definitions of any type.
  return { ...definition, policy: { ...definition.policy, isolation: "command" } } as unknown as TaskDefinition;
}

function inputOf(envNames: readonly string[]) {
  const text = z.string().refine((value) => !value.includes("\0"), "expected no U+0000");
  const allowed = new Set(envNames);
  const known = envNames.length === 0 ? "none" : envNames.join(", ");
  return z.strictObject({
    /** The program, searched in PATH unless it has a slash, and its arguments. */
    argv: z.tuple([text.min(1)], text).refine((argv) => argv.length <= 10_000, "expected at most 10,000 arguments"),
    /** Set beside PATH, HOME and the locale of the worker. */
    env: z
      .record(z.string(), text)
      .superRefine((given, context) => {
        for (const name of Object.keys(given).filter((one) => !allowed.has(one))) {
          const message = `expected a name of TASKIQ_COMMAND_ENV (${known})`;
          context.addIssue({ code: "custom", path: [name], message });
        }
      })
      .optional(),
    /** Whether it gets the worker's AWS credentials. Default none. */
    awsCredentials: z.enum(["none", "inherit"]).default("none"),
    /** An existing folder. Default: that of the worker. */
    cwd: text.min(1).optional(),
    stdin: z.string().optional(),
    /** How much is kept of standard output, and as much of standard error: the end of it. Default 1 MiB, at most 16 MiB. */
    maxOutputBytes: z.int().min(0).max(MAX_OUTPUT_BYTES).default(DEFAULT_OUTPUT_BYTES),
    /** Longest run in milliseconds, to 11 h. Default 3,600,000 (1 h). */
    timeoutMs: z.int().min(1).max(POLICY_LIMITS.timeoutMs.max).default(POLICY_LIMITS.timeoutMs.default),
  });
}

async function runCommand(input: CommandInput, ctx: HostContext, parts: CommandParts): Promise<CommandResult> {
  const { cwd } = input;
  const isFolder =
    cwd === undefined ||
    (await stat(cwd).then(
      (found) => found.isDirectory(),
      () => false,
    ));
  if (!isFolder) throw notStarted(`cwd: expected a folder of the worker, got ${JSON.stringify(cwd)}.`);
  const files = createFiles();
  try {
    const argv = await Promise.all(input.argv.map((argument) => files.argument(argument)));
    // The names by which OpenTelemetry hands a trace to a program.
    const trace = { TRACEPARENT: ctx.traceparent ?? undefined };
    const given = { ...trace, ...(await files.environment(input.env ?? {})) };
    const env = commandEnvironment(parts.environment, given, {
      awsCredentials: input.awsCredentials,
      allowed: parts.inheritedNames,
    });
    return await follow(argv, env, input, ctx, parts.groups);
  } finally {
    await files.remove();
  }
}

async function follow(
  argv: readonly string[],
  env: Record<string, string>,
  input: CommandInput,
  ctx: HostContext,
  groups: ProcessGroups,
): Promise<CommandResult> {
  ctx.signal.throwIfAborted();
  const { child, pid } = await started(argv, env, input.cwd, groups);
  const output = {
    stdout: capture(child.stdout, input.maxOutputBytes),
    stderr: capture(child.stderr, input.maxOutputBytes),
  };
  const terminate = () => signalGroup(pid, "SIGTERM");
  const kill = () => groups.end(pid);
  let isOverdue = false;
  let killTimer: NodeJS.Timeout | undefined;
  const timer = setTimeout(() => {
    isOverdue = true;
    terminate();
    killTimer = setTimeout(kill, GRACE_MS);
  }, input.timeoutMs);
  ctx.signal.addEventListener("abort", terminate, { once: true });
  if (ctx.signal.aborted) terminate();
  // Groups that are over are not known any more.
  void ctx.abandoned.then(kill);

  child.stdin?.on("error", () => {}); // A program need not read what it is given.
  child.stdin?.end(input.stdin);
  const { code, signal } = await new Promise<Exit>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  clearTimeout(timer);
  clearTimeout(killTimer);
  ctx.signal.removeEventListener("abort", terminate);
  kill();
  await Promise.all([output.stdout.ended(LAST_OUTPUT_MS), output.stderr.ended(LAST_OUTPUT_MS)]);

  if (ctx.signal.aborted) throw new Error(`the command was ended: ${ctx.signal.reason}`);
  const outputRef = await keep(output.stdout, output.stderr, ctx);
  const told = describeOutput(output.stdout, output.stderr, outputRef);
  if (isOverdue) {
    const message = `The command ran longer than its timeoutMs of ${input.timeoutMs} and was ended. ${told}`;
    throw new TaskiqError("timeout", message);
  }
  if (code !== 0) {
    const how = signal === null ? `exited with code ${code}` : `was ended by ${signal}`;
    throw new TaskiqError("command_failed", `${JSON.stringify(argv[0]?.slice(0, 200))} ${how}. ${told}`);
  }
  return { exitCode: 0, signal: null, stdout: tailOf(output.stdout), stderr: tailOf(output.stderr), outputRef };
}

type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

async function started(
  argv: readonly string[],
  env: Record<string, string>,
  cwd: string | undefined,
  groups: ProcessGroups,
): Promise<{ readonly child: ChildProcess; readonly pid: number }> {
  const [program = "", ...rest] = argv;
  try {
    const child = spawn(program, rest, {
      detached: true,
      shell: false,
      env,
      stdio: ["pipe", "pipe", "pipe"],
      ...(cwd !== undefined && { cwd }),
    });
    const { pid = -1 } = child;
    // At once: until then it would outlive this process. Without a number it has not started, and says so next.
    if (pid !== -1) groups.watch(pid);
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", reject);
    });
    return { child, pid };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    const why = NOT_STARTED[code] ?? "Look at what the worker's image has.";
    throw notStarted(
      `argv: expected a program that starts, got ${code} for ${JSON.stringify(program.slice(0, 200))}. ${why}`,
      error,
    );
  }
}

const NOT_STARTED: Readonly<Record<string, string>> = {
  ENOENT: "There is no such program in this worker's PATH: give its path, or put it into the image.",
  EACCES: "It is no program that this worker may run.",
  E2BIG: "All arguments and variables together are too long: use stdin.",
};

function notStarted(message: string, cause?: unknown): TaskiqError {
  return new TaskiqError("command_not_started", message, { cause });
}

/** Null where the tails hold everything. The command has run: that its output cannot be stored is no reason to run it again. */
async function keep(stdout: Captured, stderr: Captured, ctx: HostContext): Promise<string | null> {
  try {
    return await storedOutput(stdout, stderr, ctx);
  } catch (error) {
    ctx.log.warn("the command's output could not be stored", { error });
    return null;
  }
}

/** Files for what is too long for an argument or a variable, in a folder that is made when the first is. */
function createFiles() {
  let folder: Promise<string> | undefined;
  let count = 0;

  async function write(text: string): Promise<string> {
    folder ??= mkdtemp(join(tmpdir(), "taskiq-command-"));
    const path = join(await folder, String(++count));
    await writeFile(path, text, { mode: 0o600 });
    return path;
  }

  return {
    async argument(text: string): Promise<string> {
      return Buffer.byteLength(text) <= MAX_STRING_BYTES ? text : `@${await write(text)}`;
    },
    async environment(given: Readonly<Record<string, string>>): Promise<Record<string, string>> {
      const pairs = Object.entries(given).map(async ([name, text]) =>
        Buffer.byteLength(`${name}=${text}`) <= MAX_STRING_BYTES ? [name, text] : [`${name}_FILE`, await write(text)],
      );
      return Object.fromEntries(await Promise.all(pairs));
    },
    async remove(): Promise<void> {
      if (folder !== undefined) await rm(await folder, { recursive: true, force: true });
    },
  };
}
