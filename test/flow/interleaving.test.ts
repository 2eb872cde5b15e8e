/**
 * Any order of deliveries, crashes, lost leases, retries and completions, one after the other and all at once.
 * The model is the world around the database: workers that hold attempts, long after they have lost them, and a queue that
 * doubles and loses messages. What must hold is watched by a trigger (audit.ts) and counted from the answers.
 */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { claim } from "../../runtime/flow/claim.ts";
import { complete, completeWithEffects } from "../../runtime/flow/complete.ts";
import { extend } from "../../runtime/flow/extend.ts";
import { fail } from "../../runtime/flow/fail.ts";
import { reap } from "../../runtime/flow/reap.ts";
import { release } from "../../runtime/flow/release.ts";
import { ringAgain } from "../../runtime/flow/ring-again.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { loadSql } from "../../runtime/postgres/sql.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { ask, clearTasks, createOutboxRow, createTasks, readTasks, SAMPLE_ERROR } from "../support/tasks.ts";
import { forgetMoves, movesSeen, violations, watchTasks } from "./audit.ts";

const LEASE_OUTBOX = loadSql(import.meta.url, "../../runtime/flow/lease-outbox.sql");
const SETTLE_OUTBOX = loadSql(import.meta.url, "../../runtime/flow/settle-outbox.sql");

const TASKS = 3;
const WORKERS = 3;

const KINDS = [
  "deliver",
  "deliver twice",
  "complete",
  "commit",
  "fail",
  "fail for good",
  "retry later",
  "release",
  "extend",
  "crash",
  "expire",
  "reap",
  "ask to cancel",
  "announce",
  "announce and die",
  "lose a message",
  "silence",
  "ring again",
] as const;

/** `pick` chooses a task, a worker and one of the attempts it holds. */
type Operation = { readonly kind: (typeof KINDS)[number]; readonly pick: number };

type Held = { readonly id: string; readonly attempt: number };

type World = {
  readonly ids: readonly string[];
  /** Attempts that each worker believes in; those that have ended stay, because late answers are what is tested. */
  readonly held: Held[][];
  /** Ids of tasks named by messages on their way. */
  messages: string[];
  /** Ids whose message was lost on purpose: ringing again is what helps them. */
  readonly lost: Set<string>;
  /** Outbox ids of senders that are still busy. */
  unsettled: number[][];
  /** By task: how many outcomes were said to be recorded, and which attempt had them. */
  readonly succeeded: Map<string, Held[]>;
  readonly effects: { count: number };
};

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 6, applicationName: "interleaving test" });
  await watchTasks(database);
  await ask(database, "create table effect (task_id uuid not null)");
});

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

async function newWorld(tasks: number, workers: number): Promise<World> {
  await clearTasks(database);
  await ask(database, "delete from effect");
  await forgetMoves(database);
  const ids = await createTasks(
    database,
    Array.from({ length: tasks }, () => ({ maxLosses: 1_000 })),
  );
  for (const taskId of ids) await createOutboxRow(database, { taskId });
  return {
    ids,
    held: Array.from({ length: workers }, () => []),
    messages: [],
    lost: new Set(),
    unsettled: [],
    succeeded: new Map(ids.map((id) => [id, []])),
    effects: { count: 0 },
  };
}

async function perform({ kind, pick }: Operation, world: World): Promise<void> {
  const id = world.ids[pick % world.ids.length] ?? "";
  const worker = pick % world.held.length;
  const mine = world.held[worker] ?? [];
  const attempt = mine[Math.floor(pick / 7) % Math.max(mine.length, 1)];
  switch (kind) {
    case "deliver":
    case "deliver twice": {
      const index = pick % Math.max(world.messages.length, 1);
      const message = world.messages[index];
      if (message === undefined) return;
      if (kind === "deliver") world.messages.splice(index, 1);
      return deliver([message], worker, world);
    }
    case "complete":
      return attempt && recordSuccess([attempt], world);
    case "commit":
      return attempt && commit(attempt, world);
    case "fail":
      return attempt && recordFailure(attempt, 0);
    case "fail for good":
      return attempt && recordFailure(attempt, null);
    case "retry later":
      return attempt && recordFailure(attempt, 3_600_000);
    case "release":
      return attempt && void (await release(database, [attempt]));
    case "extend": {
      await extend(
        database,
        mine.map((each) => ({ ...each, progress: 0.5, progressMessage: null })),
        60_000,
      );
      return;
    }
    case "crash":
      mine.length = 0;
      return;
    case "expire":
      await ask(
        database,
        "update taskiq.task set lease_until = now() - interval '1 second' where id = $1 and state = 'running'",
        [id],
      );
      return;
    case "reap":
      await reap(database, 10);
      return;
    case "ask to cancel":
      await ask(database, "update taskiq.task set cancel_requested_at = now() where id = $1 and state = 'running'", [
        id,
      ]);
      return;
    case "announce":
    case "announce and die":
      return announce(world, kind === "announce");
    case "lose a message":
      for (const gone of world.messages.splice(pick % Math.max(world.messages.length, 1), 1)) world.lost.add(gone);
      return;
    case "silence":
      await ask(
        database,
        `update taskiq.task set announced_at = now() - interval '1 day', not_before = least(not_before, now()) where id = $1 and state = 'queued'`,
        [id],
      );
      return;
    case "ring again":
      await ringAgain(database, "default", { afterMs: 60_000, limit: 10 });
      return;
  }
}

async function deliver(ids: readonly string[], worker: number, world: World): Promise<void> {
  const verdicts = await claim(database, ids, {
    queue: "default",
    worker: `worker-${worker}`,
    leaseMs: 60_000,
    knownTasks: ["demo"],
    unknownTaskAfterMs: 3_600_000,
  });
  for (const [id, verdict] of verdicts) {
    if (verdict.kind === "claimed") {
      world.held[worker]?.push({ id, attempt: verdict.task.attempt });
      world.lost.delete(id);
    }
    // Its message comes back.
    if (verdict.kind === "contended") world.messages.push(id);
  }
}

async function recordSuccess(attempts: readonly Held[], world: World): Promise<void> {
  const successes = attempts.map((each) => ({ ...each, resultText: String(each.attempt), resultRef: null }));
  const accepted = await complete(database, successes);
  for (const [index, each] of attempts.entries()) if (accepted[index]) world.succeeded.get(each.id)?.push(each);
}

async function commit(attempt: Held, world: World): Promise<void> {
  const success = { ...attempt, resultText: String(attempt.attempt), resultRef: null };
  const recorded = await completeWithEffects(database, success, async (tx) => {
    await tx.raw.query("insert into effect values ($1)", [attempt.id]);
  });
  if (!recorded) return;
  world.effects.count++;
  world.succeeded.get(attempt.id)?.push(attempt);
}

async function recordFailure(attempt: Held, retryAfterMs: number | null): Promise<void> {
  await fail(database, [{ ...attempt, error: SAMPLE_ERROR, retryAfterMs, deadLetter: true }]);
}

async function announce(world: World, settles: boolean): Promise<void> {
  const rows = await database.query<{ outbox_id: number; kind: string; id: string; state: string }>(
    LEASE_OUTBOX,
    [100, 0],
  );
  for (const row of rows) if (row.kind === "doorbell" && row.state === "queued") world.messages.push(row.id);
  world.unsettled.push(rows.map((row) => row.outbox_id));
  if (!settles) return;
  // The oldest of the senders that are still busy: by now its rows may stand for something else.
  const ids = world.unsettled.shift() ?? [];
  if (ids.length > 0) await database.query(SETTLE_OUTBOX, [ids]);
}

/** From whatever was left behind, workers that work and loops that run bring every task to its end. */
async function drain(world: World): Promise<void> {
  world.messages = [];
  for (const held of world.held) held.length = 0;
  for (let turn = 0; turn < 30; turn++) {
    const rows = await readTasks(database);
    if (rows.every((row) => row.finished)) return;
    await ask(
      database,
      `update taskiq.task set lease_until = now() - interval '1 second' where state = 'running';
       update taskiq.task set not_before = now(), announced_at = now() - interval '30 days' where state = 'queued';
       update taskiq.outbox set send_at = now() - interval '1 second'`,
    );
    await reap(database, 1_000);
    await ringAgain(database, "default", { afterMs: 60_000, limit: 1_000 });
    await announce(world, true);
    await deliver([...new Set(world.messages.splice(0))], 0, world);
    await recordSuccess(world.held[0]?.splice(0) ?? [], world);
  }
  const left = (await readTasks(database)).filter((row) => !row.finished);
  throw new Error(`expected every task to end, ${JSON.stringify(left)} did not`);
}

/** What must be true at any time, of the rows and of the answers together. */
async function check(world: World): Promise<void> {
  expect(await violations(database)).toEqual([]);
  const rows = await readTasks(database);
  for (const row of rows) {
    const successes = world.succeeded.get(row.id) ?? [];
    // One attempt, and the one whose answer said so.
    expect(successes.length, row.id).toBe(row.state === "succeeded" ? 1 : 0);
    if (row.state === "succeeded")
      expect(row).toMatchObject({ attempt: successes[0]?.attempt, result: String(row.attempt) });
  }
  const effects = await ask(database, "select from effect");
  expect(effects).toHaveLength(world.effects.count);
  expect(await ask(database, "select task_id from effect group by task_id having count(*) > 1")).toEqual([]);
  // One row for every attempt that ended without success, none for those that did not.
  const log = await ask<{ extra: number }>(
    database,
    `select count(*)::int as extra from taskiq.attempt a join taskiq.task t on t.id = a.task_id
      where a.attempt > t.attempt or (a.attempt = t.attempt and t.state in ('running', 'succeeded'))`,
  );
  expect(log).toEqual([{ extra: 0 }]);
}

/** A queued task has a doorbell on its way or in the outbox, unless its message was lost on purpose. */
async function checkEveryDoorbell(world: World): Promise<void> {
  const silent = await ask<{ id: string }>(
    database,
    `select id from taskiq.task t where state = 'queued'
        and not exists (select from taskiq.outbox o where o.task_id = t.id and o.kind = 'doorbell')`,
  );
  expect(silent.filter(({ id }) => !world.messages.includes(id) && !world.lost.has(id))).toEqual([]);
}

/** The same operation for the same seed: what differs from run to run is only how the connections meet. */
function operationOf(seed: number): Operation {
  const mixed = Math.imul(seed ^ (seed >>> 3), 2_654_435_761) >>> 0;
  return { kind: KINDS[(mixed >>> 20) % KINDS.length] ?? "deliver", pick: (mixed >>> 4) % 10_000 };
}

const operations = (maxLength: number) =>
  fc.array(fc.record<Operation>({ kind: fc.constantFrom(...KINDS), pick: fc.nat({ max: 10_000 }) }), {
    minLength: 5,
    maxLength,
    size: "max",
  });

describe("every interleaving", () => {
  test("one after the other: only legal moves, one outcome, one effect, and nobody is forgotten", async () => {
    await fc.assert(
      fc.asyncProperty(operations(50), async (sequence) => {
        const world = await newWorld(TASKS, WORKERS);
        // Without a first delivery most sequences would have nothing to do.
        await announce(world, true);
        await deliver(world.messages.slice(0, 2), 0, world);
        for (const operation of sequence) {
          await perform(operation, world);
          await checkEveryDoorbell(world);
        }
        await check(world);
        await drain(world);
        await check(world);
      }),
      { numRuns: 25, interruptAfterTimeLimit: 5_000, markInterruptAsFailure: false },
    );
  });

  test("from 6 connections at once: only legal moves, one outcome, one effect, and nobody is forgotten", async () => {
    const seen = new Set<string>();
    let seed = 1;
    for (let turn = 0; turn < 12; turn++) {
      const world = await newWorld(12, 6);
      await announce(world, true);
      await deliver(world.messages.slice(0, 6), 0, world);
      for (let round = 0; round < 25; round++) {
        const together = Array.from({ length: 6 }, () => operationOf(seed++));
        await Promise.all(together.map((operation) => perform(operation, world)));
        await checkEveryDoorbell(world);
      }
      await check(world);
      for (const move of await movesSeen(database)) seen.add(move);
      await drain(world);
      await check(world);
    }
    // Otherwise the rounds above have tried too little to say anything.
    expect([...seen].sort()).toEqual([
      "queued -> running",
      "running -> cancelled",
      "running -> failed",
      "running -> queued",
      "running -> succeeded",
    ]);
  });

  test("with one attempt of every task in the hands of all workers at once: one of them ends it", async () => {
    for (let round = 0; round < 10; round++) {
      const world = await newWorld(20, 6);
      await deliver(world.ids, 0, world);
      const attempts = [...(world.held[0] ?? [])];
      await ask(database, "update taskiq.task set lease_until = now() - interval '1 second'");
      await Promise.all([
        recordSuccess(attempts, world),
        recordSuccess([...attempts].reverse(), world),
        Promise.all(attempts.slice(0, 5).map((attempt) => commit(attempt, world))),
        Promise.all(attempts.slice(5, 10).map((attempt) => recordFailure(attempt, 0))),
        release(database, attempts.slice(10, 15)),
        reap(database, 100),
      ]);
      await check(world);
    }
  });
});
