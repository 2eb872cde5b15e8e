/** `taskiq-aws` as its users run it: a process, whose output streams are kept apart. */
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { until } from "../support/until.ts";

export type CliOptions = {
  /** Put over an environment without any setting of this program. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** What stands in its standard input. Default: nothing. */
  readonly stdin?: string;
};

export type CliOutcome = {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
};

export type RunningCli = {
  /** What it has written to standard error so far. */
  readonly notes: string;
  waitForNote(pattern: RegExp): Promise<void>;
  signal(signal: NodeJS.Signals): void;
  readonly ended: Promise<CliOutcome>;
};

const ENTRY = fileURLToPath(new URL("../../runtime/cli.ts", import.meta.url));
const SETTING = /^(TASKIQ_|AWS_|DATABASE_URL|SERVICE_ROLE|NO_COLOR|FORCE_COLOR)/;

export async function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliOutcome> {
  return await startCli(args, options).ended;
}

export function startCli(args: readonly string[], { env = {}, stdin = "" }: CliOptions = {}): RunningCli {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !SETTING.test(name)));
  const child = spawn(process.execPath, [ENTRY, ...args], { env: { ...clean, ...env }, stdio: "pipe" });
  child.stdin.end(stdin);
  let notes = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    notes += chunk;
  });
  const ended = (async () => {
    const [stdout, code] = await Promise.all([
      text(child.stdout),
      new Promise<number | null>((resolve, reject) => {
        child.once("error", reject);
        child.once("close", (exitCode) => resolve(exitCode));
      }),
    ]);
    return { code, stdout, stderr: notes };
  })();
  return {
    get notes() {
      return notes;
    },
    waitForNote: async (pattern) => void (await until(() => pattern.test(notes), { what: `${pattern} in: ${notes}` })),
    signal: (signal) => void child.kill(signal),
    ended,
  };
}
