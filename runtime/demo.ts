/**
 * `npm run demo`: the whole system on a laptop. The embedded stack, the API and two workers as processes of their own, and
 * what they say as readable lines. With `--exit` it submits twenty sleep tasks, runs a job, follows both and ends.
 */

import { styleText } from "node:util";
import { duration } from "./cli/text.ts";
import { ApiError } from "./client/api-error.ts";
import { type Client, createClient } from "./client/client.ts";
import { systemClock as clock } from "./clock.ts";
import { type DemoProcess, startDemoProcess } from "./demo-process.ts";
import { followRun, runLines } from "./demo-run.ts";
import { followTasks, summarise } from "./demo-tasks.ts";
import { welcomeLines } from "./demo-welcome.ts";
import { startLocalStack } from "./local/stack.ts";
import { migrate } from "./postgres/migrate.ts";
import { etl } from "./tasks/etl.ts";
import { nightly } from "./tasks/nightly.ts";
import { START_RUN_TASK } from "./tasks/start-run.ts";

export type DemoOptions = {
  /** Port of the API on 127.0.0.1. Default 8080. */
  readonly port: number;
  /** Keep the state under `.local/` for the next start. */
  readonly keep: boolean;
  /** Submit tasks and start a run, wait for them, print a summary and end. */
  readonly exit: boolean;
  /** The environment: `DATABASE_URL` and `AWS_ENDPOINT_URL` override a part of the stack each. */
  readonly env: Readonly<Record<string, string | undefined>>;
};

const WORKERS = 2;
const SLOTS = 5;
const TASKS = 20;

/** Resolves with the exit code when the demo is over: after its tasks with `exit`, else when a signal stops it. */
export async function demo(options: DemoOptions): Promise<number> {
  const stopping = new AbortController();
  const processes: DemoProcess[] = [];
  let failure: string | undefined;
  const fail = (reason: string) => {
    if (stopping.signal.aborted) return;
    failure = reason;
    stopping.abort();
  };
  const onSignal = () => stopping.abort();
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);

  const startedMs = clock.nowMs();
  const stack = await startLocalStack({
    keep: options.keep,
    env: options.env,
    onLost: (part, reason) => fail(`${part} is gone: ${reason}`),
  });
  try {
    await migrate(String(stack.env.DATABASE_URL));
    const env = { ...stack.env, ...DEMO_SETTINGS, TASKIQ_HTTP_PORT: String(options.port) };
    // With --exit a terminal shows how many tasks are where; elsewhere the lines tell.
    const quiet = options.exit && process.stdout.isTTY;
    const start = (name: string, role: string): DemoProcess => {
      const started = startDemoProcess({
        name,
        env: { ...env, SERVICE_ROLE: role },
        quiet,
        onExit: (how, wasReady) => {
          if (!wasReady) return fail(`${name} ${how} before it was ready`);
          if (stopping.signal.aborted) return;
          // As a service would: so that a worker can be killed, and its tasks be seen to go on elsewhere.
          process.stdout.write(`${styleText("yellow", `${name} ${how}; starting another`)}\n`);
          start(name, role);
        },
      });
      processes.push(started);
      return started;
    };
    const started = [
      start("api", "api"),
      ...Array.from({ length: WORKERS }, (_, index) => start(`worker-${index + 1}`, "worker")),
    ];
    await Promise.race([Promise.all(started.map((one) => one.ready)), aborted(stopping.signal)]);
    const baseUrl = `http://127.0.0.1:${options.port}`;
    if (!stopping.signal.aborted) {
      await scheduleNightly(createClient({ baseUrl }));
      if (options.exit) {
        const elapsedMs = clock.nowMs() - startedMs;
        process.stdout.write(`started in ${duration(elapsedMs)}, submitting ${TASKS} sleep tasks\n`);
        const problem = await showWork(createClient({ baseUrl }), stopping.signal);
        failure ??= problem;
      } else {
        const startedInMs = clock.nowMs() - startedMs;
        const lines = welcomeLines({ baseUrl, parts: stack.parts, workers: WORKERS, slots: SLOTS, startedInMs });
        process.stdout.write(`${lines.join("\n")}\n`);
        await aborted(stopping.signal);
      }
    }
  } finally {
    stopping.abort();
    await Promise.all(processes.map((one) => one.stop()));
    await stack.stop();
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  }
  if (failure === undefined) return 0;
  process.stderr.write(`${styleText("red", "demo failed")}: ${failure}\n`);
  return 1;
}

/** With --keep it may be there from the start before. */
async function scheduleNightly(client: Client): Promise<void> {
  const input = { job: nightly.name };
  try {
    await client.schedules.create({
      name: nightly.name,
      task: START_RUN_TASK,
      input,
      cron: "0 2 * * *",
      timeZone: "UTC",
    });
  } catch (error) {
    if (!(error instanceof ApiError && error.code === "schedule_exists")) throw error;
  }
}

/** Tasks, then a run. Returns what did not succeed. */
async function showWork(client: Client, signal: AbortSignal): Promise<string | undefined> {
  const tasks = await followTasks(client, { count: TASKS, clock, signal });
  process.stdout.write(`${summarise(tasks)}\n`);
  if (tasks.succeeded < TASKS) return `${TASKS - tasks.succeeded} of ${TASKS} tasks did not succeed`;
  process.stdout.write(`\nstarting a run of the job ${etl.name}\n`);
  const run = await followRun(client, etl.name, signal).catch((error: unknown) => {
    if (signal.aborted) return null;
    throw error;
  });
  if (run === null) return `the run of ${etl.name} was not followed to its end`;
  process.stdout.write(`${runLines(run).join("\n")}\n`);
  return run.state === "succeeded" ? undefined : `the run of ${etl.name} ${run.state}`;
}

/** Short polls and drains, so that Ctrl-C does not take twenty seconds; frequent beats, so that short tasks show progress. */
const DEMO_SETTINGS = {
  TASKIQ_HTTP_HOST: "127.0.0.1",
  // Only this machine reaches it.
  TASKIQ_API_AUTH: "none",
  TASKIQ_PROBE_PORT: "0",
  TASKIQ_WORKER_SLOTS: String(SLOTS),
  TASKIQ_RECEIVE_WAIT_MS: "2000",
  TASKIQ_EXTEND_INTERVAL_MS: "1000",
  TASKIQ_GRACE_MS: "1000",
  TASKIQ_DRAIN_WORK_MS: "1000",
  TASKIQ_DRAIN_BUDGET_MS: "10000",
  TASKIQ_LOG: "tasks",
  TASKIQ_LOG_FORMAT: "json",
};

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
