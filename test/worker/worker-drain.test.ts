/** A whole worker that stops: because it is told to, or because handlers hold its slots. */
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { systemClock } from "../../runtime/clock.ts";
import { defineTask } from "../../runtime/define/task.ts";
import { loggingMiddleware } from "../../runtime/worker/logging.ts";
import { hold } from "../flow/waiting.ts";
import { ask, readOutbox, readTask, readTasks } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { aborted, tapDatabase, tapQueue, useGates, useRig } from "./rig.ts";
import { demo, stateOf, untilAll, untilState } from "./tasks-of-worker.ts";

const rig = useRig();
const gate = useGates();

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
    await untilState(rig, id, "failed");
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
    const worker = rig.start({
      settings: { slots: 3 },
      database: tapDatabase(rig.database, {
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
    await until(() => running >= 3 && worker.live().why === "every slot is busy");
    expect(running).toBe(3);
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
    await untilAll(rig, "failed");
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
    for (const id of ids) expect(await stateOf(rig, id)).toBe("succeeded");
    expect(await stateOf(rig, late[0]!)).toBe("queued");
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
      database: tapDatabase(rig.database, {
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
    expect(systemClock.nowMs() - startedMs).toBeLessThan(1_900);
  });

  test("leaves no row of the worker behind, also when a beat is still on its way", async () => {
    const release = gate();
    const answer = gate();
    let beats = 0;
    const worker = rig.start({
      settings: { ...slowWork, extendIntervalMs: 20 },
      beatDatabase: tapDatabase(rig.database, {
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
