/** A whole worker whose database is slow, busy or away. */
import { describe, expect, test } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import { loggingMiddleware } from "../../runtime/worker/logging.ts";
import { createTasks, readAttemptLog, readOutbox, readTask, readTasks } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { aborted, tapQueue, useGates, useRig } from "./rig.ts";
import { demo, untilAll, untilState } from "./tasks-of-worker.ts";

const rig = useRig();
const gate = useGates();

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
    await untilAll(rig, "succeeded");
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
    await untilAll(rig, "succeeded");
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
    await untilAll(rig, "queued");
    for (const id of ids) {
      expect(await readTask(rig.database, id)).toMatchObject({ attempt: 1, losses: 0, failures: 0 });
      expect((await readAttemptLog(rig.database, id)).map((row) => row.outcome)).toEqual(["released"]);
      expect((await readOutbox(rig.database, id)).map((row) => [row.kind, row.send_in_ms <= 0])).toEqual([
        ["doorbell", true],
      ]);
    }
    await rig.ring(ids);
    await untilAll(rig, "succeeded");
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
    await untilAll(rig, "succeeded");
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
    await untilState(rig, warm, "succeeded");
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
    await untilAll(rig, "succeeded");
    for (const id of ids) expect(await readTask(rig.database, id)).toMatchObject({ losses: 0, failures: 0 });
  });
});
