/** A whole worker whose database is slow, busy or away. */
import { describe, expect, test } from "vitest";
import type { Database } from "../../runtime/postgres/pool.ts";
import { loggingMiddleware } from "../../runtime/worker/logging.ts";
import { ask, createTasks, readAttemptLog, readOutbox, readTask, readTasks } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { aborted, tapQueue, useGates, useRig } from "./rig.ts";
import { demo, untilAll, untilState } from "./tasks-of-worker.ts";

const rig = useRig();
const gate = useGates();

type Pools = { readonly database: Database; readonly commitDatabase: Database; readonly beatDatabase: Database };

/** Connected already, with a connection each: what is new during an outage is given up soon. */
async function poolsBehind(proxy: { readonly url: string }): Promise<Pools> {
  const open = () => rig.open({ connectionString: proxy.url, max: 1, connectTimeoutMs: 250 });
  const pools = { database: open(), commitDatabase: open(), beatDatabase: open() };
  for (const pool of Object.values(pools)) await until(() => pool.ping(5_000).then(() => true));
  return pools;
}

describe("leases", () => {
  const OFTEN = { extendIntervalMs: 20, commitTimeoutMs: 10_000 };

  /** Ends nearly all the leases that can be had, and waits until so many are renewed. Rows inside a commit are left alone. */
  async function untilRenewed(count: number): Promise<void> {
    await ask(
      rig.database,
      `update taskiq.task set lease_until = now() + interval '5 s'
        where id in (select id from taskiq.task where state = 'running' for update skip locked)`,
    );
    await until(async () => {
      const rows = await readTasks(rig.database);
      return rows.filter((row) => (row.lease_in_ms ?? 0) > 20_000).length >= count;
    });
  }

  test("of the others are renewed while one attempt is slow inside its commit, which still succeeds", async () => {
    const commit = gate();
    const release = gate();
    let committing = 0;
    const slowCommit = () => {
      committing++;
      return commit.opened;
    };
    rig.start({
      settings: OFTEN,
      tasks: [demo(() => release.opened), demo(() => "slow", { name: "slow", commit: slowCommit })],
    });
    const [slow] = (await rig.submit([{ name: "slow" }, {}, {}, {}])) as [string, ...string[]];
    await until(
      async () => committing === 1 && (await readTasks(rig.database)).every((row) => row.state === "running"),
    );
    await untilRenewed(3);
    await untilRenewed(3);
    commit.open();
    release.open();
    await untilAll(rig, "succeeded");
    expect(await readTask(rig.database, slow)).toMatchObject({ attempt: 1, losses: 0, failures: 0 });
  });

  test("are renewed while handlers hold every connection for commits", async () => {
    const commit = gate();
    let committing = 0;
    const slowCommit = () => {
      committing++;
      return commit.opened;
    };
    rig.start({
      settings: OFTEN,
      commitDatabase: rig.open({ max: 1, connectTimeoutMs: 5_000 }),
      tasks: [demo(() => "done", { commit: slowCommit })],
    });
    const ids = await rig.submit([{}, {}, {}]);
    await until(
      async () => committing === 1 && (await readTasks(rig.database)).every((row) => row.state === "running"),
    );
    await untilRenewed(2);
    await untilRenewed(2);
    expect(committing).toBe(1);
    commit.open();
    await untilAll(rig, "succeeded");
    for (const id of ids)
      expect(await readTask(rig.database, id)).toMatchObject({ attempt: 1, losses: 0, failures: 0 });
  });

  test("unconfirmed for five sixths of their time stop the attempts, whose tasks are given back at no cost when the database is back", async () => {
    const proxy = await rig.proxy();
    const pools = await poolsBehind(proxy);
    const reasons: unknown[] = [];
    rig.start({
      ...pools,
      settings: { leaseMs: 3_000, extendIntervalMs: 60 },
      middlewares: [loggingMiddleware(rig.log, false)],
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
    proxy.cut();
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
    const pools = await poolsBehind(proxy);
    const queue = tapQueue(rig.queue());
    const release = gate();
    let runs = 0;
    const worker = rig.start({
      ...pools,
      queueNames: ["default"],
      settings: { extendIntervalMs: 20 },
      queues: [queue],
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
    proxy.cut();
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
    const pools = await poolsBehind(proxy);
    let arm = false;
    const queue = tapQueue(rig.queue(), {
      async receive(_options, receive) {
        const messages = await receive();
        if (arm && messages.length > 0) {
          proxy.silence();
          proxy.cut();
        }
        return messages;
      },
    });
    rig.start({ ...pools, queueNames: ["default"], queues: [queue], tasks: [demo(() => "done")] });
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
