/** One process of the demo, and its log as lines for people. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { styleText } from "node:util";
import { environmentOfProcess } from "./config.ts";

export type DemoProcess = {
  /** Resolves when it works. */
  readonly ready: Promise<void>;
  /** Asks it to stop and waits until it has. */
  stop(): Promise<void>;
};

type Line = { readonly event: string; readonly level: string; readonly time: string } & Readonly<
  Record<string, unknown>
>;

const ENTRY = fileURLToPath(new URL("./main.ts", import.meta.url));
/** What the children say at their start; the welcome says it better. */
const READY_EVENTS = new Set(["api.started", "worker.started"]);
const QUIET_EVENTS = new Set([
  "executor.started",
  "executor.stopped",
  "process.stopping",
  "process.stopped",
  "worker.draining",
  "worker.stopped",
  "api.stopped",
]);
const STOP_MS = 15_000;
const KNOWN_FIELDS = new Set([
  "event",
  "level",
  "time",
  "service",
  "worker",
  "taskId",
  "task",
  "queue",
  "attempt",
  "runId",
  "traceId",
  "spanId",
]);

export type DemoProcessOptions = {
  readonly name: string;
  readonly env: Readonly<Record<string, string>>;
  /** Show warnings and errors only. */
  readonly quiet: boolean;
  /** Called when the process ends although nobody asked it to; `how` completes "it …". */
  onExit(how: string, wasReady: boolean): void;
};

export function startDemoProcess({ name, env, quiet, onExit }: DemoProcessOptions): DemoProcess {
  // A process group of its own: Ctrl-C reaches the demo only, which stops its processes in order.
  const child = spawn(process.execPath, [ENTRY], {
    env: { ...environmentOfProcess(), ...env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const exited = once(child, "exit");
  let stopping = false;
  let wasReady = false;
  const { promise: ready, resolve } = Promise.withResolvers<void>();
  eachLine(child.stdout, (text) => {
    const line = parse(text);
    if (line === undefined) return;
    if (READY_EVENTS.has(line.event)) {
      wasReady = true;
      resolve();
    } else if (!QUIET_EVENTS.has(line.event) && !(quiet && line.level === "info"))
      print(name, describe(line), line.level);
  });
  eachLine(child.stderr, (text) => print(name, text, "error"));
  void exited.then(([code, signal]) => {
    if (!stopping) onExit(`ended with ${signal ?? `code ${code}`}`, wasReady);
  });
  // Whatever ends this process ends its children.
  process.once("exit", () => child.kill("SIGKILL"));
  return {
    ready,
    async stop() {
      stopping = true;
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGTERM");
      const overdue = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
      await exited;
      clearTimeout(overdue);
    },
  };
}

function eachLine(stream: Readable | ChildProcess["stdout"], listen: (text: string) => void): void {
  if (stream !== null) createInterface({ input: stream }).on("line", listen);
}

function parse(text: string): Line | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && "event" in value ? (value as Line) : undefined; // Our own log line.
  } catch {
    return undefined;
  }
}

function describe(line: Line): string {
  const task = typeof line.taskId === "string" ? [`${line.task ?? "task"} ${line.taskId}`] : [];
  const attempt = typeof line.attempt === "number" && line.attempt > 1 ? [`attempt ${line.attempt}`] : [];
  const rest = Object.entries(line)
    .filter(([key, value]) => !KNOWN_FIELDS.has(key) && value !== null && value !== undefined)
    .map(([key, value]) => `${key} ${typeof value === "object" ? JSON.stringify(value) : String(value)}`);
  return [line.event.padEnd(16), ...task, ...attempt, ...rest].join("  ");
}

function print(name: string, text: string, level: string): void {
  const time = new Date().toISOString().slice(11, 23);
  const colour = level === "error" ? "red" : level === "warn" ? "yellow" : "reset";
  process.stdout.write(`${styleText("dim", time)} ${name.padEnd(9)} ${styleText(colour, text)}\n`);
}
