/** A whole worker with those who watch it: its metrics, and its protection from ECS. */
import { afterEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { systemClock } from "../../runtime/clock.ts";
import type { Context } from "../../runtime/define/context.ts";
import { TerminalError } from "../../runtime/define/errors.ts";
import { defineTask } from "../../runtime/define/task.ts";
import { loggingMiddleware } from "../../runtime/worker/logging.ts";
import type { WorkerObserver, WorkerState } from "../../runtime/worker/observer.ts";
import { createProtection } from "../../runtime/worker/protection.ts";
import { ask, readTasks } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { aborted, useGates, useRig } from "./rig.ts";
import { fails, type StubAgent, startStubAgent } from "./stub-agent.ts";
import { demo, TAKE_OVER, untilAll, untilState } from "./tasks-of-worker.ts";

const rig = useRig();
const gate = useGates();
let agents: StubAgent[] = [];

afterEach(async () => {
  // The rig stops the workers, and they ask once more: their agent is closed afterwards, or finds nobody.
  await rig.reset();
  await Promise.all(agents.map((agent) => agent.close()));
  agents = [];
});

/** A handler that obeys. */
async function untilAborted(_input: unknown, { signal }: Context): Promise<void> {
  await aborted(signal);
  throw new Error("stopped");
}

async function protectionOf(limitMs: number) {
  const agent = await startStubAgent();
  agents.push(agent);
  const { log } = rig;
  const protection = createProtection({ agentUrl: agent.url, afterMs: 0, limitMs, log, clock: systemClock });
  return { agent, protection };
}

const deaf = {
  declined() {},
  expanded() {},
  payloadStored() {},
  cancelled() {},
  outlastedGrace() {},
  heartbeatFailed() {},
  databaseRetried() {},
  poisoned() {},
};

/** An observer that notes what it is told. */
function observed() {
  const told: string[] = [];
  let look: (() => WorkerState) | undefined;
  const metrics: WorkerObserver = {
    ...deaf,
    started(given) {
      told.push("started");
      look = given;
    },
    attemptStarted: () => told.push("attempt"),
    attemptEnded: (_task, kind, recorded) => told.push(`${kind} → ${recorded}`),
    stopped: () => told.push("stopped"),
  };
  return { told, metrics, look: () => look?.() };
}

describe("an observer is told", () => {
  test("of every attempt, and what was made of it", async () => {
    const { told, metrics } = observed();
    const failing = (name: string, error: Error) =>
      defineTask({
        name,
        input: z.unknown(),
        run() {
          throw error;
        },
      });
    rig.start({
      metrics,
      settings: { slots: 1 },
      tasks: [demo(() => 1), failing("broken", new TerminalError("gone")), failing("flaky", new Error("no route"))],
    });
    await rig.submit([{}]);
    await until(() => told.length === 3);
    await rig.submit([{ name: "broken" }]);
    await until(() => told.length === 5);
    await rig.submit([{ name: "flaky", backoffMs: 60_000 }]);
    await until(() => told.length === 7);
    expect(told).toEqual([
      "started",
      ...["attempt", "succeeded → succeeded"],
      ...["attempt", "failed → failed"],
      ...["attempt", "failed → queued"],
    ]);
  });

  test("of one that lost its task", async () => {
    const { told, metrics } = observed();
    rig.start({ metrics, settings: { extendIntervalMs: 20 }, tasks: [demo(untilAborted)] });
    const [id] = (await rig.submit([{}])) as [string];
    await untilState(rig, id, "running");
    await ask(rig.database, TAKE_OVER, [id]);
    await until(() => told.includes("lost → nothing"));
  });

  test("how full the worker is, that it drains, and last that it has stopped", async () => {
    const { told, metrics, look } = observed();
    const end = gate();
    const worker = rig.start({
      metrics,
      settings: { slots: 4, drainWorkMs: 2_000 },
      tasks: [demo(() => end.opened)],
    });
    await rig.submit([{}, {}]);
    await until(() => look()?.running === 2);
    expect(look()).toMatchObject({ running: 2, slots: 4, leakedSlots: 0, draining: false });
    const stopped = worker.drain();
    expect(look()).toMatchObject({ running: 2, slots: 4, leakedSlots: 0, draining: true });
    expect(told).not.toContain("stopped");
    end.open();
    await stopped;
    expect(told.slice(-3)).toEqual(["succeeded → succeeded", "succeeded → succeeded", "stopped"]);
  });
});

describe("a protected worker", () => {
  test("asks while work runs, and clears it when it has stopped", async () => {
    const { agent, protection } = await protectionOf(60_000);
    const end = gate();
    const worker = rig.start({ protection, settings: { drainWorkMs: 2_000 }, tasks: [demo(() => end.opened)] });
    await rig.submit([{}]);
    await until(() => agent.calls.length === 1);
    const stopped = worker.drain();
    end.open();
    await stopped;
    expect(agent.calls).toEqual([{ ProtectionEnabled: true, ExpiresInMinutes: 15 }, { ProtectionEnabled: false }]);
  });

  test("takes no new work and stops once a deployment has waited for too long", async () => {
    const { agent, protection } = await protectionOf(500);
    agent.answer(() => fails("DEPLOYMENT_BLOCKED"));
    const worker = rig.start({
      protection,
      tasks: [demo(untilAborted)],
    });
    await rig.submit([{}]);
    await worker.stopped;
    expect(rig.events("protection.refused", "protection.exhausted", "worker.draining")).toMatchObject([
      { event: "protection.refused" },
      { event: "protection.exhausted" },
      { event: "worker.draining", running: 1 },
    ]);
    expect(await readTasks(rig.database)).toMatchObject([{ state: "queued", failures: 0 }]);
  });
});

describe("a log line of a task that is tried again says", () => {
  test("how often it has failed and when it is due", async () => {
    const run = () => {
      throw new Error("no route");
    };
    rig.start({ tasks: [demo(run)], middlewares: [loggingMiddleware(rig.log, false)] });
    await rig.submit([{ failures: 1, maxAttempts: 5, backoffMs: 20_000 }]);
    await until(() => rig.events("task.retried").length === 1);
    const [line] = rig.events("task.retried");
    expect(line).toMatchObject({ failures: 2, retryInMs: expect.any(Number), code: "handler_error" });
    expect(line?.retryInMs).toBeLessThanOrEqual(40_000);
  });

  test("why, also when it was its commit that failed", async () => {
    const commit = () => Promise.reject(new Error("out of stock"));
    rig.start({ tasks: [demo(() => 1, { commit })], middlewares: [loggingMiddleware(rig.log, false)] });
    await rig.submit([{ maxAttempts: 1 }]);
    await untilAll(rig, "failed");
    await until(() => rig.events("task.failed").length === 1);
    expect(rig.events("task.failed")).toMatchObject([{ code: "handler_error", error: "Error: out of stock" }]);
  });

  test("what its timeout was", async () => {
    const tasks = [demo((_input, ctx) => aborted(ctx.signal))];
    rig.start({ tasks, middlewares: [loggingMiddleware(rig.log, false)] });
    await rig.submit([{ timeoutMs: 30, backoffMs: 60_000 }]);
    await until(() => rig.events("task.timeout").length === 1);
    expect(rig.events("task.timeout")).toMatchObject([{ timeoutMs: 30, failures: 1, code: "timeout" }]);
  });
});
