/** The emulator of SQS and S3 in a process of its own, so that its work is not done by the process that uses it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type Clock, systemClock } from "../clock.ts";
import { TaskiqError } from "../errors.ts";
import type { AwsOptions } from "./aws.ts";
import { endProcess } from "./end-process.ts";
import { untilPortIsFree } from "./ports.ts";

export type AwsProcess = {
  readonly endpoint: string;
  readonly pid: number;
  /** Ends it within 3 s. May be called again. */
  stop(): Promise<void>;
};

export type AwsProcessOptions = AwsOptions & {
  /** Hears of an emulator that ended without having been asked to. */
  readonly onLost?: (reason: string) => void;
};

const ENTRY = fileURLToPath(new URL("./aws-process.ts", import.meta.url));
const START_MS = 20_000;
/** How long the emulator of a process that was just killed may hold the port. */
const TAKEN_MS = 5_000;
const SHOWN_ERROR_CHARACTERS = 4_096;

/** Starts the process. Throws `config_invalid` when a given port stays in use, `queue_unavailable` for anything else. */
export async function startAwsProcess(
  { onLost, ...options }: AwsProcessOptions,
  clock: Clock = systemClock,
): Promise<AwsProcess> {
  if (options.port !== undefined) await untilPortIsFree(options.port, TAKEN_MS, clock);
  // SQLite announces itself as experimental on standard error.
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", ENTRY, JSON.stringify(options)], {
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.on("error", () => {});
  child.stdin.on("error", () => {});
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors = `${errors}${text}`.slice(-SHOWN_ERROR_CHARACTERS);
  });

  const endpoint = await readEndpoint(child, clock);
  if (endpoint === undefined || child.pid === undefined) {
    await endProcess(child, [{ signal: "SIGKILL", waitMs: 1_000 }]);
    throw new TaskiqError(
      "queue_unavailable",
      `expected the SQS and S3 emulator to start within ${START_MS} ms, it did not. ${errors.trim()}`,
    );
  }
  let stopping: Promise<void> | undefined;
  child.once("exit", (code, signal) => {
    if (stopping === undefined) onLost?.(`it ended with ${signal ?? `code ${code}`}. ${errors.trim()}`);
  });
  release(child);
  return {
    endpoint,
    pid: child.pid,
    stop() {
      stopping ??= endProcess(child, [
        { signal: "SIGTERM", waitMs: 2_000 },
        { signal: "SIGKILL", waitMs: 1_000 },
      ]);
      return stopping;
    },
  };
}

/** The first line it writes; undefined when it ends, or is silent for too long. */
async function readEndpoint(child: ChildProcess, clock: Clock): Promise<string | undefined> {
  const { stdout } = child;
  if (stdout === null) return undefined;
  const waiting = new AbortController();
  const lines = createInterface({ input: stdout });
  try {
    const line = await Promise.race([
      once(lines, "line", { signal: waiting.signal }).then(([text]) => String(text)),
      once(lines, "close", { signal: waiting.signal }).then(() => undefined),
      clock.after(START_MS, waiting.signal).then(() => undefined),
    ]);
    // Written by aws-process.ts.
    return line === undefined ? undefined : (JSON.parse(line) as { endpoint: string }).endpoint;
  } catch {
    return undefined;
  } finally {
    waiting.abort();
    lines.close();
  }
}

/** A forgotten emulator does not keep this process from ending; it ends itself when the pipe to it closes. */
function release(child: ChildProcess): void {
  child.unref();
  for (const stream of [child.stdin, child.stdout, child.stderr]) {
    // Pipes of a child are sockets, which the types of `spawn` do not say.
    (stream as { unref?: () => void } | null)?.unref?.();
  }
  child.stdout?.resume();
}
