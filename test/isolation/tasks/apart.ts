/** Tasks in processes of their own that do what tests tell them: give back, fail, crash, compute for ever, look around. */
import { spawn } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { defineTask, RetryableError, TerminalError } from "../../../runtime/define/index.ts";

const isolation = "process";
const common = { isolation, retry: { maxAttempts: 1 }, graceMs: 300 } as const;

/** Gives back its input. */
export const echo = defineTask({ ...common, name: "apart.echo", input: z.unknown(), run: (input) => input });

/** The same, and its commit writes what it was given. */
export const committed = defineTask({
  ...common,
  name: "apart.committed",
  input: z.strictObject({ when: z.coerce.date() }),
  run: (input) => ({ when: input.when, pid: process.pid }),
  async commit(tx, output, ctx) {
    await tx.query("insert into public.seen (task_id, output, pid) values ($1, $2, $3)", [
      ctx.taskId,
      JSON.stringify(output),
      process.pid,
    ]);
  },
});

/** Says who it is and waits for its signal, then says why. Obeys, unless it is told to return all the same. */
export const waits = defineTask({
  ...common,
  name: "apart.waits",
  graceMs: 5_000,
  input: z.strictObject({ child: z.boolean().default(false), obeys: z.boolean().default(true) }),
  async run({ child, obeys }, ctx) {
    // Ignores SIGTERM, so that only a kill of the group ends it.
    const other = child ? spawn("sh", ["-c", 'trap "" TERM; while :; do sleep 1; done'], { stdio: "ignore" }) : null;
    ctx.progress(0.5, JSON.stringify({ pid: process.pid, other: other?.pid ?? null }));
    ctx.log.info("waiting", { pid: process.pid, password: "hunter2" });
    await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));
    ctx.log.info("aborted", { reason: ctx.signal.reason });
    if (!obeys) return { reason: ctx.signal.reason };
    throw ctx.signal.reason;
  },
});

/** Says who it is, then computes for ever: no signal, no message and no timer reaches it. */
export const spins = defineTask({
  ...common,
  name: "apart.spins",
  input: z.unknown(),
  run(_input, ctx) {
    ctx.progress(0.1, JSON.stringify({ pid: process.pid, other: null }));
    for (;;);
  },
});

const WAYS = [
  "exit",
  "sigkill",
  "heap",
  "buffers",
  "throw",
  "terminal",
  "retryable",
  "uncaught",
  "rejection",
  "infinite",
  "messages",
] as const;

export const breaks = defineTask({
  ...common,
  name: "apart.breaks",
  memoryMb: 48,
  input: z.enum(WAYS),
  async run(way) {
    switch (way) {
      case "exit":
        process.exit(0);
        break;
      case "sigkill":
        process.kill(process.pid, "SIGKILL");
        await delay(60_000);
        break;
      case "heap": {
        const all: string[][] = [];
        for (let n = 0; ; n++) all.push(Array.from({ length: 10_000 }, (_, at) => `${n}-${at}`));
      }
      case "buffers": {
        const all: Buffer[] = [];
        for (let n = 0; n < 40; n++) {
          all.push(Buffer.alloc(10_000_000, 1));
          await delay(10);
        }
        await delay(60_000);
        return all.length;
      }
      case "throw":
        throw new TypeError("no such \u0000 route", { cause: new Error("the cause") });
      case "terminal":
        throw new TerminalError("never again");
      case "retryable":
        throw new RetryableError("later", { retryAfterMs: 12_345 });
      case "uncaught":
        setTimeout(() => {
          throw new Error("thrown by a timer");
        });
        await delay(60_000);
        break;
      case "rejection":
        void Promise.reject(new Error("forgotten"));
        await delay(10);
        return "went on";
      case "infinite":
        return { n: Number.POSITIVE_INFINITY };
      case "messages":
        // What a handler sends by itself is not what the worker hears from us.
        for (const message of [
          null,
          1,
          "ended",
          { kind: "ended" },
          { kind: "ended", run: 1, outcome: {}, last: false },
        ]) {
          process.send?.(message);
        }
        return "not impressed";
    }
    return null;
  },
});

/** What it has, and how many attempts its process has run. */
let attempts = 0;
export const looks = defineTask({
  ...common,
  name: "apart.looks",
  input: z.unknown(),
  run: () => ({ pid: process.pid, attempts: ++attempts, env: process.env, execArgv: process.execArgv }),
});

export const trusted = defineTask({
  ...common,
  name: "apart.trusted",
  awsCredentials: "inherit",
  input: z.unknown(),
  run: () => ({ pid: process.pid, env: process.env }),
});

export const chatters = defineTask({
  ...common,
  name: "apart.chatters",
  input: z.unknown(),
  run(_input, ctx) {
    for (let n = 0; n <= 10_000; n++) ctx.progress(n / 10_000);
    const { taskId, task, queue, tenant, attempt, failures, labels, idempotencyKey } = ctx;
    return { taskId, task, queue, tenant, attempt, failures, labels, idempotencyKey };
  },
});

export const strict = defineTask({
  ...common,
  name: "apart.strict",
  input: z.strictObject({ n: z.number() }),
  run: () => "not reached",
});

/** Gives back the trace that it goes on with. */
export const traced = defineTask({
  ...common,
  name: "apart.traced",
  input: z.unknown(),
  run: (_input, ctx) => ({ traceparent: ctx.traceparent }),
});
