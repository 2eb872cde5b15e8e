/** Tasks that share a limit on workers that die: never more than allowed, none left waiting, few messages. */
import { describe, expect, it } from "vitest";
import type { Database } from "../../runtime/postgres/pool.ts";
import { type AwsCall, type AwsProxy, startAwsProxy } from "../support/aws-proxy.ts";
import { type Role, startSystem } from "../support/system.ts";
import { TIMES } from "../support/system-times.ts";
import { ask } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { NARROW_KEY, NARROW_MAX } from "./tasks/narrow.ts";
import { census, type Submission, submit, untilSucceeded } from "./work.ts";

const TASKS = 500;
const RING_AGAIN_AFTER_MS = Math.max(10_000, TIMES.ringAgainAfterMs);
/** Every so many tasks one fails at first. */
const FAILING = 20;

const narrow = (_: unknown, index: number): Submission => ({
  task: "test.narrow",
  input: { workMs: 10, failFirst: index % FAILING === 0 },
});

describe.concurrent("a limit of three", { timeout: TIMES.testTimeoutMs }, () => {
  it("holds for 500 tasks on four workers, of which one is killed and one told to end: all succeed, with fewer than 2 requests each", async ({
    onTestFinished,
    annotate,
  }) => {
    // A message that the killed worker had received and not claimed is rung again; one that only waits for a slow machine is not.
    const system = await startSystem({
      env: { ...TIMES.ringAgain, TASKIQ_RING_AGAIN_AFTER_MS: String(RING_AGAIN_AFTER_MS) },
    });
    onTestFinished(system.stop);
    const proxy = await startAwsProxy(system.aws.endpoint);
    onTestFinished(proxy.close);
    const through = { AWS_ENDPOINT_URL: proxy.endpoint };
    const [api, ...workers] = await Promise.all([
      system.startApi(through),
      ...["first", "second", "third", "fourth"].map((name) => system.startWorker(name, through)),
    ]);

    const before = requests(proxy);
    await submit(api, Array.from({ length: TASKS }, narrow));
    const running = await watchRunning(system.database);
    onTestFinished(running.stop);
    await untilSucceeded(system, TASKS / 5, 60_000);
    // One that holds a place, which comes back with its lease.
    const killed = await until(async () => await workerOf(system.database, workers), { what: "a worker with a place" });
    killed.signal("SIGKILL");
    const ended = workers.find((worker) => worker !== killed);
    if (ended === undefined) throw new Error("expected another worker");
    ended.signal("SIGTERM");
    await untilSucceeded(system, TASKS, TIMES.leaseMs + 2 * RING_AGAIN_AFTER_MS + 40_000);
    await running.stop();

    expect(running.most()).toBe(NARROW_MAX);
    const counts = await census(system);
    expect(counts.every((line) => line.state === "succeeded" && line.effects === 1)).toBe(true);
    const failures = counts.reduce((sum, line) => sum + line.tasks * line.failures, 0);
    // A first attempt that was lost or given back did not come to its failure.
    expect(failures).toBeGreaterThanOrEqual(TASKS / FAILING - 2 * NARROW_MAX);
    const losses = counts.reduce((sum, line) => sum + line.tasks * line.losses, 0);
    expect(losses).toBeLessThanOrEqual(NARROW_MAX);
    expect(
      await ask(system.database, "select running from taskiq.limit_key where key = $1", [
        `task:test.narrow:${NARROW_KEY}`,
      ]),
    ).toEqual([{ running: 0 }]);
    expect(await ask(system.database, "select id from taskiq.task where parked_on is not null")).toEqual([]);

    const perTask = (requests(proxy) - before) / TASKS;
    await annotate(`${perTask.toFixed(2)} SQS requests a task, ${failures} failures, ${losses} losses`);
    expect(perTask).toBeLessThan(2);
    expect(await ended.exited).toEqual({ code: 0, signal: null });
  });
});

/** Without polls that may have brought nothing: they cost by the hour and not by the task. */
function requests(proxy: AwsProxy): number {
  const caused = (call: AwsCall) => call.headers["x-amz-target"] !== undefined && call.operation !== "ReceiveMessage";
  // Each doorbell is received once and deleted in a batch; a poll brings at most ten of them and at least one.
  const sent = proxy.calls.filter(({ operation }) => operation.startsWith("SendMessage"));
  const polls = sent.reduce((sum, call) => sum + (JSON.parse(call.body).Entries?.length ?? 1), 0);
  return proxy.calls.filter(caused).length + polls;
}

/** One of those that run a task at this moment. */
async function workerOf(database: Database, workers: readonly Role[]): Promise<Role | undefined> {
  const [row] = await ask<{ worker: string }>(
    database,
    "select worker from taskiq.task where state = 'running' limit 1",
  );
  return workers.find(({ name }) => name === row?.worker);
}

/** Counts what runs, again and again, on its own connection. */
async function watchRunning(database: Database): Promise<{ most(): number; stop(): Promise<void> }> {
  let most = 0;
  let stopped = false;
  const loop = (async () => {
    while (!stopped) {
      const [row] = await ask<{ n: number }>(
        database,
        "select count(*)::int as n from taskiq.task where state = 'running'",
      );
      most = Math.max(most, row?.n ?? 0);
    }
  })();
  return {
    most: () => most,
    stop() {
      stopped = true;
      return loop;
    },
  };
}
