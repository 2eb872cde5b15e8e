/** Other programs: run on this terminal, or with their output read. Never through a shell. */
import { spawn } from "node:child_process";
import { delimiter, dirname } from "node:path";
import { Problem } from "./problem.ts";

export type CommandOptions = {
  /** Over the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Ends the program with SIGTERM after this time. Default: none. */
  readonly timeoutMs?: number;
};

export type Captured = {
  /** Null where a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
};

/** Resolves when the program ends with exit code 0. Throws Problem otherwise. */
export async function run(program: string, args: readonly string[], options: CommandOptions = {}): Promise<void> {
  const { code } = await start(program, args, options, "inherit");
  if (code !== 0) {
    throw new Problem(`${[program, ...args].join(" ")} ended with ${code ?? "a signal"}; its own output says why.`);
  }
}

/** Reads what the program writes, whatever its exit code is. Throws Problem where it is not installed. */
export function capture(program: string, args: readonly string[], options: CommandOptions = {}): Promise<Captured> {
  return start(program, args, options, "pipe");
}

/** Like `capture`, for a program that has to succeed. Throws Problem with what it wrote. */
export async function read(program: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await capture(program, args, options);
  if (code === 0) return stdout.trim();
  const said = [stderr.trim(), stdout.trim()].filter((text) => text !== "").join("\n");
  throw new Problem(`${[program, ...args].join(" ")} ended with ${code ?? "a signal"}:\n${said}`);
}

export async function isInstalled(program: string): Promise<boolean> {
  return capture(program, ["--version"]).then(
    () => true,
    () => false,
  );
}

function start(
  program: string,
  args: readonly string[],
  { env, cwd, timeoutMs }: CommandOptions,
  stdio: "inherit" | "pipe",
): Promise<Captured> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: { ...process.env, PATH: withThisNode(process.env.PATH), ...env },
      stdio: [stdio === "inherit" ? "inherit" : "ignore", stdio, stdio],
      ...(cwd !== undefined && { cwd }),
      ...(timeoutMs !== undefined && { timeout: timeoutMs }),
    });
    const output = { stdout: "", stderr: "" };
    for (const stream of ["stdout", "stderr"] as const) {
      child[stream]?.setEncoding("utf8").on("data", (text: string) => {
        output[stream] += text;
      });
    }
    child.on("error", (error: NodeJS.ErrnoException) => {
      reject(error.code === "ENOENT" ? new Problem(`${program} is not installed, or not on PATH.`) : error);
    });
    child.on("close", (code) => resolve({ code, ...output }));
  });
}

/** The Pulumi program runs on the Node that runs this, which is new enough, and not on whatever comes first on PATH. */
function withThisNode(path: string | undefined): string {
  return [dirname(process.execPath), ...(path === undefined ? [] : [path])].join(delimiter);
}
