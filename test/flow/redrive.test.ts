import { afterEach, describe, expect, test } from "vitest";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import { createAnnouncer } from "../../runtime/flow/announce.ts";
import { type RedriveOptions, type RedriveReport, redrive } from "../../runtime/flow/redrive.ts";
import type { TaskState } from "../../runtime/model/task.ts";
import type { Queue } from "../../runtime/queue/queue.ts";
import { encodeDoorbell } from "../../runtime/wire/message.ts";
import { createManualClock } from "../support/manual-clock.ts";
import {
  ask,
  createOutboxRow,
  createTask,
  createTasks,
  readOutbox,
  readTask,
  readTasks,
  SAMPLE_ERROR,
  type TaskColumns,
} from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { type QueueWays, shortWaits, tapQueue, useRig } from "../worker/rig.ts";
import { demo, untilAll } from "../worker/tasks-of-worker.ts";

const FIFO = "ordered";
const rig = useRig({ queues: ["default", { name: FIFO, type: "fifo" }] });
const FAILED: TaskColumns = { state: "failed", attempt: 5, failures: 3, losses: 2 };
const NOTHING = { redriven: 0, rung: 0, deleted: 0, discarded: 0, poison: 0, again: 0, others: 0 };

let ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends) await end();
  ends = [];
});

type Setup = Partial<RedriveOptions> & { ways?: QueueWays; clock?: Clock; hiddenMs?: number; deadLetter?: Queue };

/** As an operator with all rights, as fast as it goes, to the end. */
function go({
  ways,
  clock = systemClock,
  hiddenMs = 60_000,
  deadLetter,
  ...options
}: Setup = {}): Promise<RedriveReport> {
  const queue = options.queue ?? "default";
  const behind = deadLetter ?? rig.queues.deadLetter(queue);
  const parts = {
    database: rig.database,
    deadLetter: ways === undefined ? shortWaits(behind) : tapQueue(behind, ways),
    log: rig.log,
    clock,
    hiddenMs,
    waitMs: 0,
  };
  const usual = {
    tenant: null,
    beginMs: null,
    ratePerSecond: 500,
    limit: null,
    dryRun: false,
    discardPoison: false,
    workMs: 20_000,
  };
  return redrive(parts, { ...usual, ...options, queue });
}

/** Copies of failed tasks go where the executor sends them. */
async function bury(ids: readonly string[], name = "default"): Promise<void> {
  for (const taskId of ids) await createOutboxRow(rig.database, { taskId, kind: "dead_letter", queue: name });
  await announcer().announceDue(1_000);
}

/** Doorbells as SQS moves them after too many receives: as they were. */
async function moveBySqs(ids: readonly string[]): Promise<void> {
  await rig.queues.deadLetter("default").send(ids.map((taskId) => ({ body: doorbell(taskId) })));
}

const doorbell = (taskId: string) => encodeDoorbell({ taskId, taskName: "demo" });
const announcer = () =>
  createAnnouncer({ database: rig.database, queues: rig.queues, payloads: rig.payloads, log: rig.log });
const many = (count: number, columns: TaskColumns) => Array.from({ length: count }, () => columns);
const dead = (name?: string) => {
  const { ready, inflight } = rig.heldDead(name);
  return { ready: ready.length, hidden: inflight.length };
};

describe("a redrive", () => {
  test("queues what failed with new budgets and the old fence, owes its doorbells, and empties the queue", async () => {
    const ids = await createTasks(rig.database, many(23, FAILED));
    await bury(ids);
    expect(dead()).toEqual({ ready: 23, hidden: 0 });
    const report = await go();
    expect(report).toEqual({
      ...NOTHING,
      redriven: 23,
      tasks: [{ task: "demo", reason: "handler_error", count: 23 }],
      beginMs: expect.any(Number),
      done: true,
    });
    for (const row of await readTasks(rig.database)) {
      expect(row).toMatchObject({ state: "queued", attempt: 5, failures: 0, losses: 0, finished: false });
    }
    const owed = await readOutbox(rig.database);
    expect(owed.map(({ kind }) => kind)).toEqual(many(23, {}).map(() => "doorbell"));
    expect(new Set(owed.map(({ task_id }) => task_id))).toEqual(new Set(ids));
    expect(dead()).toEqual({ ready: 0, hidden: 0 });
  });

  test.each<TaskState>(["succeeded", "running", "cancelled", "skipped", "blocked"])(
    "deletes the message of a task that is %s, and nothing else happens",
    async (state) => {
      const id = await createTask(rig.database, { state, attempt: 4 });
      await moveBySqs([id]);
      const before = await readTask(rig.database, id);
      expect(await go()).toEqual({ ...NOTHING, deleted: 1, tasks: [], beginMs: expect.any(Number), done: true });
      expect(timeless(await readTask(rig.database, id))).toEqual(timeless(before));
      expect(await readOutbox(rig.database)).toEqual([]);
      expect(dead()).toEqual({ ready: 0, hidden: 0 });
    },
  );

  test("deletes the message of a task that is gone", async () => {
    await moveBySqs(["0198f3c0-0000-7000-8000-000000000000"]);
    expect(await go()).toMatchObject({ deleted: 1, done: true });
    expect(dead()).toEqual({ ready: 0, hidden: 0 });
  });

  test("rings once more for a queued task whose doorbell SQS gave up, when it is due, and for no task twice", async () => {
    const [lost = "", later = "", owed = "", parked = ""] = await createTasks(rig.database, [
      { announcedMsAgo: 900_000 },
      { dueInMs: 600_000 },
      {},
      { parkedOn: "a key", limitKeys: ["a key"] },
    ]);
    const outboxId = await createOutboxRow(rig.database, { taskId: owed, sendInMs: 0 });
    await moveBySqs([lost, lost, later, owed, parked]);
    expect(await go()).toMatchObject({ ...NOTHING, rung: 3, deleted: 2, done: true });
    const rows = await readOutbox(rig.database);
    expect(rows.map(({ task_id, kind }) => [task_id, kind]).sort()).toEqual(
      [lost, later, owed].map((id) => [id, "doorbell"]).sort(),
    );
    expect(rows.find(({ task_id }) => task_id === owed)?.id).toBe(outboxId);
    const delayed = rows.find(({ task_id }) => task_id === later);
    expect(delayed?.send_in_ms).toBeGreaterThan(500_000);
    expect((await readTask(rig.database, lost)).announced_ms_ago).toBeLessThan(60_000);
  });

  test("leaves poison where it is, for everybody to see, unless it is told to discard it", async () => {
    const foreign = JSON.stringify({ task_id: "abc", task_name: "x", labels: {}, args: [1], kwargs: {} });
    const id = await createTask(rig.database, FAILED);
    const attributes = { reason: "unreadable" };
    await rig.queues.deadLetter("default").send([{ body: "no task", attributes }, { body: foreign }]);
    await bury([id]);
    expect(await go()).toMatchObject({ ...NOTHING, redriven: 1, poison: 2, done: true });
    expect(dead()).toEqual({ ready: 2, hidden: 0 });
    expect(await go({ discardPoison: true })).toEqual({
      ...NOTHING,
      discarded: 2,
      tasks: [
        { task: null, reason: "unreadable", count: 1 },
        { task: null, reason: "received_too_often", count: 1 },
      ],
      beginMs: expect.any(Number),
      done: true,
    });
    expect(dead()).toEqual({ ready: 0, hidden: 0 });
  });

  test("never takes a message for poison whose id has a row", async () => {
    const id = await createTask(rig.database, FAILED);
    const body = JSON.stringify({ task_id: id.replaceAll("-", ""), task_name: "x", labels: {}, args: [1], kwargs: {} });
    await rig.queues.deadLetter("default").send([{ body }]);
    expect(await go({ discardPoison: true })).toMatchObject({ redriven: 1, discarded: 0 });
  });

  test("leaves the tasks of another queue and of another tenant alone, and their messages for others to redrive", async () => {
    const [mine = "", theirs = "", elsewhere = ""] = await createTasks(rig.database, [
      FAILED,
      { ...FAILED, tenant: "theirs" },
      { ...FAILED, queue: "another" },
    ]);
    await moveBySqs([mine, theirs, elsewhere]);
    expect(await go({ tenant: "default" })).toMatchObject({ redriven: 1, others: 2, done: true });
    expect(dead()).toEqual({ ready: 2, hidden: 0 });
    for (const id of [theirs, elsewhere]) expect(await readTask(rig.database, id)).toMatchObject({ state: "failed" });
    expect(await go({ tenant: null })).toMatchObject({ redriven: 1, others: 1 });
    expect(await readTask(rig.database, theirs)).toMatchObject({ state: "queued" });
  });

  test("stops at its limit and leaves the rest visible", async () => {
    await bury(await createTasks(rig.database, many(12, FAILED)));
    expect(await go({ limit: 5 })).toMatchObject({ redriven: 5, done: false });
    expect(dead()).toEqual({ ready: 7, hidden: 0 });
    expect(await readOutbox(rig.database)).toHaveLength(5);
  });

  test("writes down who asked for it once, with the first change, and not when nothing changes", async () => {
    const recorded: number[] = [];
    const record = async () => void recorded.push(1);
    await moveBySqs(["0198f3c0-0000-7000-8000-000000000000"]);
    await go({ record });
    expect(recorded).toEqual([]);
    await bury(await createTasks(rig.database, many(25, FAILED)));
    await go({ record, ratePerSecond: 50 });
    expect(recorded).toEqual([1]);
  });

  test("changes nothing where what is to be written down cannot be", async () => {
    const id = await createTask(rig.database, FAILED);
    await bury([id]);
    const refuse = () => Promise.reject(new Error("no audit"));
    await expect(go({ record: refuse })).rejects.toThrow("no audit");
    expect(await readTask(rig.database, id)).toMatchObject({ state: "failed", failures: 3 });
    expect(dead()).toEqual({ ready: 1, hidden: 0 });
  });
});

test("a dry run counts the same and changes nothing", async () => {
  const rows = [...many(12, FAILED), { ...FAILED, name: "other", error: { ...SAMPLE_ERROR, code: "timeout" } }];
  const ids = await createTasks(rig.database, [...rows, {}, { state: "succeeded" }]);
  await bury(ids.slice(0, 13));
  await moveBySqs(ids.slice(13));
  await rig.queues.deadLetter("default").send([{ body: "no task", attributes: { reason: "unreadable" } }]);
  const before = (await readTasks(rig.database)).map(timeless);
  const foreseen = await go({ dryRun: true, discardPoison: true });
  expect((await readTasks(rig.database)).map(timeless)).toEqual(before);
  expect(await readOutbox(rig.database)).toEqual([]);
  expect(dead()).toEqual({ ready: 16, hidden: 0 });
  expect(foreseen).toEqual({
    ...NOTHING,
    redriven: 13,
    rung: 1,
    deleted: 1,
    discarded: 1,
    tasks: [
      { task: "demo", reason: "handler_error", count: 12 },
      { task: "other", reason: "timeout", count: 1 },
      { task: "demo", reason: "received_too_often", count: 1 },
      { task: null, reason: "unreadable", count: 1 },
    ],
    beginMs: expect.any(Number),
    done: true,
  });
  const { tasks, beginMs: _now, ...counts } = await go({ discardPoison: true });
  expect(counts).toEqual((({ tasks: _tasks, beginMs: _then, ...rest }) => rest)(foreseen));
  expect(sorted(tasks)).toEqual(sorted(foreseen.tasks));
});

describe("a redrive that is killed", () => {
  const HIDDEN_MS = 1_000;
  const never = () => new Promise<never>(() => {});

  test("before its transaction has changed nothing, and the next one does the work", async () => {
    const id = await createTask(rig.database, FAILED);
    await bury([id]);
    await rig.queues.deadLetter("default").receive({ max: 10, waitMs: 0, visibilityMs: HIDDEN_MS });
    expect(await readTask(rig.database, id)).toMatchObject({ state: "failed" });
    await until(async () => (await go()).redriven === 1);
  });

  test.each<[string, (id: string) => Promise<void>, object]>([
    ["is queued", async () => {}, { state: "queued", attempt: 5 }],
    [
      "runs by now",
      async (id) => {
        await ask(
          rig.database,
          "update taskiq.task set state = 'running', attempt = attempt + 1, worker = 'w', lease_until = now() + interval '1 minute' where id = $1",
          [id],
        );
        await ask(rig.database, "delete from taskiq.outbox");
      },
      { state: "running", attempt: 6 },
    ],
    [
      "was cancelled meanwhile",
      async (id) => {
        await ask(rig.database, "update taskiq.task set state = 'cancelled', finished_at = now() where id = $1", [id]);
        await ask(rig.database, "delete from taskiq.outbox");
      },
      { state: "cancelled", attempt: 5 },
    ],
  ])(
    "between transaction and delete leaves a message that changes nothing: its task %s",
    async (_what, move, expected) => {
      const id = await createTask(rig.database, FAILED);
      await bury([id]);
      let reached = false;
      const remove = () => {
        reached = true;
        return never();
      };
      void go({ hiddenMs: HIDDEN_MS, ways: { remove } });
      await until(() => reached);
      expect(await readTask(rig.database, id)).toMatchObject({ state: "queued", failures: 0 });
      await move(id);
      const owed = await readOutbox(rig.database);
      const again = await until(async () => {
        const report = await go();
        return report.rung + report.deleted > 0 ? report : undefined;
      });
      expect(again).toMatchObject({ redriven: 0 });
      expect(await readTask(rig.database, id)).toMatchObject(expected);
      expect(await readOutbox(rig.database)).toEqual(owed.map((row) => ({ ...row, send_in_ms: expect.any(Number) })));
      expect(dead()).toEqual({ ready: 0, hidden: 0 });
    },
  );

  test("by a broken connection gives back what it holds", async () => {
    const id = await createTask(rig.database, FAILED);
    await bury([id]);
    const parts = { deadLetter: shortWaits(rig.queues.deadLetter("default")), log: rig.log, clock: systemClock };
    const broken = { query: rig.database.query, transaction: () => Promise.reject(new Error("away")) };
    const options = {
      queue: "default",
      tenant: null,
      beginMs: 4_000_000_000_000,
      ratePerSecond: 50,
      limit: null,
      dryRun: false,
    };
    await expect(
      redrive({ ...parts, database: broken }, { ...options, discardPoison: false, workMs: 1_000 }),
    ).rejects.toThrow("away");
    expect(dead()).toEqual({ ready: 1, hidden: 0 });
  });
});

describe("the rate", () => {
  test("bounds what goes back to work at any time, by the clock and not by how fast it goes", async () => {
    const clock = createManualClock();
    await bury(await createTasks(rig.database, many(35, FAILED)));
    const working = go({ clock, ratePerSecond: 50 });
    const owed = async () => (await readOutbox(rig.database)).length;
    for (const [nth, count] of [10, 20, 30, 35].entries()) {
      await until(() => clock.waits.length === 1);
      expect(await owed(), `after ${nth * 200} ms`).toBe(count);
      await clock.advance(nth === 3 ? 100 : 199);
      if (nth === 3) break;
      // A millisecond too early.
      expect(clock.waits).toHaveLength(1);
      expect(await owed()).toBe(count);
      await clock.advance(1);
    }
    expect(await working).toMatchObject({ redriven: 35, done: true });
    expect(clock.nowMs()).toBe(700);
  });

  test("holds over requests that follow each other: each is answered when the time of its last task is over", async () => {
    const clock = createManualClock();
    await bury(await createTasks(rig.database, many(2, FAILED)));
    let answers = 0;
    const twice = (async () => {
      for (; answers < 2; answers++) await go({ clock, ratePerSecond: 1, limit: 1 });
    })();
    for (const round of [0, 1]) {
      await until(() => clock.waits.length === 1);
      expect(answers).toBe(round);
      await clock.advance(1_000);
    }
    await twice;
    expect(clock.nowMs()).toBe(2_000);
  });

  test("does not slow down the way past messages that are left there", async () => {
    const clock = createManualClock();
    await rig.queues.deadLetter("default").send(many(30, {}).map(() => ({ body: "no task" })));
    expect(await go({ clock, ratePerSecond: 1 })).toMatchObject({ poison: 30, done: true });
    expect(clock.nowMs()).toBe(0);
  });
});

test("poison in front keeps no task from being reached, however short the requests are", async () => {
  await rig.queues.deadLetter("default").send(many(40, {}).map(() => ({ body: "no task" })));
  await bury(await createTasks(rig.database, many(20, FAILED)));
  let nowMs = 0;
  // Every look takes half of what a request has.
  const hasty: Clock = { ...systemClock, nowMs: () => (nowMs += 500), after: async () => {} };
  const total = { ...NOTHING };
  let requests = 0;
  for (let done = false; !done; requests++) {
    const report = await go({ clock: hasty, workMs: 3_000, ratePerSecond: 50 });
    done = report.done;
    for (const key of ["redriven", "poison"] as const) total[key] += report[key];
  }
  expect(requests).toBeGreaterThan(3);
  expect(total).toEqual({ ...NOTHING, redriven: 20, poison: 40 });
});

test("a task that fails again is not redriven round and round: it waits for the next redrive", async () => {
  rig.start({ tasks: [demo(() => Promise.reject(new Error("still no route")))] });
  const ids = await createTasks(rig.database, many(20, { ...FAILED, maxAttempts: 1 }));
  await bury(ids);
  const announce = announcer();
  const attempts = async () => (await readTasks(rig.database)).map(({ attempt, state }) => [attempt, state]);
  const first = await go();
  expect(first).toMatchObject({ redriven: 20, done: true });
  const failedOnceMore = many(20, {}).map(() => [6, "failed"]);
  await until(async () => {
    await announce.announceDue(100);
    return dead().ready === 20;
  });
  expect(await attempts()).toEqual(failedOnceMore);
  // As a client goes on that asks until nothing comes.
  expect(await go({ beginMs: first.beginMs })).toMatchObject({ ...NOTHING, again: 20, done: true });
  expect(await attempts()).toEqual(failedOnceMore);
  expect(dead()).toEqual({ ready: 20, hidden: 0 });
  expect(await go()).toMatchObject({ redriven: 20, again: 0 });
});

test("two redrives at once share the work, and each task goes back once", async () => {
  await bury(await createTasks(rig.database, many(60, FAILED)));
  const reports = await Promise.all([go(), go()]);
  expect(reports[0].redriven + reports[1].redriven).toBe(60);
  expect(await readOutbox(rig.database)).toHaveLength(60);
  expect(dead()).toEqual({ ready: 0, hidden: 0 });
});

test("tasks of a FIFO queue come back in the order of their group, also behind poison", async () => {
  const groups = ["a", "b"];
  const rows = many(12, { ...FAILED, queue: FIFO }).map((row, nth) => ({ ...row, groupKey: groups[nth % 2] ?? "" }));
  const ids = await createTasks(rig.database, rows);
  await rig.send([{ body: "no task", groupId: "a", deduplicationId: "poison" }], FIFO);
  const ran: string[] = [];
  rig.start({ queueNames: [FIFO], tasks: [demo((_input, ctx) => void ran.push(ctx.taskId))] });
  await until(() => dead(FIFO).ready === 1, { what: "the worker to bury the poison" });
  await bury(ids, FIFO);
  expect(await go({ queue: FIFO })).toMatchObject({ redriven: 12, poison: 1, done: true });
  const announce = announcer();
  await until(async () => (await announce.announceDue(100)) === 0);
  await untilAll(rig, "succeeded");
  for (const group of [0, 1]) {
    const mine = ids.filter((_, nth) => nth % 2 === group);
    expect(ran.filter((id) => mine.includes(id))).toEqual(mine);
  }
  expect(ran).toHaveLength(12);
});

test("racing workers, each task fails as often as it has to and succeeds once", async () => {
  const running = new Set<string>();
  const starts = new Map<string, number>();
  const overlaps: string[] = [];
  rig.start({
    tasks: [
      demo(async (_input, ctx) => {
        if (running.has(ctx.taskId)) overlaps.push(ctx.taskId);
        running.add(ctx.taskId);
        starts.set(ctx.taskId, (starts.get(ctx.taskId) ?? 0) + 1);
        await systemClock.after(2);
        running.delete(ctx.taskId);
        if (ctx.attempt < 4) throw new Error("not yet");
      }),
    ],
  });
  const ids = await createTasks(rig.database, many(100, { maxAttempts: 1 }));
  await rig.ring(ids);
  let stopped = false;
  const loop = async (step: () => Promise<unknown>) => {
    while (!stopped) {
      await step();
      await systemClock.after(5);
    }
  };
  const announce = announcer();
  const loops = [loop(() => announce.announceDue(500)), loop(() => go()), loop(() => go())];
  ends.push(async () => {
    stopped = true;
    await Promise.all(loops);
  });
  await untilAll(rig, "succeeded", 20_000);
  expect(overlaps).toEqual([]);
  expect([...starts.values()]).toEqual(ids.map(() => 4));
  for (const row of await readTasks(rig.database)) expect(row.attempt).toBe(4);
});

/** Times that go on by themselves. */
function timeless(row: object): object {
  return Object.fromEntries(Object.entries(row).filter(([name]) => !/_ms(_ago)?$/.test(name)));
}

function sorted(tasks: RedriveReport["tasks"]): string[] {
  return tasks.map((entry) => JSON.stringify(entry)).sort();
}
