import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import type { Context } from "../../runtime/define/context.ts";
import type { Middleware, SavedResult } from "../../runtime/define/middleware.ts";
import type { AnyTask } from "../../runtime/define/registry.ts";
import { defineTask, type TaskOptions } from "../../runtime/define/task.ts";
import type { Database } from "../../runtime/postgres/pool.ts";
import type { Statement } from "../../runtime/postgres/sql.ts";
import { loggingMiddleware } from "../../runtime/worker/logging.ts";
import type { Worker } from "../../runtime/worker/worker.ts";
import { hold } from "../flow/waiting.ts";
import { ask, createTask, createTasks, readAttemptLog, readOutbox, readTask, readTasks } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { aborted, createGate, type Gate, openRig, type Rig, tapQueue } from "./rig.ts";

let rig: Rig;
let gates: Gate[] = [];

beforeAll(async () => {
  rig = await openRig({ queues: ["default", "other"] });
});

afterEach(async () => {
  for (const gate of gates) gate.open();
  gates = [];
  await rig.reset();
});

afterAll(() => rig.close());

/** One that is opened at the end of the test at the latest. */
function gate(): Gate {
  const one = createGate();
  gates.push(one);
  return one;
}

function demo(
  run: TaskOptions<z.ZodType, unknown>["run"],
  options: Partial<TaskOptions<z.ZodType, unknown>> = {},
): AnyTask {
  return defineTask({ name: "demo", input: z.unknown(), run, ...options });
}

const stateOf = async (id: string) => (await readTask(rig.database, id)).state;
const untilState = (id: string, state: string) =>
  until(async () => (await stateOf(id)) === state, { what: `task ${id} to be ${state}` });
const untilAll = (state: string, deadlineMs = 10_000) =>
  until(async () => (await readTasks(rig.database)).every((row) => row.state === state), {
    deadlineMs,
    what: `all to be ${state}`,
  });

/** The database with a way in front of and behind its statements. */
function tapped(
  real: Database,
  ways: {
    before?: (statement: Statement) => Promise<void> | void;
    after?: (statement: Statement) => Promise<void> | void;
  },
): Database {
  return {
    ...real,
    get statements() {
      return real.statements;
    },
    async query<Row>(statement: Statement, params: readonly unknown[]) {
      await ways.before?.(statement);
      const rows = await real.query<Row>(statement, params);
      await ways.after?.(statement);
      return rows;
    },
  };
}

const TAKE_OVER = "update taskiq.task set attempt = attempt + 1, worker = 'other' where id = $1";

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
  await untilState(id, "succeeded");
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
  await untilAll("succeeded");
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
  await untilState(id, "succeeded");
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
    await until(() => stateOf(id).then((state) => state === "failed"), {
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
    await untilState(id, "succeeded");
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
    await untilState(id, "running");
    await ask(rig.database, "update taskiq.task set cancel_requested_at = now() where id = $1", [id]);
    await untilState(id, "cancelled");
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
    await untilState(next, "running");
  });

  test("that lost its task and succeeds all the same is refused", async () => {
    const release = gate();
    rig.start({ middlewares: [loggingMiddleware(rig.log, false)], tasks: [demo(() => release.opened)] });
    const [id] = (await rig.submit([{}])) as [string];
    await untilState(id, "running");
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
    await untilState(id, "running");
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
    await untilState(id, "succeeded");
    expect(await readTask(rig.database, id)).toMatchObject({ attempt: 2, result: '"second"' });
  });
});

describe("leases", () => {
  const LEASE = { leaseMs: 900, extendIntervalMs: 60 };

  /** True when every running row's lease has more than a third of its time left. */
  async function untilRenewedPast(ms: number, ids: readonly string[]): Promise<void> {
    const startMs = systemClock.nowMs();
    await until(async () => {
      const rows = await Promise.all(ids.map((id) => readTask(rig.database, id)));
      const short = rows.filter((row) => (row.lease_in_ms ?? 0) < 300);
      expect(short.map((row) => [row.id, row.state, row.lease_in_ms])).toEqual([]);
      return systemClock.nowMs() - startMs > ms;
    });
  }

  test("of the others are kept while one attempt is slow inside its commit, which still succeeds", async () => {
    const commit = gate();
    const release = gate();
    rig.start({
      settings: { ...LEASE, commitTimeoutMs: 10_000 },
      tasks: [demo(() => release.opened), demo(() => "slow", { name: "slow", commit: () => commit.opened })],
    });
    const [slow, ...others] = (await rig.submit([{ name: "slow" }, {}, {}, {}])) as [string, ...string[]];
    await until(async () => (await readTasks(rig.database)).every((row) => row.state === "running"));
    await untilRenewedPast(1_200, others);
    commit.open();
    release.open();
    await untilAll("succeeded");
    expect(await readTask(rig.database, slow)).toMatchObject({ attempt: 1, losses: 0, failures: 0 });
  });

  test("are renewed while handlers hold every connection for commits", async () => {
    const commit = gate();
    const commitDatabase = rig.open({ max: 1, connectTimeoutMs: 5_000 });
    rig.start({
      settings: { ...LEASE, commitTimeoutMs: 10_000 },
      commitDatabase,
      tasks: [demo(() => "done", { commit: () => commit.opened })],
    });
    const ids = await rig.submit([{}, {}, {}]);
    await until(async () => (await readTasks(rig.database)).every((row) => row.state === "running"));
    const startMs = systemClock.nowMs();
    const isWaiting = async () =>
      (await readTasks(rig.database)).filter((row) => (row.lease_in_ms ?? 0) > 300).length >= 2;
    await until(async () => (await isWaiting()) && systemClock.nowMs() - startMs > 1_200);
    commit.open();
    await untilAll("succeeded");
    for (const id of ids)
      expect(await readTask(rig.database, id)).toMatchObject({ attempt: 1, losses: 0, failures: 0 });
  });

  test("unconfirmed for five sixths of their time stop the attempts, whose tasks are given back at no cost when the database is back", async () => {
    const proxy = await rig.proxy();
    const through = { connectionString: proxy.url, connectTimeoutMs: 100, queryTimeoutMs: 150 };
    const reasons: unknown[] = [];
    rig.start({
      settings: LEASE,
      middlewares: [loggingMiddleware(rig.log, false)],
      database: rig.open(through),
      commitDatabase: rig.open(through),
      beatDatabase: rig.open({ ...through, max: 1 }),
      tasks: [
        demo(async (_input, ctx) => {
          if (ctx.attempt > 1) return "again";
          reasons.push(await aborted(ctx.signal));
          throw new Error("stopped");
        }),
      ],
    });
    const ids = await rig.submit([{}, {}, {}]);
    await until(async () => (await readTasks(rig.database)).every((row) => row.state === "running"));
    proxy.silence();
    await until(() => reasons.length === 3);
    expect(reasons).toEqual(["lease_lost", "lease_lost", "lease_lost"]);
    proxy.cut();
    proxy.restore();
    await untilAll("queued");
    for (const id of ids) {
      expect(await readTask(rig.database, id)).toMatchObject({ attempt: 1, losses: 0, failures: 0 });
      expect((await readAttemptLog(rig.database, id)).map((row) => row.outcome)).toEqual(["released"]);
      expect((await readOutbox(rig.database, id)).map((row) => [row.kind, row.send_in_ms <= 0])).toEqual([
        ["doorbell", true],
      ]);
    }
    await rig.ring(ids);
    await untilAll("succeeded");
    expect(rig.events("task.lost", "task.failed")).toEqual([]);
  });
});

describe("while the database is away", () => {
  test("nothing is polled or dead-lettered, what runs goes on, and everything is recorded and run when it is back", async () => {
    const proxy = await rig.proxy();
    const through = { connectionString: proxy.url, connectTimeoutMs: 50, queryTimeoutMs: 100 };
    const queue = tapQueue(rig.queue());
    const release = gate();
    let runs = 0;
    const worker = rig.start({
      queueNames: ["default"],
      settings: { extendIntervalMs: 20 },
      queues: [queue],
      database: rig.open(through),
      commitDatabase: rig.open(through),
      beatDatabase: rig.open({ ...through, max: 1 }),
      tasks: [
        demo(async () => {
          runs++;
          await release.opened;
        }),
      ],
    });
    const first = await rig.submit([{}, {}]);
    await until(() => runs === 2);
    proxy.silence();
    await until(() => rig.events("database.away").length > 0 && queue.open === 0);
    const polls = queue.receives.length;
    const second = await createTasks(rig.database, [{}, {}, {}]);
    await rig.ring(second);
    release.open();
    await until(() => rig.events("complete.failed").length > 0);
    expect(worker.live()).toEqual({ ok: true, why: "waiting for the database" });
    expect(queue.receives).toHaveLength(polls);
    proxy.cut();
    proxy.restore();
    await untilAll("succeeded");
    for (const id of [...first, ...second]) {
      expect(await readTask(rig.database, id)).toMatchObject({ attempt: 1, losses: 0, failures: 0 });
    }
    expect(rig.heldDead()).toEqual({ ready: [], delayed: [], inflight: [] });
  });

  test("what a poll brought nevertheless is hidden for 30 s, and none of it is lost", async () => {
    const proxy = await rig.proxy();
    const through = { connectionString: proxy.url, connectTimeoutMs: 50, queryTimeoutMs: 100 };
    let arm = false;
    const queue = tapQueue(rig.queue(), {
      async receive(_options, receive) {
        const messages = await receive();
        if (arm && messages.length > 0) proxy.silence();
        return messages;
      },
    });
    rig.start({ queueNames: ["default"], queues: [queue], database: rig.open(through), tasks: [demo(() => "done")] });
    const [warm] = (await rig.submit([{}])) as [string];
    await untilState(warm, "succeeded");
    arm = true;
    const ids = await rig.submit([{}, {}, {}]);
    await until(() => queue.hidden.length === 3);
    expect(queue.hidden.map((one) => one.visibilityMs)).toEqual([30_000, 30_000, 30_000]);
    expect(rig.heldDead().ready).toEqual([]);
    expect(rig.held().inflight).toHaveLength(3);
    arm = false;
    proxy.cut();
    proxy.restore();
    await until(() => rig.events("database.back").length > 0);
    await rig.ring(ids);
    await untilAll("succeeded");
    for (const id of ids) expect(await readTask(rig.database, id)).toMatchObject({ losses: 0, failures: 0 });
  });
});

describe("a handler that ignores its abort", () => {
  test("is left behind after its grace time: its outcome is recorded without it, and its slot comes back when it ends", async () => {
    const stuck = gate();
    const worker = rig.start({
      settings: { slots: 3, drainWorkMs: 0 },
      tasks: [
        demo(() => stuck.opened.then(() => "too late")),
        defineTask({ name: "quick", input: z.unknown(), run: () => 1 }),
      ],
    });
    const [id] = (await rig.submit([{ timeoutMs: 20, graceMs: 20, maxAttempts: 1 }])) as [string];
    await untilState(id, "failed");
    expect(JSON.parse((await readTask(rig.database, id)).error ?? "")).toMatchObject({ code: "timeout" });
    expect(rig.events("slot.leaked")).toMatchObject([
      { level: "error", taskId: id, task: "demo", leaked: 1, slots: 3 },
    ]);
    await rig.submit([{ name: "quick" }, { name: "quick" }, { name: "quick" }, { name: "quick" }]);
    await until(async () => (await readTasks(rig.database)).filter((row) => row.state === "succeeded").length === 4);
    stuck.open();
    await until(() => worker.running === 0);
    expect(await readTask(rig.database, id)).toMatchObject({ state: "failed", result: null });
  });

  test("gives its slot back once, also where its outcome could not be recorded", async () => {
    const stuck = gate();
    const hold = gate();
    let running = 0;
    let most = 0;
    rig.start({
      settings: { slots: 3 },
      database: tapped(rig.database, {
        before(statement) {
          if (statement.name === "fail") throw new Error("relation does not exist");
        },
      }),
      tasks: [
        demo(() => stuck.opened),
        defineTask({
          name: "counted",
          input: z.unknown(),
          async run() {
            most = Math.max(most, ++running);
            await hold.opened;
            running--;
          },
        }),
      ],
    });
    await rig.submit([{ timeoutMs: 10, graceMs: 10 }]);
    await until(() => rig.events("complete.failed").length === 1);
    stuck.open();
    await rig.submit(Array.from({ length: 6 }, () => ({ name: "counted" })));
    await until(() => running >= 3);
    // A fourth would be claimed by the poll that is open now, or by the next.
    await until(() => rig.held().ready.length + rig.held().inflight.length === 3, { deadlineMs: 1_500 });
    hold.open();
    await until(async () => (await readTasks(rig.database)).filter((row) => row.state === "succeeded").length === 6);
    expect(most).toBe(3);
  });

  test("drains the worker when half of its slots are held by such, and it stops by itself", async () => {
    const stuck = gate();
    const worker = rig.start({ settings: { slots: 4 }, tasks: [demo(() => stuck.opened)] });
    let stopped = false;
    void worker.stopped.then(() => {
      stopped = true;
    });
    const leaky = { timeoutMs: 10, graceMs: 10, maxAttempts: 1 };
    await rig.submit([leaky]);
    await until(() => rig.events("slot.leaked").length === 1);
    await rig.submit([{ ...leaky, name: "demo" }]);
    await until(() => stopped);
    expect(rig.events("worker.draining")).toHaveLength(1);
    await untilAll("failed");
    expect(await ask(rig.database, "select from taskiq.worker")).toEqual([]);
  });
});

describe("a drain", () => {
  const slowWork = { drainWorkMs: 5_000, drainBudgetMs: 6_000 };

  test("takes no new work, finishes what runs, forgets the worker's row and is over", async () => {
    const release = gate();
    const worker = rig.start({
      settings: slowWork,
      tasks: [demo(() => release.opened.then(() => "done"))],
      name: "worker-d",
    });
    const ids = await rig.submit([{}, {}]);
    await until(() => worker.running === 2);
    await until(
      async () => (await ask(rig.database, "select from taskiq.worker where name = 'worker-d'")).length === 1,
    );
    const drained = worker.drain();
    expect(worker.live()).toEqual({ ok: true, why: "draining" });
    const late = await rig.submit([{}]);
    release.open();
    await drained;
    await worker.stopped;
    for (const id of ids) expect(await stateOf(id)).toBe("succeeded");
    expect(await stateOf(late[0]!)).toBe("queued");
    expect(rig.held().ready).toHaveLength(1);
    expect(await ask(rig.database, "select from taskiq.worker")).toEqual([]);
    expect(rig.events("worker.aborting")).toEqual([]);
    expect(rig.events("worker.stopped")).toMatchObject([{ finished: 2, requeued: 0 }]);
  });

  test("says in the worker's row that it drains", async () => {
    const release = gate();
    const worker = rig.start({ settings: slowWork, tasks: [demo(() => release.opened)] });
    await rig.submit([{}]);
    await until(() => worker.running === 1);
    const drained = worker.drain();
    await until(
      async () => (await ask(rig.database, "select from taskiq.worker where draining and running = 1")).length === 1,
    );
    release.open();
    await drained;
  });

  test("asked for twice is one drain", async () => {
    const worker = rig.start({ tasks: [demo(() => 1)] });
    await Promise.all([worker.drain(), worker.drain()]);
    await worker.drain();
    expect(rig.events("worker.stopped")).toHaveLength(1);
  });

  test("aborts with the reason shutdown what still runs when its time is over, and gives that back at no cost, rung at once", async () => {
    const reasons: unknown[] = [];
    const worker = rig.start({
      settings: { drainWorkMs: 30 },
      middlewares: [loggingMiddleware(rig.log, false)],
      tasks: [
        demo(async (_input, ctx) => {
          reasons.push(await aborted(ctx.signal));
          throw new Error("stopped");
        }),
      ],
    });
    const ids = await rig.submit([{}, {}]);
    await until(() => worker.running === 2);
    await worker.drain();
    expect(reasons).toEqual(["shutdown", "shutdown"]);
    for (const id of ids) {
      expect(await readTask(rig.database, id)).toMatchObject({ state: "queued", attempt: 1, failures: 0, losses: 0 });
      expect((await readOutbox(rig.database, id)).map((row) => [row.kind, row.send_in_ms <= 0])).toEqual([
        ["doorbell", true],
      ]);
    }
    expect(rig.events("worker.stopped")).toMatchObject([{ finished: 0, requeued: 2 }]);
    expect(rig.events("task.shutdown")).toHaveLength(2);
  });

  test("records what a handler finishes after the abort", async () => {
    const worker = rig.start({
      settings: { drainWorkMs: 10 },
      tasks: [demo(async (_input, ctx) => aborted(ctx.signal).then(() => "in time"))],
    });
    const [id] = (await rig.submit([{}])) as [string];
    await until(() => worker.running === 1);
    await worker.drain();
    expect(await readTask(rig.database, id)).toMatchObject({ state: "succeeded", result: '"in time"' });
  });

  test("does not wait for a handler that ignores the abort beyond its grace time, and its task is queued", async () => {
    const stuck = gate();
    const worker = rig.start({ settings: { slots: 10 }, tasks: [demo(() => stuck.opened)] });
    const [id] = (await rig.submit([{ graceMs: 30 }])) as [string];
    await until(() => worker.running === 1);
    await worker.drain();
    expect(await readTask(rig.database, id)).toMatchObject({ state: "queued", failures: 0, losses: 0 });
    expect(rig.events("slot.leaked")).toHaveLength(1);
  });

  test("lets the open poll return and gives its messages back at once", async () => {
    const answer = gate();
    const queue = tapQueue(rig.queue(), {
      async receive(_options, receive) {
        const messages = await receive();
        if (messages.length > 0) await answer.opened;
        return messages;
      },
    });
    const worker = rig.start({ queueNames: ["default"], queues: [queue], tasks: [demo(() => 1)] });
    const ids = await rig.submit([{}, {}, {}]);
    await until(() => rig.held().inflight.length === 3);
    const drained = worker.drain();
    answer.open();
    await drained;
    expect(rig.held().ready).toHaveLength(3);
    for (const id of ids) expect(await readTask(rig.database, id)).toMatchObject({ state: "queued", attempt: 0 });
  });

  test("gives back what waits for a slot, instead of starting it", async () => {
    const release = gate();
    const queue = tapQueue(rig.queue(), { receive: () => rig.queue().receive({ max: 10, waitMs: 0 }) });
    const worker = rig.start({
      queueNames: ["default"],
      queues: [queue],
      settings: { ...slowWork, slots: 1 },
      tasks: [demo(() => release.opened)],
    });
    await rig.submit([{}, {}, {}]);
    await until(() => worker.running === 1);
    const drained = worker.drain();
    release.open();
    await drained;
    expect((await readTasks(rig.database)).map((row) => row.state).toSorted()).toEqual([
      "queued",
      "queued",
      "succeeded",
    ]);
    expect(rig.held().ready).toHaveLength(2);
  });

  test("gives back also an attempt whose claim was still on its way when the others were aborted", async () => {
    const answer = gate();
    const reasons: unknown[] = [];
    let claims = 0;
    const worker = rig.start({
      settings: { drainWorkMs: 0, drainBudgetMs: 1_500 },
      database: tapped(rig.database, {
        async after(statement) {
          if (statement.name === "claim" && ++claims === 2) await answer.opened;
        },
      }),
      tasks: [
        demo(async (_input, ctx) => {
          reasons.push(await aborted(ctx.signal));
          throw new Error("stopped");
        }),
      ],
    });
    await rig.submit([{}]);
    await until(() => worker.running === 1);
    const [late] = (await rig.submit([{}])) as [string];
    await until(() => claims === 2);
    const drained = worker.drain();
    await until(() => reasons.length === 1);
    answer.open();
    await drained;
    expect(await readTask(rig.database, late)).toMatchObject({ state: "queued", attempt: 1, failures: 0, losses: 0 });
  });

  test("of an idle worker is over at once, also while the database is away", async () => {
    const proxy = await rig.proxy();
    const through = { connectionString: proxy.url, connectTimeoutMs: 50, queryTimeoutMs: 50, closeTimeoutMs: 50 };
    const queue = tapQueue(rig.queue());
    const worker = rig.start({
      queueNames: ["default"],
      queues: [queue],
      settings: { drainWorkMs: 2_000, drainBudgetMs: 4_000, extendIntervalMs: 20 },
      database: rig.open(through),
      commitDatabase: rig.open(through),
      beatDatabase: rig.open({ ...through, max: 1 }),
      tasks: [demo(() => 1)],
    });
    proxy.silence();
    await until(() => rig.events("database.away").length > 0 && queue.open === 0);
    const startedMs = systemClock.nowMs();
    await worker.drain();
    expect(systemClock.nowMs() - startedMs).toBeLessThan(1_500);
  });

  test("leaves no row of the worker behind, also when a beat is still on its way", async () => {
    const release = gate();
    const answer = gate();
    let beats = 0;
    const worker = rig.start({
      settings: { ...slowWork, extendIntervalMs: 20 },
      beatDatabase: tapped(rig.database, {
        async after(statement) {
          if (statement.name !== "extend") return;
          beats++;
          await answer.opened;
        },
      }),
      tasks: [demo(() => release.opened)],
    });
    await rig.submit([{}]);
    await until(() => beats === 1);
    release.open();
    await worker.drain();
    expect(await ask(rig.database, "select from taskiq.worker")).toEqual([]);
    answer.open();
    await new Promise(setImmediate);
    // Whatever the late beat still does has been sent before this is.
    await until(async () => (await ask(rig.database, "select 1 as one")).length === 1);
    await hold(rig.database, (tx) => tx.raw.query("lock table taskiq.worker in share mode")).then((lock) => lock.end());
    expect(await ask(rig.database, "select from taskiq.worker")).toEqual([]);
  });
});

describe("two queues and one slot", () => {
  test("a message that finds no slot goes back within about a second, unclaimed", async () => {
    const release = gate();
    const other = tapQueue(rig.queue("other"));
    rig.start({ settings: { slots: 1 }, queues: [other], tasks: [demo(() => release.opened)] });
    await until(() => other.open === 1);
    const ids = await createTasks(rig.database, [{}, { queue: "other" }]);
    const startedMs = systemClock.nowMs();
    await rig.ring([ids[0]!], "default");
    await rig.ring([ids[1]!], "other");
    await until(async () => (await readTasks(rig.database)).some((row) => row.state === "running"));
    const [waiting] = (await readTasks(rig.database)).filter((row) => row.state === "queued");
    // Unless it was never received, because the slot was gone before its queue was asked.
    const name = waiting?.queue ?? "";
    await until(() => rig.held(name).ready.length === 1, { deadlineMs: 3_000 });
    expect(systemClock.nowMs() - startedMs).toBeLessThan(2_500);
    expect(await readTask(rig.database, waiting?.id ?? "")).toMatchObject({ attempt: 0 });
    release.open();
    await untilAll("succeeded");
  });

  test("a message that finds none again and again is neither dead-lettered nor left out", async () => {
    // A second of the worker lasts 20 ms here; its loops take the time they take.
    const clock: Clock = {
      ...systemClock,
      after: (ms, signal) => systemClock.after(ms / 50, signal),
      nowMs: () => systemClock.nowMs() * 50,
    };
    const returned = tapQueue(rig.queue("other"));
    const seen = () => returned.hidden.filter((one) => one.visibilityMs === 0).length;
    rig.start({
      clock,
      settings: { slots: 1, leaseMs: 1_000_000_000 },
      queues: [returned],
      tasks: [
        demo(async (_input, ctx) => {
          if (ctx.queue === "other") return;
          // Each runs until the other queue's message has gone back once more, if it came at all.
          const before = seen();
          await until(() => seen() > before, { deadlineMs: 150 }).catch(() => {});
        }),
      ],
    });
    const other = await createTask(rig.database, { queue: "other" });
    const many = await createTasks(
      rig.database,
      Array.from({ length: 14 }, () => ({})),
    );
    await rig.ring(many);
    await rig.ring([other], "other");
    await untilAll("succeeded", 8_000).catch(() => {});
    expect(rig.heldDead("other").ready.map((message) => message.receiveCount)).toEqual([]);
    expect(await stateOf(other)).toBe("succeeded");
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
