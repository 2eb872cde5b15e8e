/** A whole worker whose queue is paused and goes on. */
import { describe, expect, test } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import { pauseQueue, resumeQueue } from "../../runtime/flow/pause-queue.ts";
import type { Database } from "../../runtime/postgres/pool.ts";
import { encodeDoorbell } from "../../runtime/wire/message.ts";
import { createTasks, readTasks } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { tapDatabase, useRig } from "./rig.ts";
import { demo, untilAll } from "./tasks-of-worker.ts";

const FIFO = "ordered";
const BEST = "best";
const rig = useRig({ queues: ["default", { name: FIFO, type: "fifo" }, { name: BEST, order: "priority" }] });

describe.each([
  { name: "default", columns: {}, groupId: undefined },
  { name: FIFO, columns: { groupKey: "a" }, groupId: "a" },
  { name: BEST, columns: { byRank: true }, groupId: undefined },
])("a pause of $name under load", ({ name, columns, groupId }) => {
  test("stops the claims within about a second, loses nothing, and ends with everything done", async () => {
    const count = groupId === undefined ? 400 : 150;
    const startedAt: number[] = [];
    const work = demo(async () => {
      startedAt.push(systemClock.nowMs());
      await systemClock.after(20);
    });
    rig.start({ tasks: [work], queueNames: [name], settings: { slots: 4 } });
    const rows = Array.from({ length: count }, () => ({ queue: name, ...columns }));
    const ids = await createTasks(rig.database, rows);
    if (groupId === undefined) await rig.ring(ids, name);
    else
      await rig.send(
        ids.map((id) => fifoDoorbell(id, groupId)),
        name,
      );
    await until(() => startedAt.length >= 10);

    await pauseQueue(rig.database, name, "somebody");
    const pausedMs = systemClock.nowMs();
    // Nothing runs any more, and a look later still nothing has started.
    await until(async () => (await states()).running === 0 && systemClock.nowMs() > pausedMs + 2_000);
    const stopped = await states();
    expect(stopped.queued).toBeGreaterThan(0);
    expect(Math.max(...startedAt) - pausedMs).toBeLessThan(2_000);
    const startedThen = startedAt.length;
    await until(() => systemClock.nowMs() > pausedMs + 3_500);
    expect(startedAt.length).toBe(startedThen);
    expect(stopped.queued + stopped.succeeded).toBe(count);

    expect(await resumeQueue(rig.database, name)).toBe(true);
    await untilAll(rig, "succeeded", 20_000);
    expect((await readTasks(rig.database)).every(({ attempt }) => attempt === 1)).toBe(true);
    expect(rig.heldDead(name).ready).toEqual([]);
  }, 40_000);
});

test("a worker that starts while its queue is paused claims nothing, and the other queue is served", async () => {
  await pauseQueue(rig.database, "default", "somebody");
  const ids = await createTasks(rig.database, [{}, {}, { queue: BEST, byRank: true }]);
  await rig.ring(ids.slice(0, 2));
  await rig.ring(ids.slice(2), BEST);
  // The messages are there before the worker hears of the pause.
  const slow = (real: Database) =>
    tapDatabase(real, {
      before: async ({ name }) => {
        if (name === "read-signals") await systemClock.after(300);
      },
    });
  const databases = { database: slow(rig.database), beatDatabase: slow(rig.database) };
  rig.start({ ...databases, tasks: [demo(() => null)], queueNames: ["default", BEST] });
  await until(async () => (await states()).succeeded === 1);
  expect(await states()).toEqual({ queued: 2, running: 0, succeeded: 1 });
  expect(rig.held("default").ready).toHaveLength(2);
  await resumeQueue(rig.database, "default");
  await untilAll(rig, "succeeded");
});

test("a pause stays the one it was, and ends once", async () => {
  const first = await pauseQueue(rig.database, "default", "one");
  expect(first.pausedBy).toBe("one");
  expect(await pauseQueue(rig.database, "default", "another")).toEqual(first);
  expect(await resumeQueue(rig.database, "default")).toBe(true);
  expect(await resumeQueue(rig.database, "default")).toBe(false);
});

function fifoDoorbell(taskId: string, groupId: string) {
  return { body: encodeDoorbell({ taskId, taskName: "demo" }), groupId, deduplicationId: taskId };
}

async function states() {
  const rows = await readTasks(rig.database);
  const of = (state: string) => rows.filter((row) => row.state === state).length;
  return { queued: of("queued"), running: of("running"), succeeded: of("succeeded") };
}
