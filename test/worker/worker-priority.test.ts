/** A whole worker on queues that are fair or ordered by priority, and what it hears within a second. */
import { describe, expect, test } from "vitest";
import { cancel } from "../../runtime/flow/cancel.ts";
import { ask, createTask, createTasks, readTask, readTasks } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { aborted, tapQueue, useGates, useRig } from "./rig.ts";
import { demo, untilAll, untilState } from "./tasks-of-worker.ts";

const rig = useRig({ queues: ["default", { name: "urgent", order: "priority" }, { name: "shared", fair: true }] });
const gate = useGates();

describe("a queue ordered by priority", () => {
  test("starts its best task next, whichever doorbell rings", async () => {
    const hold = gate();
    const started: string[] = [];
    rig.start({
      queueNames: ["urgent"],
      settings: { slots: 1 },
      tasks: [
        demo(async (_input, ctx) => {
          started.push(ctx.taskId);
          if (started.length === 1) await hold.opened;
        }),
      ],
    });
    const row = { queue: "urgent", byRank: true };
    const [first] = await createTasks(rig.database, [row]);
    await rig.ring([first!], "urgent");
    await until(() => started.length === 1);
    const waiting = await createTasks(
      rig.database,
      Array.from({ length: 30 }, (_, nth) => ({ ...row, dueInMs: nth - 1_000 })),
    );
    await rig.ring(waiting, "urgent");
    const urgent = await createTask(rig.database, { ...row, priority: 9 });
    await rig.ring([urgent], "urgent");
    hold.open();
    await untilAll(rig, "succeeded");
    expect(started).toEqual([first, urgent, ...waiting]);
  });

  test("is emptied without waiting for the doorbell of each task, and the late ones do no harm", async () => {
    const row = { queue: "urgent", byRank: true };
    const ids = await createTasks(
      rig.database,
      Array.from({ length: 100 }, () => row),
    );
    let runs = 0;
    rig.start({ queueNames: ["urgent"], settings: { slots: 20 }, tasks: [demo(() => void runs++)] });
    await rig.ring(ids.slice(0, 1), "urgent");
    // One doorbell: the claim brings one task, and goes on while there is more.
    await untilAll(rig, "succeeded");
    await rig.ring(ids, "urgent");
    await until(() => rig.held("urgent").ready.length + rig.held("urgent").inflight.length === 0);
    expect(runs).toBe(100);
    expect(rig.heldDead("urgent").ready).toEqual([]);
  });

  test("moves what is no doorbell to the dead-letter queue", async () => {
    rig.start({ queueNames: ["urgent"], tasks: [demo(() => null)] });
    await rig.send([{ body: "nonsense" }], "urgent");
    await until(() => rig.heldDead("urgent").ready.length === 1);
  });
});

describe("a fair queue", () => {
  test("keeps a message in flight while its task runs, and deletes it then", async () => {
    const hold = gate();
    const worker = rig.start({ queueNames: ["shared"], tasks: [demo(() => hold.opened)] });
    const ids = await createTasks(rig.database, [{ queue: "shared" }, { queue: "shared" }]);
    await rig.ring(ids, "shared");
    await until(() => worker.running === 2);
    expect(rig.held("shared").inflight).toHaveLength(2);
    hold.open();
    await untilAll(rig, "succeeded");
    await until(() => rig.held("shared").inflight.length === 0);
  });

  test("renews its messages as long as the leases", async () => {
    const hold = gate();
    const queue = tapQueue(rig.queue("shared"));
    rig.start({
      queueNames: ["shared"],
      queues: [queue],
      settings: { leaseMs: 2_000, extendIntervalMs: 50 },
      tasks: [demo(() => hold.opened)],
    });
    await rig.ring([await createTask(rig.database, { queue: "shared" })], "shared");
    await until(() => queue.hidden.length >= 3, { what: "renewals" });
    expect(new Set(queue.hidden.map(({ visibilityMs }) => visibilityMs))).toEqual(new Set([7_000]));
    hold.open();
    await untilAll(rig, "succeeded");
  });

  test("a doubled message is deleted, and the one that is kept is not", async () => {
    const hold = gate();
    const worker = rig.start({ queueNames: ["shared"], tasks: [demo(() => hold.opened)] });
    const id = await createTask(rig.database, { queue: "shared" });
    await rig.ring([id, id], "shared");
    await until(() => worker.running === 1 && rig.held("shared").ready.length === 0);
    await until(() => rig.held("shared").inflight.length === 1);
    hold.open();
    await until(() => rig.held("shared").inflight.length === 0);
  });
});

describe("a cancellation", () => {
  test("reaches 100 running attempts within three seconds, long before the next heartbeat", async () => {
    const reasons: unknown[] = [];
    const worker = rig.start({
      queueNames: ["default"],
      settings: { slots: 100, leaseMs: 600_000, extendIntervalMs: 200_000 },
      tasks: [
        demo(async (_input, ctx) => {
          reasons.push(await aborted(ctx.signal));
          throw new Error("stopped");
        }),
      ],
    });
    const ids = await createTasks(
      rig.database,
      Array.from({ length: 100 }, () => ({})),
    );
    await rig.ring(ids);
    await until(() => worker.running === 100);
    await cancel(rig.database, ids, { tenant: null, reason: "changed my mind" });
    await untilAll(rig, "cancelled", 3_000);
    expect(new Set(reasons)).toEqual(new Set(["cancelled"]));
  });
});

describe("a paused queue", () => {
  test("is not claimed from, loses nothing, and goes on when it is resumed", async () => {
    await ask(rig.database, "insert into taskiq.paused_queue (queue) values ('default')");
    const queue = tapQueue(rig.queue("default"));
    let runs = 0;
    rig.start({ queueNames: ["default", "urgent"], queues: [queue], tasks: [demo(() => void runs++)] });
    // The other queue shows that the worker has looked and works.
    const other = await createTask(rig.database, { queue: "urgent", byRank: true });
    await rig.ring([other], "urgent");
    await untilState(rig, other, "succeeded");
    const id = await createTask(rig.database);
    await rig.ring([id]);
    const second = await createTask(rig.database, { queue: "urgent", byRank: true });
    await rig.ring([second], "urgent");
    await untilState(rig, second, "succeeded");
    expect(await readTask(rig.database, id)).toMatchObject({ state: "queued", attempt: 0 });
    await ask(rig.database, "delete from taskiq.paused_queue");
    await untilState(rig, id, "succeeded");
    expect(runs).toBe(3);
    expect((await readTasks(rig.database)).every((row) => row.attempt === 1)).toBe(true);
  });
});
