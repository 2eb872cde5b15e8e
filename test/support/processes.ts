/** Real processes for tests: started, listened to, signalled, and none left when the file is done. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { afterAll } from "vitest";
import { until } from "./until.ts";

export type ProcessOptions = {
  /** The TypeScript file to run. */
  readonly entry: string;
  /** The Node to run it with. Default: this one. */
  readonly node?: string;
  readonly args?: readonly string[];
  /** Put over this process's environment; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Run as another user; needs root. */
  readonly uid?: number;
  readonly gid?: number;
  /** Options for Node itself. */
  readonly nodeArgs?: readonly string[];
};

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

export type TestProcess = {
  readonly pid: number;
  /** What it wrote so far, standard output and standard error, line by line in the order of arrival. */
  readonly lines: readonly string[];
  /** The first line that matches, among those written already and those to come. Fails when the process ends without it. */
  waitForLine(pattern: RegExp, deadlineMs?: number): Promise<RegExpExecArray>;
  signal(signal: NodeJS.Signals): void;
  /** Resolves when it has ended and all its output has been read. */
  readonly exited: Promise<Exit>;
};

const SHOWN_LINES = 30;
const running = new Set<ChildProcess>();

afterAll(endAll);
// A worker that is told to exit does not come to its hooks.
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** Starts `node <entry>`. Whatever still runs when the test file is done is killed. */
export function startProcess(options: ProcessOptions): TestProcess {
  const { entry, node = process.execPath, args = [], env = {}, cwd, uid, gid, nodeArgs = [] } = options;
  const child = spawn(node, [...nodeArgs, entry, ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    ...(cwd !== undefined && { cwd }),
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
  });
  const lines: string[] = [];
  collect(child.stdout, lines);
  collect(child.stderr, lines);

  let exit: Exit | undefined;
  running.add(child);
  const exited = new Promise<Exit>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      running.delete(child);
      exit = { code, signal };
      resolve(exit);
    });
  });
  // Whoever awaits it hears of it; nobody has to.
  exited.catch(() => running.delete(child));

  const told = () => lines.slice(-SHOWN_LINES).join("\n");
  return {
    pid: child.pid ?? -1,
    lines,
    exited,
    signal: (signal) => void child.kill(signal),
    async waitForLine(pattern, deadlineMs = 15_000) {
      const find = () => lines.map((line) => pattern.exec(line)).find((match) => match !== null);
      const what = `a line like ${pattern} of ${entry}`;
      const match = await until(() => find() ?? exit, { deadlineMs, what }).catch((error: Error) => {
        throw new Error(`${error.message}\n${told()}`);
      });
      if (Array.isArray(match)) return match;
      throw new Error(`expected ${what}, it ended with ${JSON.stringify(match)}\n${told()}`);
    },
  };
}

/** False once a process has ended, also where nobody has asked for its exit code yet (state Z). */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return !stat.slice(stat.lastIndexOf(")")).startsWith(") Z");
  } catch {
    // No such file system (macOS): what the signal said. On Linux: ended in between.
    return process.platform !== "linux";
  }
}

async function endAll(): Promise<void> {
  const ended = [...running].map((child) => new Promise((resolve) => child.once("close", resolve)));
  for (const child of running) child.kill("SIGKILL");
  await Promise.all(ended);
}

function collect(stream: Readable, lines: string[]): void {
  createInterface({ input: stream }).on("line", (line) => lines.push(line));
}
