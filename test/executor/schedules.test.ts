import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { systemClock } from "../../runtime/clock.ts";
import { chainMiddlewares, type Middleware } from "../../runtime/define/middleware.ts";
import { type AnyTask, createRegistry } from "../../runtime/define/registry.ts";
import { defineTask } from "../../runtime/define/task.ts";
import type { ExecutorLoop } from "../../runtime/executor/loop.ts";
import { runLoop } from "../../runtime/executor/loop.ts";
import { createSchedules } from "../../runtime/executor/schedules.ts";
import { type Announcer, createAnnouncer } from "../../runtime/flow/announce.ts";
import { cancel } from "../../runtime/flow/cancel.ts";
import { firingId } from "../../runtime/flow/schedule-fire.ts";
import { createSubmitter, type Submitter } from "../../runtime/flow/submit.ts";
import type { SubmitObserver } from "../../runtime/flow/submit-observer.ts";
import { openLog } from "../../runtime/log.ts";
import type { PayloadStore } from "../../runtime/payload/payload.ts";
import { openPayloadStore, type S3PayloadStore } from "../../runtime/payload/s3.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { openQueues, type SqsQueues } from "../../runtime/queue/sqs.ts";
import { startTestAws, type TestAws } from "../support/aws.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { createSchedules as createRows, createSchedule, readSchedule } from "../support/schedules.ts";
import { ask, clearTasks, createTask, readOutbox, readTask, readTasks } from "../support/tasks.ts";
import { until } from "../support/until.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const INLINE_BYTES = 1_000;

const demo = defineTask({ name: "demo", input: z.unknown(), priority: 3, run: () => null });
const strict = defineTask({ name: "strict", input: z.object({ n: z.int() }), run: () => null });

let testDatabase: TestDatabase;
let database: Database;
let aws: TestAws;
let queues: SqsQueues;
let payloads: S3PayloadStore;
let announcer: Announcer;
let lines: Record<string, unknown>[] = [];
let pools: Database[] = [];
const log = openLog({ level: "info", format: "json", service: "t", write: (line) => lines.push(JSON.parse(line)) });

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = open();
  pools = [];
  aws = await startTestAws({ queues: ["default", { name: "ordered", type: "fifo" }] });
  const { endpoint, region, credentials, bucket } = aws;
  const members = (["standard", "fifo"] as const).map((type) => {
    const name = type === "fifo" ? "ordered" : "default";
    return { name, url: aws.queueUrl(name), deadLetterUrl: aws.deadLetterUrl(name), options: { type } };
  });
  queues = openQueues({ endpoint, region, credentials, queues: members });
  payloads = openPayloadStore({ endpoint, region, credentials, bucket, maxBytes: 1_000_000 });
  announcer = createAnnouncer({ database, queues, payloads, log });
});

beforeEach(async () => {
  await clearTasks(database);
  lines = [];
});

afterEach(async () => {
  vi.useRealTimers();
  await announcer.idle();
  for (const pool of pools.splice(0)) await pool.close();
});

afterAll(async () => {
  payloads.close();
  queues.close();
  await aws.stop();
  await database.close();
  await testDatabase.drop();
});

function open(): Database {
  const pool = openDatabase({ connectionString: testDatabase.url, max: 5, applicationName: "schedules test" });
  pools.push(pool);
  return pool;
}

type Options = {
  readonly on?: Database;
  readonly tasks?: readonly AnyTask[];
  readonly patienceMs?: number;
  readonly clock?: typeof systemClock;
  readonly store?: PayloadStore;
  readonly middleware?: Middleware;
  readonly ringing?: Pick<Announcer, "ring">;
  readonly observer?: SubmitObserver;
};

/** One executor's loop. */
function loopOf(options: Options = {}): ExecutorLoop {
  const {
    on = database,
    tasks = [demo, strict],
    clock = systemClock,
    store = payloads,
    middleware,
    patienceMs,
  } = options;
  const middlewares = chainMiddlewares(middleware === undefined ? [] : [middleware], log);
  const submitter: Submitter = createSubmitter({
    database: on,
    payloads: store,
    announcer,
    registry: createRegistry(tasks),
    middlewares,
    queues,
    inlinePayloadBytes: INLINE_BYTES,
    maxPayloadBytes: 1_000_000,
    idempotencyTtlMs: 1_000,
    groupCommitMs: 0,
  });
  return createSchedules({
    database: on,
    submitter,
    announcer: options.ringing ?? announcer,
    middlewares,
    log,
    clock,
    ...(patienceMs !== undefined && { patienceMs }),
    ...(options.observer !== undefined && { observer: options.observer }),
  });
}

const events = (name: string) => lines.filter(({ event }) => event === name);

describe("a schedule that is due", () => {
  test("becomes one task, which is rung at once, and moves on", async () => {
    const id = await createSchedule(database, {
      name: "nightly",
      input: '{"a":[1.5,"😀"]}',
      labels: '{"team":"x"}',
      intervalMs: HOUR,
    });
    const { next_at: due } = await readSchedule(database, id);
    expect(await loopOf().step()).toBe(false);
    const [task, ...others] = await readTasks(database);
    expect(others).toEqual([]);
    expect(task).toMatchObject({
      id: firingId(id, +due),
      name: "demo",
      state: "queued",
      priority: 3,
      queue: "default",
    });
    expect(task?.input).toBe('{"a":[1.5,"😀"]}');
    expect(JSON.parse(task?.labels ?? "")).toEqual({
      team: "x",
      taskiq_aws_schedule: "nightly",
      taskiq_aws_fire_time: due.toISOString(),
    });
    const after = await readSchedule(database, id);
    expect(+after.next_at - +due).toBe(HOUR);
    expect(after).toMatchObject({ last_fired_for: due, last_task_id: task?.id, fired: 1, overlapped: 0 });
    await announcer.idle();
    expect(await readOutbox(database)).toEqual([]);
    expect(aws.inspectQueue("taskiq-default").ready.map(({ body }) => JSON.parse(body).task_id)).toEqual([
      task?.id.replaceAll("-", ""),
    ]);
  });

  test("is counted once, whoever tries to fire it", async () => {
    const told: string[] = [];
    const observer = { enqueued: (queue: string, task: string) => told.push(`${queue} ${task}`), inputStored() {} };
    await createSchedule(database);
    const loops = Array.from({ length: 3 }, () => loopOf({ observer }));
    await Promise.all(loops.map((loop) => loop.step()));
    expect(told).toEqual(["default demo"]);
  });

  test("is fired no more before its next time", async () => {
    await createSchedule(database);
    const loop = loopOf();
    for (let again = 0; again < 3; again++) await loop.step();
    expect(await readTasks(database)).toHaveLength(1);
  });

  test.each([
    ["not yet due", { nextInMs: 5_000 }],
    ["far ahead", { nextInMs: 50 * 365 * 24 * HOUR }],
    ["paused", { isPaused: true }],
    ["disabled", { isDisabled: true }],
  ])("is not one that is %s", async (_name, columns) => {
    const id = await createSchedule(database, columns);
    const before = await readSchedule(database, id);
    await loopOf().step();
    expect(await readTasks(database)).toEqual([]);
    expect((await readSchedule(database, id)).next_at).toEqual(before.next_at);
  });

  test("by cron comes again at its time in its zone", async () => {
    const id = await createSchedule(database, { cron: "30 2 * * *", timeZone: "Europe/Berlin" });
    await loopOf().step();
    const { next_at } = await readSchedule(database, id);
    const parts = new Intl.DateTimeFormat("en-GB", { timeZone: "Europe/Berlin", timeStyle: "short" }).format(next_at);
    expect(parts).toBe("02:30");
    expect(+next_at).toBeGreaterThan(systemClock.wallMs());
  });

  test("does not make a task that is there already", async () => {
    const id = await createSchedule(database);
    const { next_at: due } = await readSchedule(database, id);
    await createTask(database, { id: firingId(id, +due), state: "succeeded" });
    await loopOf().step();
    expect((await readTasks(database)).map(({ state }) => state)).toEqual(["succeeded"]);
    expect(await readSchedule(database, id)).toMatchObject({ fired: 1 });
  });

  test("is fired by the database's clock, however far ahead that of the process is", async () => {
    const id = await createSchedule(database, { nextInMs: HOUR });
    vi.useFakeTimers({ toFake: ["Date"], now: systemClock.wallMs() + 365 * 24 * HOUR });
    await loopOf().step();
    expect(await readTasks(database)).toEqual([]);
    await ask(database, "update taskiq.schedule set next_at = date_trunc('milliseconds', now())");
    await loopOf().step();
    vi.useRealTimers();
    expect(await readTasks(database)).toHaveLength(1);
    expect((await readSchedule(database, id)).next_in_ms).toBeLessThan(3 * HOUR);
  });

  test("has its large input stored before its task is there", async () => {
    await createSchedule(database, { input: JSON.stringify("x".repeat(INLINE_BYTES)) });
    await loopOf().step();
    const [task] = await readTasks(database);
    expect(task).toMatchObject({ input: null, input_ref: expect.stringContaining(task?.id ?? "?") });
    expect(await payloads.get(task?.input_ref ?? "")).toBe(JSON.stringify("x".repeat(INLINE_BYTES)));
  });

  test("goes through the hooks of a submission", async () => {
    await createSchedule(database);
    const sent: string[] = [];
    const middleware: Middleware = {
      name: "tracing",
      preSend: (task) => {
        task.traceContext = "00-abc";
      },
      postSend: (task) => void sent.push(task.id),
    };
    await loopOf({ middleware }).step();
    const [task] = await readTasks(database);
    expect(task?.trace_context).toBe("00-abc");
    expect(sent).toEqual([task?.id]);
  });

  test("is fired all the same when the process dies right after the commit: the outbox rings", async () => {
    await createSchedule(database);
    await loopOf({ ringing: { ring: () => {} } }).step();
    const [task] = await readTasks(database);
    expect(await readOutbox(database)).toMatchObject([{ kind: "doorbell", task_id: task?.id }]);
    const [{ send_in_ms: inMs = 0 } = {}] = await readOutbox(database);
    expect(inMs).toBeLessThanOrEqual(5_000);
  });

  test("is fired by nobody when the process dies before the commit, and then by the next", async () => {
    const id = await createSchedule(database);
    const { next_at: due } = await readSchedule(database, id);
    const broken: Database = {
      ...database,
      transaction: (work) =>
        database.transaction(async (tx) => {
          await work(tx);
          throw new Error("killed");
        }),
    };
    await expect(loopOf({ on: broken }).step()).rejects.toThrow("killed");
    expect(await readTasks(database)).toEqual([]);
    expect(await readSchedule(database, id)).toMatchObject({ next_at: due, fired: 0 });
    await loopOf().step();
    expect((await readTasks(database)).map((task) => task.id)).toEqual([firingId(id, +due)]);
  });
});

describe("several executors", () => {
  test("fire a thousand schedules that are due at once, each once", async () => {
    await createRows(
      database,
      Array.from({ length: 1_000 }, () => ({ intervalMs: HOUR })),
    );
    const loops = Array.from({ length: 4 }, () => loopOf({ on: open() }));
    await Promise.all(
      loops.map(async (loop) => {
        while (await loop.step());
      }),
    );
    await until(async () => {
      await loops[0]?.step();
      return (await readTasks(database)).length >= 1_000;
    });
    const rows = await ask(
      database,
      "select count(*)::int as schedules, sum(fired)::int as fired, count(distinct last_task_id)::int as tasks from taskiq.schedule",
    );
    expect(rows).toEqual([{ schedules: 1_000, fired: 1_000, tasks: 1_000 }]);
    expect(await readTasks(database)).toHaveLength(1_000);
  }, 60_000);

  test("fire each second of ten schedules once, while one of them is stopped and another starts", async () => {
    const ids = await createRows(
      database,
      Array.from({ length: 10 }, () => ({ intervalMs: 1_000 })),
    );
    const started = new Map(
      await Promise.all(ids.map(async (id) => [id, +(await readSchedule(database, id)).next_at] as const)),
    );
    const runs: { stop: AbortController; done: Promise<void> }[] = [];
    const start = () => {
      const stop = new AbortController();
      const loop = { ...loopOf({ on: open() }), intervalMs: 50 };
      runs.push({ stop, done: runLoop({ ...loop, log, clock: systemClock, stopping: stop.signal }) });
    };
    for (let count = 0; count < 4; count++) start();
    const fired = async (times: number) => {
      const rows = await ask(database, "select min(fired)::int as least from taskiq.schedule");
      return Number(rows[0]?.least) >= times;
    };
    await until(() => fired(2));
    runs[0]?.stop.abort();
    start();
    await until(() => fired(5));
    for (const { stop } of runs) stop.abort();
    await Promise.all(runs.map(({ done }) => done));
    expect(events("loop.failed")).toEqual([]);

    const tasks = await readTasks(database);
    const expected: string[] = [];
    for (const [id, firstMs] of started) {
      const { next_at, fired: count } = await readSchedule(database, id);
      const times = (+next_at - firstMs) / 1_000;
      expect(count).toBe(times);
      for (let index = 0; index < times; index++) expected.push(firingId(id, firstMs + index * 1_000));
    }
    expect(tasks.map(({ id }) => id).sort()).toEqual(expected.sort());
    // About a second, and this machine is busy.
    const late = await ask(
      database,
      "select max(extract(epoch from created_at - (labels->>'taskiq_aws_fire_time')::timestamptz))::float8 as seconds from taskiq.task",
    );
    expect(Number(late[0]?.seconds)).toBeLessThan(3);
  }, 60_000);

  test("do not wait for one that holds a schedule, and fire the others", async () => {
    const [held, free] = await createRows(database, [{}, {}]);
    await database.transaction(async (tx) => {
      await tx.raw.query("select from taskiq.schedule where id = $1 for update", [held]);
      await loopOf({ on: open() }).step();
    });
    expect(await readSchedule(database, held ?? "")).toMatchObject({ fired: 0 });
    expect(await readSchedule(database, free ?? "")).toMatchObject({ fired: 1 });
  });

  test.each([
    ["paused", "update taskiq.schedule set paused_at = now()"],
    ["deleted", "delete from taskiq.schedule"],
    ["moved on", "update taskiq.schedule set next_at = next_at + interval '1 hour'"],
  ])("write nothing for a schedule that was %s between the look and the firing", async (_name, change) => {
    await createSchedule(database);
    const on: Database = {
      ...database,
      async transaction(work) {
        await ask(database, change);
        return await database.transaction(work);
      },
    };
    await loopOf({ on }).step();
    expect(await readTasks(database)).toEqual([]);
  });
});

describe("after an outage", () => {
  // Due ten minutes and a half ago for the first time: eleven times have come, the last one half a minute ago.
  const missed = { intervalMs: MINUTE, nextInMs: -10.5 * MINUTE };
  const ages = async () => {
    const rows = await ask<{ minutes: number }>(
      database,
      `select round(extract(epoch from now() - (labels->>'taskiq_aws_fire_time')::timestamptz) / 60, 1)::float8 as minutes
         from taskiq.task order by 1`,
    );
    return rows.map(({ minutes }) => minutes);
  };

  test.each([
    ["skip", 1],
    ["one", 1],
    ["all", 11],
  ])("catch-up %s makes %i of eleven tasks", async (catchUp, count) => {
    const id = await createSchedule(database, { ...missed, catchUp });
    await loopOf().step();
    expect(await ages()).toEqual(Array.from({ length: count }, (_, index) => index + 0.5));
    const row = await readSchedule(database, id);
    expect(row.fired).toBe(count);
    expect(row.next_in_ms).toBeGreaterThan(0);
    expect(row.next_in_ms).toBeLessThan(MINUTE);
    expect(events("schedule.missed")).toHaveLength(catchUp === "all" ? 0 : 1);
  });

  test("catch-up skip makes none where none is on time, and moves on", async () => {
    const id = await createSchedule(database, { intervalMs: HOUR, nextInMs: -10 * MINUTE, catchUp: "skip" });
    await loopOf().step();
    expect(await readTasks(database)).toEqual([]);
    expect(await readSchedule(database, id)).toMatchObject({ fired: 0, last_task_id: null });
    expect((await readSchedule(database, id)).next_in_ms).toBeGreaterThan(49 * MINUTE);
    expect(events("schedule.missed")).toMatchObject([{ scheduleId: id }]);
  });

  test("catch-up all is bounded, also for years of seconds", async () => {
    const id = await createSchedule(database, {
      intervalMs: 1_000,
      nextInMs: -3 * 365 * 24 * HOUR,
      catchUp: "all",
      catchUpLimit: 50,
    });
    await loopOf().step();
    expect(await readSchedule(database, id)).toMatchObject({ fired: 50 });
    expect((await ages())[0]).toBe(0);
  });

  test("the tasks of missed times take their places in a FIFO group in the order of the times", async () => {
    await createSchedule(database, { ...missed, catchUp: "all", queue: "ordered", orderingKey: "ledger" });
    await loopOf().step();
    const rows = await ask(
      database,
      `select count(*)::int as count, count(distinct group_key)::int as groups,
              array_agg(id order by ordered_at, id) = array_agg(id order by labels->>'taskiq_aws_fire_time') as in_order
         from taskiq.task where ordered_at is not null`,
    );
    expect(rows).toEqual([{ count: 11, groups: 1, in_order: true }]);
  });
});

describe("overlap skip", () => {
  const columns = { overlap: "skip", intervalMs: HOUR } as const;

  test.each(["queued", "running", "blocked"] as const)("leaves a time out while the last task is %s", async (state) => {
    const lastTaskId = await createTask(database, { state });
    const id = await createSchedule(database, { ...columns, lastTaskId });
    await loopOf().step();
    expect(await readTasks(database)).toHaveLength(1);
    const row = await readSchedule(database, id);
    expect(row).toMatchObject({ fired: 0, overlapped: 1, last_task_id: lastTaskId });
    expect(row.next_in_ms).toBeGreaterThan(0);
  });

  test.each(["succeeded", "failed", "cancelled", "skipped"] as const)(
    "fires when the last task is %s",
    async (state) => {
      const lastTaskId = await createTask(database, { state });
      const id = await createSchedule(database, { ...columns, lastTaskId });
      await loopOf().step();
      expect(await readSchedule(database, id)).toMatchObject({ fired: 1, overlapped: 0 });
    },
  );

  test("fires when the last task has been deleted since", async () => {
    const id = await createSchedule(database, { ...columns, lastTaskId: randomUUID() });
    await loopOf().step();
    expect(await readSchedule(database, id)).toMatchObject({ fired: 1 });
  });

  test("makes one task of many missed times", async () => {
    await createSchedule(database, { overlap: "skip", intervalMs: MINUTE, nextInMs: -HOUR, catchUp: "all" });
    await loopOf().step();
    expect(await readTasks(database)).toHaveLength(1);
  });

  test("is not what allow does", async () => {
    const lastTaskId = await createTask(database, { state: "running" });
    await createSchedule(database, { overlap: "allow", lastTaskId });
    await loopOf().step();
    expect(await readTasks(database)).toHaveLength(2);
  });
});

describe("a schedule whose task cannot be made", () => {
  test.each([
    ["its task is unknown", { task: "gone" }, "unknown_task"],
    ["its input does not fit", { task: "strict", input: '{"n":"one"}' }, "input_invalid"],
    ["its queue is gone", { queue: "gone" }, "unknown_queue"],
  ])("is tried again for a while when %s, then disabled with the reason", async (_name, columns, code) => {
    const id = await createSchedule(database, { ...columns, intervalMs: HOUR });
    await loopOf().step();
    expect(await readSchedule(database, id)).toMatchObject({ disabled: false, problem: { code }, fired: 0 });
    expect(events("schedule.refused")).toMatchObject([{ scheduleId: id, code }]);

    await ask(database, "update taskiq.schedule set next_at = next_at - interval '61 minutes'");
    await loopOf().step();
    expect(await readSchedule(database, id)).toMatchObject({
      disabled: true,
      problem: { code, message: expect.stringContaining("expected") },
    });
    expect(events("schedule.disabled")).toMatchObject([{ scheduleId: id, code }]);

    lines = [];
    await loopOf().step();
    expect(lines).toEqual([]);
    expect(await readTasks(database)).toEqual([]);
  });

  test("is fired by another process that knows it, which forgets the problem", async () => {
    const id = await createSchedule(database, { task: "newer" });
    await loopOf().step();
    expect(await readSchedule(database, id)).toMatchObject({ problem: { code: "unknown_task" } });
    const newer = defineTask({ name: "newer", input: z.unknown(), run: () => null });
    await loopOf({ tasks: [newer] }).step();
    expect(await readSchedule(database, id)).toMatchObject({ problem: null, fired: 1 });
  });

  test("holds up no other, however many there are", async () => {
    await createRows(
      database,
      Array.from({ length: 250 }, () => ({ task: "gone", nextInMs: -1_000 })),
    );
    const good = await createSchedule(database);
    const loop = loopOf();
    while (await loop.step());
    expect(await readSchedule(database, good)).toMatchObject({ fired: 1 });
    expect(events("schedule.refused")).toHaveLength(250);
  });

  test("is left alone by this process for ten seconds", async () => {
    const clock = createManualClock();
    await createSchedule(database, { task: "gone" });
    const loop = loopOf({ clock });
    await loop.step();
    await loop.step();
    expect(events("schedule.refused")).toHaveLength(1);
    await clock.advance(10_000);
    await loop.step();
    expect(events("schedule.refused")).toHaveLength(2);
  });

  test("breaks no other in the same transaction, when it is a value that the database refuses", async () => {
    const [bad, good] = await createRows(database, [{ name: "bad" }, { name: "good" }]);
    const middleware: Middleware = {
      name: "breaking",
      preSend: (task) => {
        if (task.labels.taskiq_aws_schedule === "bad") task.traceContext = "\u0000";
      },
    };
    await loopOf({ middleware }).step();
    expect(await readSchedule(database, good ?? "")).toMatchObject({ fired: 1 });
    expect(await readSchedule(database, bad ?? "")).toMatchObject({
      fired: 0,
      problem: { code: "input_not_storable" },
    });
  });

  test("because S3 is away is no fault of its own, and holds up no other", async () => {
    const [large, small] = await createRows(database, [{ input: JSON.stringify("x".repeat(INLINE_BYTES)) }, {}]);
    const store: PayloadStore = { ...payloads, put: () => Promise.reject(new Error("no route to S3")) };
    await loopOf({ store, patienceMs: 0 }).step();
    expect(await readSchedule(database, small ?? "")).toMatchObject({ fired: 1 });
    expect(await readSchedule(database, large ?? "")).toMatchObject({ fired: 0, disabled: false, problem: null });
    expect(events("schedule.failed")).toMatchObject([{ scheduleId: large }]);
    await loopOf().step();
    expect(await readSchedule(database, large ?? "")).toMatchObject({ fired: 1 });
  });
});

test("a task made by a schedule can be cancelled like any other", async () => {
  await createSchedule(database);
  await loopOf().step();
  const [task] = await readTasks(database);
  await cancel(database, [task?.id ?? ""], { tenant: "default", reason: null });
  expect(await readTask(database, task?.id ?? "")).toMatchObject({ state: "cancelled" });
});

test("what is due is found by its index, among many that are not", async () => {
  await createRows(
    database,
    Array.from({ length: 2_000 }, () => ({ nextInMs: HOUR })),
  );
  const plan = await database.transaction(async (tx) => {
    await tx.raw.query("analyze taskiq.schedule");
    const { rows } = await tx.raw.query(
      "explain select id from taskiq.schedule where paused_at is null and disabled_at is null and next_at <= now() order by next_at, id limit 100",
    );
    return JSON.stringify(rows);
  });
  expect(plan).toContain("schedule_due");
  expect(plan).not.toContain("Sort");
});
