import { describe, expect, test } from "vitest";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import type { Context } from "../../runtime/define/context.ts";
import type { Middleware, SavedResult } from "../../runtime/define/middleware.ts";
import { loggingMiddleware } from "../../runtime/worker/logging.ts";
import type { Worker } from "../../runtime/worker/worker.ts";
import { ask, readAttemptLog, readOutbox, readTask } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { aborted, tapQueue, useGates, useRig } from "./rig.ts";
import { demo, stateOf, TAKE_OVER, untilAll, untilState } from "./tasks-of-worker.ts";

const rig = useRig();
const gate = useGates();

test("a task goes from its message to its result, and the message is gone", async () => {
  const contexts: Partial<Context>[] = [];
  rig.start({
    tasks: [
      demo((input, ctx) => {
        const { taskId, task, queue, tenant, attempt, failures, labels, idempotencyKey } = ctx;
        contexts.push({ taskId, task, queue, tenant, attempt, failures, labels, idempotencyKey });
        return { got: input };
      }),
    ],
    name: "worker-a",
  });
  const [id] = (await rig.submit([{ input: '{"n":1.5}', labels: '{"team":"images"}', tenant: "acme" }])) as [string];
  await untilState(rig, id, "succeeded");
  const row = await readTask(rig.database, id);
  expect(row).toMatchObject({ attempt: 1, failures: 0, losses: 0, worker: "worker-a", result: '{"got":{"n":1.5}}' });
  expect(contexts).toEqual([
    {
      taskId: id,
      task: "demo",
      queue: "default",
      tenant: "acme",
      attempt: 1,
      failures: 0,
      labels: { team: "images" },
      idempotencyKey: id,
    },
  ]);
  await until(() => rig.held().inflight.length === 0);
  expect([rig.held().ready, rig.heldDead().ready]).toEqual([[], []]);
});

test("never runs more attempts than it has slots, and gets through all of them", async () => {
  let running = 0;
  let most = 0;
  rig.start({
    settings: { slots: 3 },
    tasks: [
      demo(async () => {
        most = Math.max(most, ++running);
        await new Promise(setImmediate);
        running--;
      }),
    ],
  });
  await rig.submit(Array.from({ length: 40 }, () => ({})));
  await untilAll(rig, "succeeded");
  expect(most).toBe(3);
});

test("a handler that throws is tried again, with its failures counted", async () => {
  rig.start({
    tasks: [
      demo((_input, ctx) => {
        if (ctx.failures < 2) throw new Error("no route");
        return ctx.attempt;
      }),
    ],
  });
  const [id] = (await rig.submit([{ backoffMs: 0 }])) as [string];
  for (const failures of [1, 2]) {
    await until(async () => (await readTask(rig.database, id)).failures === failures);
    await rig.ring([id]);
  }
  await untilState(rig, id, "succeeded");
  expect((await readTask(rig.database, id)).result).toBe("3");
});

test("a handler that takes longer than its timeout is aborted and fails by its policy", async () => {
  const reasons: unknown[] = [];
  rig.start({
    tasks: [demo(async (_input, ctx) => void reasons.push(await aborted(ctx.signal)))],
    middlewares: [loggingMiddleware(rig.log, false)],
  });
  const [id] = (await rig.submit([{ timeoutMs: 30, backoffMs: 0 }])) as [string];
  await until(async () => (await readTask(rig.database, id)).failures === 1);
  expect(JSON.parse((await readTask(rig.database, id)).error ?? "")).toMatchObject({ code: "timeout" });
  expect(reasons).toEqual(["timeout"]);
  await until(() => rig.events("task.timeout").length === 1);
});

describe("whatever a handler throws, its task is not lost:", () => {
  const revoked = () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  };
  const shy = () =>
    new Proxy(new Error("shy"), {
      getPrototypeOf() {
        throw new Error("no prototype");
      },
    });

  test.each<[string, () => unknown]>([
    ["undefined", () => undefined],
    ["null", () => null],
    ["a text", () => "no route"],
    ["an object without a prototype", () => Object.create(null)],
    ["a revoked proxy", revoked],
    ["a proxy that hides its prototype", shy],
    [
      "an error whose message throws",
      () =>
        Object.defineProperty(new Error(""), "message", {
          get: () => {
            throw new Error("no message");
          },
        }),
    ],
  ])("%s", async (_what, thrown) => {
    rig.start({
      tasks: [
        demo(() => {
          throw thrown();
        }),
      ],
    });
    const [id] = (await rig.submit([{ maxAttempts: 1 }])) as [string];
    await until(() => stateOf(rig, id).then((state) => state === "failed"), {
      deadlineMs: 2_000,
      what: "the failure to be recorded",
    });
    expect(JSON.parse((await readTask(rig.database, id)).error ?? "")).toMatchObject({ code: "handler_error" });
    expect(rig.events("complete.failed")).toEqual([]);
  });
});

describe("middleware", () => {
  test("is called before in order and after in reverse, and a broken hook loses no task", async () => {
    const calls: string[] = [];
    const named = (name: string): Middleware => ({
      name,
      preExecute: (task) => void calls.push(`${name} preExecute ${task.name}`),
      postExecute: (_task, result) => void calls.push(`${name} postExecute ${result.kind}`),
      postSave(_task, result) {
        calls.push(`${name} postSave ${result.recorded}`);
        throw new Error("broken");
      },
    });
    rig.start({ tasks: [demo(() => void calls.push("run"))], middlewares: [named("a"), named("b")] });
    const [id] = (await rig.submit([{}])) as [string];
    await untilState(rig, id, "succeeded");
    await until(() => calls.length === 7);
    expect(calls).toEqual([
      "a preExecute demo",
      "b preExecute demo",
      "run",
      "b postExecute succeeded",
      "a postExecute succeeded",
      "b postSave succeeded",
      "a postSave succeeded",
    ]);
    await until(() => rig.events("hook.failed").length === 2);
  });
});

describe("a running attempt", () => {
  test("is cancelled by the flag in its row: aborted with the reason cancelled, and its task ends cancelled", async () => {
    const reasons: unknown[] = [];
    rig.start({
      settings: { extendIntervalMs: 20 },
      tasks: [
        demo(async (_input, ctx) => {
          reasons.push(await aborted(ctx.signal));
          throw new Error("stopped");
        }),
      ],
    });
    const [id] = (await rig.submit([{}])) as [string];
    await untilState(rig, id, "running");
    await ask(rig.database, "update taskiq.task set cancel_requested_at = now() where id = $1", [id]);
    await untilState(rig, id, "cancelled");
    expect(reasons).toEqual(["cancelled"]);
    expect(JSON.parse((await readTask(rig.database, id)).error ?? "")).toMatchObject({ code: "cancelled" });
    expect((await readAttemptLog(rig.database, id)).map((row) => row.outcome)).toEqual(["cancelled"]);
    expect(await readOutbox(rig.database, id)).toEqual([]);
  });

  test("that lost its task is aborted with the reason lease_lost and writes nothing", async () => {
    const reasons: unknown[] = [];
    const saved: SavedResult[] = [];
    rig.start({
      settings: { extendIntervalMs: 20, slots: 1 },
      middlewares: [
        loggingMiddleware(rig.log, false),
        { name: "seen", postSave: (_task, result) => void saved.push(result) },
      ],
      tasks: [
        demo(async (_input, ctx) => {
          ctx.progress(0.5);
          reasons.push(await aborted(ctx.signal));
          throw new Error("stopped");
        }),
      ],
    });
    const [id] = (await rig.submit([{}])) as [string];
    await until(async () => (await readTask(rig.database, id)).progress === 0.5);
    await ask(rig.database, TAKE_OVER, [id]);
    const before = await readTask(rig.database, id);
    await until(() => saved.length === 1);
    expect([reasons, saved[0]?.recorded]).toEqual([["lease_lost"], "nothing"]);
    const after = await readTask(rig.database, id);
    expect({ ...after, started_ms_ago: 0, announced_ms_ago: 0, lease_in_ms: 0, due_in_ms: 0 }).toEqual({
      ...before,
      started_ms_ago: 0,
      announced_ms_ago: 0,
      lease_in_ms: 0,
      due_in_ms: 0,
    });
    expect(await readAttemptLog(rig.database, id)).toEqual([]);
    expect(rig.events("task.lost")).toMatchObject([{ level: "warn", taskId: id, attempt: 1 }]);
    // Its slot serves the next one.
    const [next] = (await rig.submit([{}])) as [string];
    await untilState(rig, next, "running");
  });

  test("that lost its task and succeeds all the same is refused", async () => {
    const release = gate();
    rig.start({ middlewares: [loggingMiddleware(rig.log, false)], tasks: [demo(() => release.opened)] });
    const [id] = (await rig.submit([{}])) as [string];
    await untilState(rig, id, "running");
    await ask(rig.database, TAKE_OVER, [id]);
    release.open();
    await until(() => rig.events("task.refused").length === 1);
    expect(await readTask(rig.database, id)).toMatchObject({
      state: "running",
      attempt: 2,
      worker: "other",
      result: null,
    });
  });

  test("whose task comes back to this very worker is aborted, and only the new one is recorded", async () => {
    const reasons: unknown[] = [];
    const second = gate();
    rig.start({
      settings: { extendIntervalMs: 30 },
      tasks: [
        demo(async (_input, ctx) => {
          if (ctx.attempt === 2) return await second.opened.then(() => "second");
          reasons.push(await aborted(ctx.signal));
          return "first";
        }),
      ],
    });
    const [id] = (await rig.submit([{}])) as [string];
    await untilState(rig, id, "running");
    // What the reaper does; the doorbell comes back to the only worker there is.
    await ask(
      rig.database,
      "update taskiq.task set state = 'queued', lease_until = null, losses = 1, announced_at = now() where id = $1",
      [id],
    );
    await rig.ring([id]);
    await until(async () => (await readTask(rig.database, id)).attempt === 2);
    await until(() => reasons.length === 1, { deadlineMs: 2_000, what: "the first attempt to be aborted" });
    expect(reasons).toEqual(["lease_lost"]);
    second.open();
    await untilState(rig, id, "succeeded");
    expect(await readTask(rig.database, id)).toMatchObject({ attempt: 2, result: '"second"' });
  });
});

describe("liveness", () => {
  test("follows the polls, and nothing outside of the process", async () => {
    let silentMs = 0;
    const clock: Clock = { ...systemClock, nowMs: () => systemClock.nowMs() + silentMs };
    const answer = gate();
    let stuck = false;
    const queue = tapQueue(rig.queue(), {
      async receive(_options, receive) {
        if (stuck) await answer.opened;
        return await receive();
      },
    });
    const worker = rig.start({ clock, queueNames: ["default"], queues: [queue], tasks: [demo(() => 1)] });
    await until(() => queue.receives.length >= 2);
    expect(worker.live().ok).toBe(true);
    stuck = true;
    const seen = queue.receives.length;
    await until(() => queue.receives.length > seen);
    silentMs = 91_000;
    expect(worker.live()).toMatchObject({ ok: false, why: expect.stringMatching(/has not moved for 91\d{3} ms/) });
    stuck = false;
    answer.open();
    await until(() => worker.live().ok);
  });

  test("is given while every slot is busy: no poll is asked for then", async () => {
    const release = gate();
    let silentMs = 0;
    const clock: Clock = { ...systemClock, nowMs: () => systemClock.nowMs() + silentMs };
    const worker: Worker = rig.start({
      clock,
      settings: { slots: 1, leaseMs: 1_000_000 },
      tasks: [demo(() => release.opened)],
    });
    await rig.submit([{}]);
    await until(() => worker.running === 1);
    silentMs = 91_000;
    expect(worker.live()).toEqual({ ok: true, why: "every slot is busy" });
  });
});

test("refuses to start on a queue that is not configured", () => {
  expect(() => rig.start({ queueNames: ["default", "no such"], tasks: [demo(() => 1)] })).toThrow(/no such/);
});
