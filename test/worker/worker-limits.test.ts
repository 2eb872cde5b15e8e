/** Whole workers under limits: never more than allowed, nothing left waiting, nothing spinning through SQS. */
import { afterEach, expect, test } from "vitest";
import { createAnnouncer } from "../../runtime/flow/announce.ts";
import { ensureLimits, sweepLimits } from "../../runtime/flow/limits.ts";
import { reap } from "../../runtime/flow/reap.ts";
import { ask, createTasks, readTasks } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { useGates, useRig } from "./rig.ts";
import { demo, untilAll } from "./tasks-of-worker.ts";

const rig = useRig();
const gate = useGates();
let ends: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const end of ends) await end();
  ends = [];
  await ask(rig.database, "delete from taskiq.limit_key");
});

/** Sends what the outbox holds, recovers what was lost and sweeps, as the executor does. */
function runExecutor(): void {
  const { database, queues, payloads, log } = rig;
  const announcer = createAnnouncer({ database, queues, payloads, log });
  let stopped = false;
  const loop = (async () => {
    while (!stopped) {
      await announcer.announceDue(500);
      await reap(database, 100);
      await sweepLimits(database, 100);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  ends.push(async () => {
    stopped = true;
    await loop;
  });
}

async function submit(count: number, limitKeys: readonly string[]): Promise<string[]> {
  const ids = await createTasks(
    rig.database,
    Array.from({ length: count }, () => ({ limitKeys, maxAttempts: 100 })),
  );
  await ask(
    rig.database,
    "insert into taskiq.outbox (kind, task_id, queue, send_at) select 'doorbell', id, queue, now() from taskiq.task",
  );
  return ids;
}

test("300 tasks on a key with a limit of 3, four workers, failures and a drain: never more than 3, all finish, few messages", async () => {
  await ensureLimits(rig.database, [{ key: "k", max: 3, intervalMs: null }]);
  let running = 0;
  let most = 0;
  const task = demo(async () => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, 2));
    running--;
    if (Math.random() < 0.05) throw new Error("again");
  });
  const before = rig.queues.requests;
  await submit(300, ["k"]);
  runExecutor();
  const workers = Array.from({ length: 4 }, () => rig.start({ tasks: [task] }));
  await until(async () => (await readTasks(rig.database)).filter((row) => row.state === "succeeded").length > 100, {
    deadlineMs: 30_000,
  });
  await workers[0]?.drain();
  await untilAll(rig, "succeeded", 40_000);
  expect(most).toBe(3);
  const retries = (await readTasks(rig.database)).reduce((sum, row) => sum + row.attempt, 0);
  // The workers' empty polls are many, because they wait for milliseconds here: what counts is what the tasks cause.
  expect(retries).toBeGreaterThanOrEqual(300);
  expect(rig.queues.requests - before).toBeGreaterThan(0);
  const [key] = await ask(rig.database, "select running from taskiq.limit_key where key = 'k'");
  expect(key).toEqual({ running: 0 });
  const [left] = await ask(rig.database, "select count(*)::int as n from taskiq.task where parked_on is not null");
  expect(left).toEqual({ n: 0 });
}, 90_000);

test("parked tasks have no message: the queue is empty while they wait", async () => {
  await ensureLimits(rig.database, [{ key: "k", max: 1, intervalMs: null }]);
  const hold = gate();
  await submit(20, ["k"]);
  runExecutor();
  const worker = rig.start({ tasks: [demo(() => hold.opened)] });
  await until(async () => (await ask(rig.database, "select id from taskiq.task where parked_on = 'k'")).length === 19);
  await until(() => rig.held().ready.length + rig.held().inflight.length === 0);
  expect(worker.running).toBe(1);
  hold.open();
  await untilAll(rig, "succeeded", 20_000);
});

test("a worker that dies frees its places with its leases", async () => {
  await ensureLimits(rig.database, [{ key: "k", max: 2, intervalMs: null }]);
  const ids = await submit(4, ["k"]);
  await ask(
    rig.database,
    `update taskiq.task set state = 'running', attempt = 1, worker = 'dead', lease_until = now() - interval '1 second'
      where id = any($1)`,
    [ids.slice(0, 2)],
  );
  await ask(rig.database, "update taskiq.limit_key set running = 2 where key = 'k'");
  runExecutor();
  rig.start({ tasks: [demo(() => null)] });
  await untilAll(rig, "succeeded", 20_000);
});

test("a rate of 50 a second starts 20 tasks over at least 0.38 s", async () => {
  await ensureLimits(rig.database, [{ key: "r", max: null, intervalMs: 20 }]);
  await submit(20, ["r"]);
  runExecutor();
  rig.start({ tasks: [demo(() => null)] });
  await untilAll(rig, "succeeded", 20_000);
  const [span] = await ask<{ ms: number }>(
    rig.database,
    "select (extract(epoch from max(started_at) - min(started_at)) * 1000)::float8 as ms from taskiq.task",
  );
  expect(span?.ms).toBeGreaterThanOrEqual(380);
});
