/** A whole worker on a FIFO queue: groups in order, whatever happens to attempts, workers and doorbells. */
import { afterEach, describe, expect, test } from "vitest";
import { RetryableError, TerminalError } from "../../runtime/define/errors.ts";
import { createAnnouncer } from "../../runtime/flow/announce.ts";
import { reap } from "../../runtime/flow/reap.ts";
import { ringAgain } from "../../runtime/flow/ring-again.ts";
import type { Queue } from "../../runtime/queue/queue.ts";
import { createQueueSet } from "../../runtime/queue/queue-set.ts";
import { ask, createTasks, readTasks, type TaskColumns } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { useGates, useRig } from "./rig.ts";
import { demo, untilAll } from "./tasks-of-worker.ts";

const QUEUE = "ordered";
/** With the real times of test:chaos also the real numbers. */
const [GROUPS, EACH] = process.env.TASKIQ_TEST_REAL_TIMES === "1" ? [50, 40] : [20, 10];
const rig = useRig({ queues: [{ name: QUEUE, type: "fifo" }] });
const gate = useGates();
let ends: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const end of ends) await end();
  ends = [];
});

/** Rows of groups with their doorbells in the outbox, each task of a group due a little after the one before. */
async function submit(
  groups: readonly string[],
  each: number,
  columns: TaskColumns = {},
): Promise<Map<string, string[]>> {
  const rows = groups.flatMap((groupKey) =>
    Array.from({ length: each }, (_, nth) => ({ queue: QUEUE, groupKey, dueInMs: nth - 60_000, ...columns })),
  );
  const ids = await createTasks(rig.database, rows);
  await ask(
    rig.database,
    `insert into taskiq.outbox (kind, task_id, queue, send_at)
     select 'doorbell', id, queue, now() from taskiq.task order by ordered_at, id`,
  );
  return new Map(groups.map((group, index) => [group, ids.slice(index * each, (index + 1) * each)]));
}

/** Sends what the outbox holds again and again, as the executor does; `change` may lose or double messages. */
function announceOn(change: (queue: Queue) => Queue = (queue) => queue): () => Promise<void> {
  const end = startAnnouncing(change);
  ends.push(end);
  return end;
}

function startAnnouncing(change: (queue: Queue) => Queue): () => Promise<void> {
  const set = createQueueSet([
    { queue: change(rig.queue(QUEUE)), deadLetter: rig.queues.deadLetter(QUEUE), options: rig.queues.options(QUEUE) },
  ]);
  const announcer = createAnnouncer({ database: rig.database, queues: set, payloads: rig.payloads, log: rig.log });
  let stopped = false;
  const loop = (async () => {
    while (!stopped) {
      await announcer.announceDue(500);
      await reap(rig.database, 100);
      await ringAgain(rig.database, QUEUE, { afterMs: 400, limit: 500 });
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  return async () => {
    stopped = true;
    await loop;
  };
}

/** Which tasks ran to their end, by group, in the order they did. */
function follow(of: Map<string, string[]>) {
  const groupOf = new Map([...of].flatMap(([group, ids]) => ids.map((id) => [id, group])));
  const finished = new Map([...of.keys()].map((group): [string, string[]] => [group, []]));
  return { finished, done: (id: string) => finished.get(groupOf.get(id) ?? "")?.push(id) };
}

describe("the tasks of a group", () => {
  test("run one after the other in their order, and groups beside each other", async () => {
    const ids = await submit(["a", "b", "c"], 6);
    const { finished, done } = follow(ids);
    let running = 0;
    let most = 0;
    const stop = announceOn();
    rig.start({
      tasks: [
        demo(async (_input, ctx) => {
          most = Math.max(most, ++running);
          await new Promise((resolve) => setTimeout(resolve, 5));
          running--;
          done(ctx.taskId);
        }),
      ],
    });
    await untilAll(rig, "succeeded");
    await stop();
    expect(finished).toEqual(ids);
    expect(most).toBeGreaterThan(1);
    await until(() => rig.held(QUEUE).ready.length + rig.held(QUEUE).inflight.length === 0, {
      what: "no message left",
    });
  });

  test("wait for one that fails until it has succeeded, and other groups do not", async () => {
    const ids = await submit(["a", "b"], 3, { maxAttempts: 5 });
    const { finished, done } = follow(ids);
    const bad = ids.get("a")?.[0];
    const other = gate();
    const stop = announceOn();
    rig.start({
      tasks: [
        demo(async (_input, ctx) => {
          if (ctx.taskId === bad && ctx.failures < 3) throw new RetryableError("not yet", { retryAfterMs: 30 });
          if (ctx.taskId === bad) await other.opened;
          done(ctx.taskId);
          if (finished.get("b")?.length === 3) other.open();
        }),
      ],
    });
    await untilAll(rig, "succeeded");
    await stop();
    expect(finished).toEqual(ids);
  });

  test("go on after one that failed for good, which is in the dead-letter queue", async () => {
    const ids = await submit(["a"], 3, { maxAttempts: 1 });
    const { finished, done } = follow(ids);
    const bad = ids.get("a")?.[1];
    const stop = announceOn();
    rig.start({
      tasks: [
        demo(async (_input, ctx) => {
          if (ctx.taskId === bad) throw new Error("no");
          done(ctx.taskId);
        }),
      ],
    });
    await until(async () => (await readTasks(rig.database)).every((row) => row.finished), { deadlineMs: 8_000 });
    await until(() => rig.heldDead(QUEUE).ready.length === 1, { what: "a dead letter" });
    await stop();
    expect(finished.get("a")).toEqual(ids.get("a")?.filter((id) => id !== bad));
  });

  test("keep their order when a worker is told to stop in the middle", async () => {
    const ids = await submit(["a"], 8);
    const { finished, done } = follow(ids);
    const begun = gate();
    const stop = announceOn();
    const first = rig.start({
      tasks: [
        demo(async (_input, ctx) => {
          if (finished.get("a")?.length === 2) {
            begun.open();
            await new Promise((_resolve, reject) => {
              ctx.signal.addEventListener("abort", () => reject(new Error("told to stop")));
            });
          }
          done(ctx.taskId);
        }),
      ],
    });
    await begun.opened;
    await first.drain();
    rig.start({
      tasks: [
        demo((_input, ctx) => {
          done(ctx.taskId);
        }),
      ],
    });
    await untilAll(rig, "succeeded");
    await stop();
    expect(finished).toEqual(ids);
  });
});

test("a message of a busy group stays in flight as long as its task runs, and is gone with it", async () => {
  await submit(["a"], 1);
  const hold = gate();
  const stop = announceOn();
  const worker = rig.start({ settings: { leaseMs: 2_000, extendIntervalMs: 100 }, tasks: [demo(() => hold.opened)] });
  await until(() => worker.running === 1);
  expect(rig.held(QUEUE)).toMatchObject({ ready: [], inflight: [{ receiveCount: 1 }] });
  hold.open();
  await until(() => rig.held(QUEUE).inflight.length === 0);
  await stop();
});

test(`whatever fails, stops, is lost or doubled: 2 workers run ${GROUPS} groups of ${EACH} tasks in order, each once`, async () => {
  const groups = Array.from({ length: GROUPS }, (_, nth) => `group-${nth}`);
  const ids = await submit(groups, EACH, { maxAttempts: 1_000 });
  const { finished, done } = follow(ids);
  const effects = new Map<string, number>();
  const runningIn = new Map<string, number>();
  const groupOf = new Map([...ids].flatMap(([group, all]) => all.map((id) => [id, group])));
  let overlaps = 0;
  const stop = announceOn((queue) => ({
    ...queue,
    async send(messages) {
      const kept = messages.filter(() => Math.random() > 0.03);
      // Another deduplication id: the same one would be taken for a repeated request.
      const again = kept
        .filter(() => Math.random() < 0.1)
        .map((one) => ({ ...one, deduplicationId: `${Math.random()}` }));
      await queue.send([...kept, ...again]);
      return messages.map(() => ({ kind: "sent" }));
    },
  }));
  const task = demo(async (_input, ctx) => {
    const group = groupOf.get(ctx.taskId) ?? "";
    runningIn.set(group, (runningIn.get(group) ?? 0) + 1);
    if ((runningIn.get(group) ?? 0) > 1) overlaps++;
    try {
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 4));
      if (Math.random() < 0.4) throw new RetryableError("again", { retryAfterMs: Math.random() * 20 });
      effects.set(ctx.taskId, (effects.get(ctx.taskId) ?? 0) + 1);
      done(ctx.taskId);
    } finally {
      runningIn.set(group, (runningIn.get(group) ?? 0) - 1);
    }
  });
  const start = () => rig.start({ settings: { slots: 5, drainWorkMs: 200 }, tasks: [task] });
  let workers = [start(), start()];
  for (const share of [0.25, 0.5, 0.75]) {
    await until(() => effects.size >= GROUPS * EACH * share, { deadlineMs: 60_000, what: `${share} of the tasks` });
    const [first, second] = workers;
    await first?.drain();
    workers = [start(), ...(second === undefined ? [] : [second])].reverse();
  }
  await untilAll(rig, "succeeded", 120_000);
  await stop();
  expect(finished).toEqual(ids);
  expect([...effects.values()].every((count) => count === 1)).toBe(true);
  expect(overlaps).toBe(0);
  expect(rig.heldDead(QUEUE).ready).toEqual([]);
}, 300_000);

test("what is no doorbell is poison here too", async () => {
  rig.start({ tasks: [demo(() => null)] });
  await rig.send([{ body: "not a message of ours", groupId: "a", deduplicationId: "poison" }], QUEUE);
  await until(() => rig.heldDead(QUEUE).ready.length === 1, { what: "a dead letter" });
  await until(() => rig.events("message.poison").length === 1);
});

test("a handler that gives up for good frees its group", async () => {
  const ids = await submit(["a"], 2);
  const stop = announceOn();
  const last = ids.get("a")?.[1];
  rig.start({
    tasks: [
      demo((_input, ctx) => {
        if (ctx.taskId !== last) throw new TerminalError("never");
      }),
    ],
  });
  await until(async () => (await readTasks(rig.database)).every((row) => row.finished));
  await stop();
  expect((await readTasks(rig.database)).map((row) => row.state).toSorted()).toEqual(["failed", "succeeded"]);
});
