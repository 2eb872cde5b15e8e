/**
 * The processes of an embedded Postgres: how its programs are run, when the server is ready, what it says when it fails.
 * It is ready when its own `postmaster.pid` says so. A lock left by a server that is still ending (its owner was killed)
 * and a port that is being given up are waited for.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, openSync, readFileSync, readSync, statSync } from "node:fs";
import type { Clock } from "../clock.ts";
import { TaskiqError } from "../errors.ts";
import { type EndStep, endProcess, hasEnded } from "./end-process.ts";
import type { Guard } from "./guard.ts";
import { freePort } from "./ports.ts";
import type { ServiceUser } from "./service-user.ts";

/** Everything of one server, in one folder. */
export type ServerFiles = {
  readonly cluster: string;
  readonly pid: string;
  readonly password: string;
  readonly log: string;
  readonly cwd: string;
  readonly user: ServiceUser | undefined;
};

export type Launch = {
  readonly files: ServerFiles;
  readonly program: string;
  readonly flags: readonly string[];
  readonly port: number | undefined;
  readonly guard: Guard;
  readonly clock: Clock;
};

export type Run = {
  readonly child: ChildProcess;
  /** Exit code, signal, or what kept it from starting. Never rejects. */
  readonly ended: Promise<string | number>;
  /** Where in the log the output of this run begins. */
  readonly logStart: number;
};

const READY_POLL_MS = 10;
const RETRY_POLL_MS = 50;
/** Recovery after a crash may have much to replay. */
const START_MS = 60_000;
/** How long a server of a dead owner, or a port in use, is waited for. */
const TAKEN_MS = 5_000;
const MAX_LOG_BYTES = 10_485_760;
/** The folder belongs to another user than root: a link put there must not lead root astray. */
const LOG_FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW;

const FAST: EndStep = { signal: "SIGINT", waitMs: 5_000 };
const IMMEDIATE: EndStep = { signal: "SIGQUIT", waitMs: 6_000 };
const FORCED: EndStep = { signal: "SIGKILL", waitMs: 1_000 };

/** Clients are cut off, the data is consistent. */
export const FAST_STOP: readonly EndStep[] = [FAST, IMMEDIATE, FORCED];
/** As after a crash: the next start has to recover. */
export const IMMEDIATE_STOP: readonly EndStep[] = [IMMEDIATE, FORCED];

/** Starts the server and waits until it takes connections. Tries again for what passes by itself. */
export async function launch(options: Launch): Promise<{ server: ChildProcess; port: number }> {
  const { files, program, flags, guard, clock } = options;
  const takenUntil = clock.nowMs() + TAKEN_MS;
  for (;;) {
    const port = options.port ?? (await freePort());
    const { child, ended, logStart } = run(files, program, ["-D", files.cluster, "-p", String(port), ...flags]);
    guard.watch(child.pid ?? 0);
    if (await becomesReady(child, files, clock)) return { server: child, port };
    const outcome = await ended;
    guard.watch(0);
    if (!isTaken(readLog(files.log, logStart)) || clock.nowMs() >= takenUntil) {
      throw failed(`it ended with ${outcome} while starting`, files.log, logStart);
    }
    await clock.after(RETRY_POLL_MS);
  }
}

/** True when the server takes connections, false when it has ended; it is ended when it does neither in time. */
async function becomesReady(child: ChildProcess, files: ServerFiles, clock: Clock): Promise<boolean> {
  const deadline = clock.nowMs() + START_MS;
  while (!hasEnded(child)) {
    if (saysReady(files.pid, child.pid)) return true;
    if (clock.nowMs() >= deadline) await endProcess(child, FAST_STOP);
    else await clock.after(READY_POLL_MS);
  }
  return false;
}

/** The first line of the file is the process id, the eighth the state. */
function saysReady(file: string, pid: number | undefined): boolean {
  try {
    const lines = readFileSync(file, "utf8").split("\n");
    return Number(lines[0]) === pid && lines[7]?.trim() === "ready";
  } catch {
    return false;
  }
}

/** Another server holds the data, its last processes are still ending, or the port is taken. */
function isTaken(log: string): boolean {
  return /lock file "postmaster\.pid" already exists|is still in use|could not create any TCP\/IP sockets/.test(log);
}

/**
 * Runs a program with its output in the log file: a pipe to this process would block the server whenever
 * this process does not read. Its environment is empty, because variables like PGOPTIONS change what it does.
 */
export function run(files: ServerFiles, program: string, args: readonly string[]): Run {
  const isLong = (statSync(files.log, { throwIfNoEntry: false })?.size ?? 0) > MAX_LOG_BYTES;
  const log = openSync(files.log, LOG_FLAGS | (isLong ? constants.O_TRUNC : 0), 0o600);
  const logStart = statSync(files.log).size;
  const child = spawn(program, args, {
    cwd: files.cwd,
    env: { LC_ALL: "C", PATH: "/usr/bin:/bin" },
    // In a session of its own: Ctrl-C is for the process that stops the parts in their order.
    detached: true,
    stdio: ["ignore", log, log],
    ...files.user,
  });
  closeSync(log);
  child.on("error", () => {});
  const ended = Promise.race([
    once(child, "exit").then(([code, signal]) => (typeof signal === "string" ? signal : Number(code))),
    once(child, "error").then(([error]) => String(error)),
  ]).catch(String);
  return { child, ended, logStart };
}

export function failed(what: string, logFile: string, logStart: number): TaskiqError {
  const log = readLog(logFile, logStart);
  const advice = !isTaken(log)
    ? "Correct what it says, or set DATABASE_URL to use another server."
    : log.includes("TCP/IP")
      ? "Another process listens on its port: end that one, or choose another port."
      : "Another server works on the same data: end it first, its process id is the first line of cluster/postmaster.pid.";
  return new TaskiqError(
    "database_unavailable",
    `expected the embedded Postgres to start, but ${what}. ${advice}\n${log.trim()}`,
  );
}

const SHOWN_LOG_BYTES = 4_096;

/** The end of what was written to the log from `start` on. */
function readLog(file: string, start: number): string {
  try {
    const log = openSync(file, "r");
    const from = Math.max(start, statSync(file).size - SHOWN_LOG_BYTES);
    const bytes = Buffer.alloc(SHOWN_LOG_BYTES);
    const length = readSync(log, bytes, 0, bytes.length, from);
    closeSync(log);
    return bytes.toString("utf8", 0, length);
  } catch {
    return "";
  }
}
