/**
 * One child process of the worker: forked, told what to load, given one attempt at a time.
 *
 *   starting ──► ready ──► running ──► ready
 *       └───────────┴─────────┴──────► gone      it exited, crashed or was killed; whoever waits hears why
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Clock } from "../clock.ts";
import { TaskiqError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { AbortReason } from "../model/task.ts";
import { type ProcessGroups, signalGroup } from "./groups.ts";
import { type AttemptFacts, type ChildOutcome, FROM_CHILD, type FromChild, type ToChild } from "./messages.ts";

export type Work = {
  readonly facts: AttemptFacts;
  readonly inputText: string | null;
  readonly maxPayloadBytes: number;
  onProgress(fraction: number, message: string | undefined): void;
  onLog(level: "debug" | "info" | "warn" | "error", message: string, fields: Record<string, unknown>): void;
};

export type TaskProcess = {
  /** -1: it could not be started. */
  readonly pid: number;
  /** Resolves when it can run attempts. @throws TaskiqError `process_unusable`, `process_crashed`, `out_of_memory` */
  readonly ready: Promise<void>;
  /** False once it is gone, or about to go: it gets no other attempt. */
  readonly usable: boolean;
  /** One at a time. @throws TaskiqError `process_crashed`, `out_of_memory` when it is gone before the handler ended */
  run(work: Work): Promise<ChildOutcome>;
  /** Aborts the signal of the handler, and sends SIGTERM to what it has started. */
  abort(reason: AbortReason): void;
  /** Ends the process and its group at once. */
  kill(): void;
  readonly gone: Promise<void>;
};

export type TaskProcessOptions = {
  readonly modules: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly memoryMb: number;
  readonly groups: ProcessGroups;
  readonly log: Log;
  readonly clock: Clock;
};

const ENTRY = fileURLToPath(new URL("./child.ts", import.meta.url));
const START_TIMEOUT_MS = 60_000;
const STDERR_TAIL_CHARS = 8_192;
/** What it wrote last may still be in the pipe when it is gone. */
const LAST_WORDS_MS = 500;
/** The system, short of memory, ends whoever has the most; of this container, a child and not its worker. */
const FIRST_TO_GO = "1000";
/** What Node and its code take beside the heap. Buffers and native code count too, and only the system sees them. */
const NODE_ITSELF_MB = 128;
const WEIGH_INTERVAL_MS = 1_000;

export function startTaskProcess(options: TaskProcessOptions): TaskProcess {
  const { groups, clock, memoryMb } = options;
  const child = fork(ENTRY, [], {
    detached: true,
    env: options.environment,
    execArgv: [`--max-old-space-size=${memoryMb}`, "--disable-warning=ExperimentalWarning"],
    serialization: "advanced",
    stdio: ["ignore", "inherit", "pipe", "ipc"],
  });
  const pid = child.pid ?? -1;
  const lastWords = keepTail(child);
  const ready = Promise.withResolvers<void>();
  // Nobody may be waiting for a child that was forked ahead.
  ready.promise.catch(() => {});
  const gone = Promise.withResolvers<void>();
  let running: {
    readonly run: number;
    readonly work: Work;
    readonly outcome: PromiseWithResolvers<ChildOutcome>;
  } | null = null;
  let runs = 0;
  let usable = true;
  let unusable: TaskiqError | null = null;

  if (pid !== -1) {
    groups.watch(pid);
    void writeFile(`/proc/${pid}/oom_score_adj`, FIRST_TO_GO).catch(() => {});
  }
  const overdue = setTimeout(() => {
    unusable = crash(`has not loaded its task modules within ${START_TIMEOUT_MS} ms`);
    kill();
  }, START_TIMEOUT_MS);
  overdue.unref();
  const scales = setInterval(() => void weigh(), WEIGH_INTERVAL_MS);
  scales.unref();

  child.on("message", (message) => {
    const checked = FROM_CHILD.safeParse(message);
    if (checked.success) hear(checked.data);
  });
  child.on("error", (error) => {
    // Not started, or a message that could not be sent because it is gone: then its exit says more.
    if (pid === -1) void leave(crash(`could not be started (${error.message})`));
  });
  child.on("exit", (code, signal) => {
    usable = false;
    if (pid !== -1) groups.end(pid);
    void lastWords.all().then((text) => leave(unusable ?? describeExit(code, signal, text, memoryMb)));
  });
  tell({ kind: "load", modules: options.modules });

  function hear(message: FromChild): void {
    if (message.kind === "ready") {
      clearTimeout(overdue);
      ready.resolve();
      return;
    }
    if (message.kind === "unusable") {
      unusable = new TaskiqError(
        "process_unusable",
        `expected the task modules to load in a process of their own, got: ${message.message} Such a process has no credentials and no secrets in its environment: read them in the handler, or name them in TASKIQ_PROCESS_ENV.`,
      );
      options.log.error("child.unusable", { pid, error: unusable });
      return;
    }
    if (running?.run !== message.run) return;
    switch (message.kind) {
      case "progress":
        running.work.onProgress(message.fraction, message.message);
        break;
      case "log":
        running.work.onLog(message.level, message.message, message.fields);
        break;
      case "ended": {
        if (message.last) usable = false;
        const { outcome } = running;
        running = null;
        outcome.resolve(message.outcome);
      }
    }
  }

  function leave(error: TaskiqError): void {
    usable = false;
    clearTimeout(overdue);
    clearInterval(scales);
    ready.reject(error);
    running?.outcome.reject(error);
    running = null;
    gone.resolve();
  }

  /** Nowhere but on Linux: elsewhere the limit of the heap is the only one. */
  async function weigh(): Promise<void> {
    const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
    const residentMb = Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1_024;
    if (residentMb <= memoryMb + NODE_ITSELF_MB || !usable) return;
    unusable = outOfMemory(memoryMb);
    kill();
  }

  function tell(message: ToChild): void {
    if (child.connected) child.send(message, () => {});
  }

  function kill(): void {
    usable = false;
    if (pid !== -1) groups.end(pid);
  }

  return {
    pid,
    ready: ready.promise,
    get usable() {
      return usable;
    },
    run(work) {
      const run = ++runs;
      const outcome = Promise.withResolvers<ChildOutcome>();
      running = { run, work, outcome };
      const { facts, inputText, maxPayloadBytes } = work;
      if (usable) tell({ kind: "run", run, facts, inputText, maxPayloadBytes });
      // It went while it was idle, and nobody has heard of it yet.
      void gone.promise.then(() => outcome.reject(crash("was gone before the attempt began")));
      return outcome.promise;
    },
    abort(reason) {
      if (running === null || pid === -1) return;
      tell({ kind: "abort", run: running.run, reason });
      signalGroup(pid, "SIGTERM");
    },
    kill,
    gone: gone.promise,
  };

  /** Standard error goes on to ours; its end is kept, because there Node says what it died of. */
  function keepTail({ stderr }: ChildProcess): { all(): Promise<string> } {
    let tail = "";
    if (stderr === null) return { all: async () => tail };
    const closed = once(stderr, "close").catch(() => {});
    stderr.setEncoding("utf8");
    stderr.on("data", (text: string) => {
      tail = (tail + text).slice(-STDERR_TAIL_CHARS);
      process.stderr.write(text);
    });
    return {
      async all() {
        const waiting = new AbortController();
        await Promise.race([closed, clock.after(LAST_WORDS_MS, waiting.signal).catch(() => {})]);
        waiting.abort();
        stderr.destroy();
        return tail;
      },
    };
  }
}

function describeExit(code: number | null, signal: string | null, lastWords: string, memoryMb: number): TaskiqError {
  if (/heap out of memory|Reached heap limit/.test(lastWords)) {
    return outOfMemory(memoryMb);
  }
  if (signal === "SIGKILL") {
    return crash("was ended by SIGKILL, which is how a system short of memory ends processes, before its handler did");
  }
  const how = signal === null ? `exited with code ${code}` : `was ended by ${signal}`;
  const last = lastWords.trim().split("\n").at(-1)?.slice(0, 500) ?? "";
  return crash(`${how} before its handler did${last === "" ? "" : `; its last words: ${last}`}`);
}

function outOfMemory(memoryMb: number): TaskiqError {
  return new TaskiqError(
    "out_of_memory",
    `The task's process needed more than its memoryMb of ${memoryMb}, and is gone. Raise memoryMb, or work on less at once.`,
  );
}

function crash(how: string): TaskiqError {
  return new TaskiqError(
    "process_crashed",
    `The task's process ${how}. Look at what the handler calls: process.exit, native code, memory.`,
  );
}
