/**
 * `npm run demo`: the whole system on a laptop. The embedded stack, the API and two workers as processes of their own, and
 * what they say as readable lines. With `--exit` it submits twenty sleep tasks, follows them and ends.
 */

import { styleText } from "node:util";
import { createClient } from "./client/client.ts";
import { systemClock as clock } from "./clock.ts";
import { type DemoProcess, startDemoProcess } from "./demo-process.ts";
import { followTasks, summarise } from "./demo-tasks.ts";
import { startLocalStack } from "./local/stack.ts";
import { migrate } from "./postgres/migrate.ts";

export type DemoOptions = {
  /** Port of the API on 127.0.0.1. Default 8080. */
  readonly port: number;
  /** Keep the state under `.local/` for the next start. */
  readonly keep: boolean;
  /** Submit tasks, wait for them, print a summary and end. */
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
      if (options.exit) {
        process.stdout.write(`started in ${seconds(clock.nowMs() - startedMs)} s, submitting ${TASKS} sleep tasks\n`);
        const outcome = await followTasks(createClient({ baseUrl }), { count: TASKS, clock, signal: stopping.signal });
        process.stdout.write(`${summarise(outcome)}\n`);
        if (outcome.succeeded < TASKS) failure ??= `${TASKS - outcome.succeeded} of ${TASKS} tasks did not succeed`;
      } else {
        printWelcome(baseUrl, stack.parts, clock.nowMs() - startedMs);
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

function printWelcome(baseUrl: string, parts: readonly { name: string; where: string }[], elapsedMs: number): void {
  const bold = (text: string) => styleText("bold", text);
  const places = [
    ["API", baseUrl],
    ["API reference", `${baseUrl}/docs`],
    ["health", `${baseUrl}/health`],
    ...parts.map((part) => [part.name, part.where] as const),
  ] as const;
  process.stdout.write(
    [
      "",
      bold(
        `taskiq-aws runs (started in ${seconds(elapsedMs)} s): one API, ${WORKERS} workers with ${SLOTS} slots each`,
      ),
      ...places.map(([name, where]) => `  ${name.padEnd(14)} ${where}`),
      "",
      bold("Try"),
      `  curl -s -X POST ${baseUrl}/tasks -H 'content-type: application/json' -d '{"duration_seconds": 3}'`,
      `  curl -s ${baseUrl}/tasks/<task_id>`,
      `  npx taskiq-aws task run sleep '{"duration_seconds": 3}' --wait --url ${baseUrl}`,
      "",
      "Ctrl-C stops everything; kill -9 a worker to see its tasks go on elsewhere. What happens:",
      "",
      "",
    ].join("\n"),
  );
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

function seconds(ms: number): string {
  return (ms / 1_000).toFixed(1);
}
