/** A whole worker with more queues than slots. */
import { describe, expect, test } from "vitest";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import { createTask, createTasks, readTask, readTasks } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { tapQueue, useGates, useRig } from "./rig.ts";
import { demo, stateOf, untilAll } from "./tasks-of-worker.ts";

const rig = useRig({ queues: ["default", "other"] });
const gate = useGates();

/** A second of the worker lasts 20 ms; its loops take the time they take. */
const fast: Clock = {
  ...systemClock,
  after: (ms, signal) => systemClock.after(ms / 50, signal),
  nowMs: () => systemClock.nowMs() * 50,
};

describe("two queues and one slot", () => {
  test("serve both by turns while both have messages, also when a message waits for its turn longer than it may", async () => {
    const started: string[] = [];
    const tasks = [
      demo(async (_input, ctx) => {
        started.push(ctx.queue);
        await fast.after(3_000);
      }),
    ];
    const rows = (queue: string) => Array.from({ length: 10 }, () => ({ queue }));
    const ids = await createTasks(rig.database, [...rows("default"), ...rows("other")]);
    await rig.ring(ids.slice(0, 10), "default");
    await rig.ring(ids.slice(10), "other");
    rig.start({ clock: fast, settings: { slots: 1, leaseMs: 1_000_000_000 }, tasks });
    await untilAll(rig, "succeeded");
    // At the start both polls are open already; from then on it is one after the other.
    const repeats = started.slice(3, 17).filter((queue, nth, all) => nth > 0 && queue === all[nth - 1]);
    expect(repeats, started.join(" ")).toEqual([]);
  });

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
    await until(() => rig.held(name).ready.length === 1, { deadlineMs: 6_000 });
    expect(systemClock.nowMs() - startedMs).toBeLessThan(5_000);
    expect(await readTask(rig.database, waiting?.id ?? "")).toMatchObject({ attempt: 0 });
    release.open();
    await untilAll(rig, "succeeded");
  });

  test("a message that finds none again and again is neither dead-lettered nor left out", async () => {
    const returned = tapQueue(rig.queue("other"));
    const seen = () => returned.hidden.filter((one) => one.visibilityMs === 0).length;
    rig.start({
      clock: fast,
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
    await untilAll(rig, "succeeded", 8_000).catch(() => {});
    expect(rig.heldDead("other").ready.map((message) => message.receiveCount)).toEqual([]);
    expect(await stateOf(rig, other)).toBe("succeeded");
  });
});
