import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import type { CommitClient, Context } from "../../runtime/define/context.ts";
import { RetryableError, TerminalError } from "../../runtime/define/errors.ts";
import { defineTask, type TaskDefinition } from "../../runtime/define/task.ts";
import { type Attempt, startAttempt } from "../../runtime/flow/attempt.ts";
import { claim } from "../../runtime/flow/claim.ts";
import { failed } from "../../runtime/flow/execute.ts";
import type { Database } from "../../runtime/postgres/pool.ts";
import { createBreaker } from "../../runtime/worker/breaker.ts";
import {
  createRecorder,
  type Recorded,
  type Recorder,
  type RecorderParts,
  type WritableOutcome,
} from "../../runtime/worker/record.ts";
import { hold, untilWaiting } from "../flow/waiting.ts";
import {
  ask,
  createTasks,
  readAttemptLog,
  readOutbox,
  readTask,
  readTasks,
  type TaskColumns,
} from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { createGate, openRig, type Rig } from "./rig.ts";

let rig: Rig;
let gaveUp = false;
let ends: (() => void)[] = [];
/** What was begun in a test and has to be over before the next. */
let pending: Promise<unknown>[] = [];

beforeAll(async () => {
  rig = await openRig();
  await ask(rig.database, "create table effect (task_id uuid not null)");
});

beforeEach(() => {
  gaveUp = false;
});

afterEach(async () => {
  gaveUp = true;
  for (const end of ends) end();
  await Promise.allSettled(pending);
  [ends, pending] = [[], []];
  await ask(rig.database, "delete from effect");
  await rig.reset();
});

afterAll(() => rig.close());

type Setup = Partial<RecorderParts>;

function recorderWith(setup: Setup = {}): Recorder & { breaker: ReturnType<typeof createBreaker> } {
  const database = setup.database ?? rig.database;
  const breaker = createBreaker({ database, log: rig.log, clock: systemClock, probeIntervalMs: 5 });
  ends.push(() => breaker.stop());
  const recorder = createRecorder({
    database,
    commitDatabase: rig.database,
    payloads: rig.payloads,
    breaker,
    log: rig.log,
    clock: systemClock,
    lingerMs: 1,
    commitTimeoutMs: 5_000,
    inlinePayloadBytes: 1_000,
    gaveUp: () => gaveUp,
    ...setup,
  });
  return {
    breaker,
    record(...args) {
      const recorded = recorder.record(...args);
      recorded.catch(() => {});
      pending.push(recorded);
      return recorded;
    },
  };
}

/** Attempts that a worker has just claimed. */
async function claimed(rows: readonly TaskColumns[]): Promise<Attempt[]> {
  const ids = await createTasks(rig.database, rows);
  const verdicts = await claim(rig.database, ids, {
    queue: "default",
    worker: "worker-1",
    leaseMs: 30_000,
    knownTasks: ["demo"],
    unknownTaskAfterMs: 3_600_000,
  });
  return ids.map((id) => {
    const verdict = verdicts.get(id);
    if (verdict?.kind !== "claimed") throw new Error(`expected to claim ${id}, got ${verdict?.kind}`);
    const attempt = startAttempt(verdict.task, systemClock.nowMs());
    ends.push(() => attempt.settle());
    return attempt;
  });
}

async function claimOne(columns: TaskColumns = {}): Promise<Attempt> {
  const [attempt] = await claimed([columns]);
  if (attempt === undefined) throw new Error("expected an attempt");
  return attempt;
}

type Commit = (tx: CommitClient, output: unknown, context: Context) => void | Promise<void>;

function definitionWith(commit?: Commit): TaskDefinition {
  return defineTask({
    name: "demo",
    input: z.unknown(),
    run: () => null,
    ...(commit && { commit }),
  }) as unknown as TaskDefinition;
}

const PLAIN = definitionWith();
// The recorder only hands it on to commit(tx).
const CONTEXT = { idempotencyKey: "key" } as Context;

const succeeded = (resultText: string | null = '"done"'): WritableOutcome => ({
  kind: "succeeded",
  output: resultText,
  resultText,
});
const failedBy = (error: unknown) => failed(error) as WritableOutcome;
const idOf = (attempt: Attempt) => attempt.task.id;
const errorOf = async (attempt: Attempt) => JSON.parse((await readTask(rig.database, idOf(attempt))).error ?? "null");

async function effects(attempt?: Attempt): Promise<number> {
  const [row] = await ask<{ count: number }>(
    rig.database,
    "select count(*)::int as count from effect where $1::uuid is null or task_id = $1",
    [attempt === undefined ? null : idOf(attempt)],
  );
  return row?.count ?? -1;
}

/** Another worker takes the task over. */
async function takeOver(attempt: Attempt): Promise<void> {
  await ask(rig.database, "update taskiq.task set attempt = attempt + 1, worker = 'other' where id = $1", [
    idOf(attempt),
  ]);
}

describe("a success", () => {
  test("is recorded with the exact text of its result", async () => {
    const text = '{"b":1.0,"a":-0.0,"n":18446744073709551616,"s":"\\u0000\\ud800"}';
    const attempt = await claimOne();
    expect(await recorderWith().record(attempt, succeeded(text), PLAIN, CONTEXT)).toBe("succeeded");
    expect(await readTask(rig.database, idOf(attempt))).toMatchObject({
      state: "succeeded",
      result: text,
      result_ref: null,
    });
  });

  test("without a result has null", async () => {
    const attempt = await claimOne();
    expect(await recorderWith().record(attempt, succeeded(null), PLAIN, CONTEXT)).toBe("succeeded");
    expect(await readTask(rig.database, idOf(attempt))).toMatchObject({
      state: "succeeded",
      result: null,
      result_ref: null,
    });
  });

  test.each([
    [1_000, "in the row"],
    [1_001, "in the payload store"],
  ])("of %i bytes is kept %s when 1,000 fit inline", async (bytes, where) => {
    const text = JSON.stringify(`é${"x".repeat(bytes - 4)}`);
    expect(Buffer.byteLength(text)).toBe(bytes);
    const attempt = await claimOne();
    await recorderWith().record(attempt, succeeded(text), PLAIN, CONTEXT);
    const row = await readTask(rig.database, idOf(attempt));
    expect(row.state).toBe("succeeded");
    const kept = row.result_ref === null ? row.result : await rig.payloads.get(row.result_ref);
    expect([kept === text, row.result_ref !== null]).toEqual([true, where !== "in the row"]);
  });

  test("whose result the store does not take is tried again by policy", async () => {
    const payloads = { ...rig.payloads, put: () => Promise.reject(new Error("no bucket")) };
    const attempt = await claimOne();
    const outcome = succeeded(JSON.stringify("x".repeat(2_000)));
    expect(await recorderWith({ payloads }).record(attempt, outcome, PLAIN, CONTEXT)).toBe("queued");
    expect(await errorOf(attempt)).toMatchObject({ message: "no bucket" });
  });

  test("of an attempt that was taken over is refused, and changes nothing", async () => {
    const attempt = await claimOne();
    await takeOver(attempt);
    expect(await recorderWith().record(attempt, succeeded(), PLAIN, CONTEXT)).toBe("refused");
    expect(await readTask(rig.database, idOf(attempt))).toMatchObject({
      state: "running",
      attempt: 2,
      worker: "other",
    });
  });
});

test("outcomes that come together share a statement of their kind", async () => {
  const attempts = await claimed(Array.from({ length: 60 }, () => ({})));
  const database = rig.open({ max: 4 });
  const recorder = recorderWith({ database, lingerMs: 20 });
  const outcomes = [succeeded(), failedBy(new Error("no route")), { kind: "released" } as const];
  const recorded = await Promise.all(
    attempts.map((attempt, nth) => recorder.record(attempt, outcomes[nth % 3]!, PLAIN, CONTEXT)),
  );
  expect(recorded).toEqual(attempts.map((_, nth) => ["succeeded", "queued", "queued"][nth % 3]));
  expect(database.statements).toBe(3);
});

describe("a value that Postgres cannot store", () => {
  test.each([
    ["no JSON", "{no json"],
    ["a raw U+0000", '"\u0000"'],
    ["JSON nested deeper than the server's stack", `${"[".repeat(200_000)}${"]".repeat(200_000)}`],
  ])("%s fails its own task only, with a clear error and no second try", async (_what, text) => {
    const attempts = await claimed(Array.from({ length: 10 }, () => ({})));
    const recorder = recorderWith({ lingerMs: 20, inlinePayloadBytes: 1_000_000 });
    const recorded = await Promise.all(
      attempts.map((attempt, nth) => recorder.record(attempt, succeeded(nth === 4 ? text : `${nth}`), PLAIN, CONTEXT)),
    );
    expect(recorded).toEqual(attempts.map((_, nth) => (nth === 4 ? "failed" : "succeeded")));
    expect((await errorOf(attempts[4]!)).code).toBe("result_not_storable");
    const rows = await readTasks(rig.database);
    expect(rows.filter((row) => row.state === "succeeded").map((row) => row.result)).toEqual(
      attempts.flatMap((_, nth) => (nth === 4 ? [] : [`${nth}`])),
    );
    expect(await readOutbox(rig.database)).toEqual([]);
  });

  test("fails its task also where a commit(tx) came with it, and its effects are undone", async () => {
    const attempt = await claimOne({ maxAttempts: 1 });
    const commit: Commit = async (tx) => void (await tx.query("insert into effect values ($1)", [idOf(attempt)]));
    const recorder = recorderWith();
    expect(await recorder.record(attempt, succeeded("{no json"), definitionWith(commit), CONTEXT)).toBe("failed");
    expect((await errorOf(attempt)).code).toBe("result_not_storable");
    expect(await effects()).toBe(0);
  });
});

describe("a failure", () => {
  test("is tried again at a random time within the backoff", async () => {
    const attempt = await claimOne({ failures: 2, maxAttempts: 5, backoffMs: 1_000, maxBackoffMs: 60_000 });
    expect(await recorderWith().record(attempt, failedBy(new Error("no route")), PLAIN, CONTEXT)).toBe("queued");
    const row = await readTask(rig.database, idOf(attempt));
    expect(row).toMatchObject({ state: "queued", failures: 3, losses: 0, attempt: 1 });
    expect(row.due_in_ms).toBeLessThanOrEqual(4_000);
    expect(await errorOf(attempt)).toMatchObject({ code: "handler_error", message: "no route" });
    expect((await readOutbox(rig.database)).map((one) => one.kind)).toEqual(["doorbell"]);
  });

  test("that spends the budget ends the task, with a copy for the dead-letter queue", async () => {
    const attempt = await claimOne({ failures: 2, maxAttempts: 3 });
    expect(await recorderWith().record(attempt, failedBy(new Error("no route")), PLAIN, CONTEXT)).toBe("failed");
    expect(await readTask(rig.database, idOf(attempt))).toMatchObject({ state: "failed", failures: 3 });
    expect((await readOutbox(rig.database)).map((one) => one.kind)).toEqual(["dead_letter"]);
  });

  test("that the handler calls terminal ends the task at once, without a copy", async () => {
    const attempt = await claimOne({ maxAttempts: 10 });
    expect(await recorderWith().record(attempt, failedBy(new TerminalError("gone")), PLAIN, CONTEXT)).toBe("failed");
    expect(await readOutbox(rig.database)).toEqual([]);
  });

  test("comes back when the handler says, and the budget still counts", async () => {
    const later = new RetryableError("busy", { retryAfterMs: 40_000 });
    const [first, last] = (await claimed([{}, { failures: 2 }])) as [Attempt, Attempt];
    const recorder = recorderWith();
    const recorded = [first, last].map((attempt) => recorder.record(attempt, failedBy(later), PLAIN, CONTEXT));
    expect(await Promise.all(recorded)).toEqual(["queued", "failed"]);
    expect((await readTask(rig.database, idOf(first))).due_in_ms).toBeGreaterThan(35_000);
  });

  test.each([
    ["undefined", undefined],
    ["NaN", Number.NaN],
    ["a text", "soon"],
    ["less than nothing", -5_000],
    ["for ever", Number.POSITIVE_INFINITY],
  ])(
    "whose handler changed its wait to %s follows the policy, and those in the same statement are recorded",
    async (_what, wait) => {
      const attempts = await claimed([{}, {}, {}]);
      const error = new RetryableError("busy", { retryAfterMs: 1 });
      // As a subclass does that declares the field again.
      Object.defineProperty(error, "retryAfterMs", { value: wait });
      const recorder = recorderWith({ lingerMs: 20 });
      const outcomes = [failedBy(new Error("no route")), failedBy(error), failedBy(new Error("no route"))];
      const recorded = attempts.map((attempt, nth) => recorder.record(attempt, outcomes[nth]!, PLAIN, CONTEXT));
      expect((await Promise.allSettled(recorded)).map((one) => one.status === "fulfilled" && one.value)).toEqual([
        "queued",
        "queued",
        "queued",
      ]);
      for (const attempt of attempts)
        expect((await readTask(rig.database, idOf(attempt))).due_in_ms).toBeLessThan(60_000);
    },
  );

  test("of an attempt that was taken over is refused", async () => {
    const attempt = await claimOne();
    await takeOver(attempt);
    expect(await recorderWith().record(attempt, failedBy(new Error("late")), PLAIN, CONTEXT)).toBe("refused");
    expect(await readTask(rig.database, idOf(attempt))).toMatchObject({ state: "running", attempt: 2, failures: 0 });
  });
});

test("an attempt given back is queued and rung at once, at no cost", async () => {
  const attempt = await claimOne();
  expect(await recorderWith().record(attempt, { kind: "released" }, PLAIN, CONTEXT)).toBe("queued");
  expect(await readTask(rig.database, idOf(attempt))).toMatchObject({ state: "queued", failures: 0, losses: 0 });
  expect((await readOutbox(rig.database)).map((one) => [one.kind, one.send_in_ms <= 0])).toEqual([["doorbell", true]]);
});

test("a cancelled attempt ends its task cancelled", async () => {
  const attempt = await claimOne();
  await ask(rig.database, "update taskiq.task set cancel_requested_at = now() where id = $1", [idOf(attempt)]);
  const outcome: WritableOutcome = {
    kind: "cancelled",
    error: { code: "cancelled", type: "Cancelled", message: "so" },
  };
  expect(await recorderWith().record(attempt, outcome, PLAIN, CONTEXT)).toBe("cancelled");
  expect(await readTask(rig.database, idOf(attempt))).toMatchObject({ state: "cancelled", failures: 0 });
});

describe("commit(tx)", () => {
  const addEffect =
    (attempt: Attempt): Commit =>
    async (tx) =>
      void (await tx.query("insert into effect values ($1)", [idOf(attempt)]));

  function record(attempt: Attempt, commit: Commit, setup: Setup = {}): Promise<Recorded> {
    return recorderWith(setup).record(attempt, succeeded(), definitionWith(commit), CONTEXT);
  }

  test("commits its effects together with the completion", async () => {
    const attempt = await claimOne();
    const seen: unknown[] = [];
    const recorded = record(attempt, async (tx, output, context) => {
      const inserted = await tx.query<{ task_id: string }>("insert into effect values ($1) returning task_id", [
        idOf(attempt),
      ]);
      seen.push(
        inserted,
        output,
        context.idempotencyKey,
        (await readTask(rig.database, idOf(attempt))).state,
        await effects(),
      );
    });
    expect(await recorded).toBe("succeeded");
    expect(seen).toEqual([{ rows: [{ task_id: idOf(attempt) }], rowCount: 1 }, '"done"', "key", "running", 0]);
    expect(await readTask(rig.database, idOf(attempt))).toMatchObject({ state: "succeeded", result: '"done"' });
    expect(await effects(attempt)).toBe(1);
  });

  test("that throws undoes its effects, and the attempt fails by its policy", async () => {
    const attempt = await claimOne();
    const recorded = record(attempt, async (tx) => {
      await tx.query("insert into effect values ($1)", [idOf(attempt)]);
      throw new Error("out of stock");
    });
    expect(await recorded).toBe("queued");
    expect(await effects()).toBe(0);
    expect(await readTask(rig.database, idOf(attempt))).toMatchObject({ state: "queued", failures: 1 });
    expect(await errorOf(attempt)).toMatchObject({ code: "handler_error", message: "out of stock" });
  });

  test("may end the task, or choose the wait, by what it throws", async () => {
    const [gone, busy] = (await claimed([{}, {}])) as [Attempt, Attempt];
    const fails = (error: Error) => () => Promise.reject(error);
    expect(await record(gone, fails(new TerminalError("gone")))).toBe("failed");
    expect(await record(busy, fails(new RetryableError("busy", { retryAfterMs: 40_000 })))).toBe("queued");
    expect((await readTask(rig.database, idOf(busy))).due_in_ms).toBeGreaterThan(35_000);
  });

  test("whose statement fails, and who ignores that, records nothing and fails by the policy", async () => {
    const attempt = await claimOne();
    const recorded = record(attempt, async (tx) => {
      await tx.query("insert into effect values ($1)", [idOf(attempt)]);
      await tx.query("select 1/0").catch(() => {});
    });
    expect(await recorded).toBe("queued");
    expect(await effects()).toBe(0);
  });

  test("may undo a part of its effects with a savepoint", async () => {
    const attempt = await claimOne();
    const recorded = record(attempt, async (tx) => {
      await tx.query("insert into effect values ($1)", [idOf(attempt)]);
      await tx.query("savepoint part");
      await tx.query("insert into effect values ($1)", [idOf(attempt)]);
      await tx.query("rollback to savepoint part");
    });
    expect(await recorded).toBe("succeeded");
    expect(await effects(attempt)).toBe(1);
  });

  test("is not called for an attempt that was taken over", async () => {
    const attempt = await claimOne();
    await takeOver(attempt);
    let called = false;
    const recorded = record(attempt, () => {
      called = true;
    });
    expect([await recorded, called]).toEqual(["refused", false]);
  });

  test("that takes the row of its own task away is a mistake that fails, not one that loses the outcome", async () => {
    const attempt = await claimOne();
    const recorded = record(attempt, async (tx) => {
      await tx.query("insert into effect values ($1)", [idOf(attempt)]);
      await tx.query("update taskiq.task set attempt = attempt + 1 where id = $1", [idOf(attempt)]);
    });
    expect(await recorded).toBe("queued");
    expect(await effects()).toBe(0);
  });

  test.each([
    "commit",
    "COMMIT;",
    "  \n\tcommit and chain",
    "begin",
    "begin isolation level serializable",
    "start transaction",
    "end",
    "abort",
    "rollback",
    "rollback and chain",
    "prepare transaction 'x'",
    "/* done */ commit",
    "-- done\ncommit",
    "/* a /* nested */ one */ rollback",
    "; commit",
    "insert into effect values (gen_random_uuid()); commit",
    "select 1; rollback; begin",
  ])("cannot control the transaction: %j", async (text) => {
    const attempt = await claimOne();
    const recorded = record(attempt, async (tx) => {
      await tx.query("insert into effect values ($1)", [idOf(attempt)]);
      await tx.query(text);
      throw new Error("nothing of this may remain");
    });
    expect(await recorded).toBe("queued");
    expect(await effects()).toBe(0);
    expect((await errorOf(attempt)).message).not.toBe("nothing of this may remain");
  });

  test.each([
    "select 'commit'",
    "select 1 as commit",
    "-- commit\nselect 1",
    "/* commit */ select 1",
    "select ';'",
    "select 1;",
  ])("is not taken for control of the transaction: %j", async (text) => {
    const attempt = await claimOne();
    expect(await record(attempt, async (tx) => void (await tx.query(text)))).toBe("succeeded");
  });

  describe("that takes too long", () => {
    test("is undone, fails by the policy, and its client refuses what comes later", async () => {
      const attempt = await claimOne();
      const timeUp = createGate();
      const late = createGate();
      const clock: Clock = {
        ...systemClock,
        async after(ms, signal) {
          expect(ms).toBe(5_000);
          await Promise.race([timeUp.opened, systemClock.after(60_000, signal)]);
        },
      };
      const afterwards: unknown[] = [];
      const recorded = record(
        attempt,
        async (tx) => {
          await tx.query("insert into effect values ($1)", [idOf(attempt)]);
          timeUp.open();
          await late.opened;
          await tx
            .query("insert into effect values ($1)", [idOf(attempt)])
            .catch((error: unknown) => afterwards.push(error));
          await tx.query("commit").catch((error: unknown) => afterwards.push(error));
        },
        { clock },
      );
      expect(await recorded).toBe("queued");
      expect(await errorOf(attempt)).toMatchObject({ code: "commit_timeout" });
      late.open();
      await until(() => afterwards.length === 2);
      expect(afterwards).toMatchObject([{ code: "commit_timeout" }, { code: "commit_timeout" }]);
      expect(await effects()).toBe(0);
      expect(await readTask(rig.database, idOf(attempt))).toMatchObject({ state: "queued", failures: 1 });
    });

    test("in one statement is bounded as well, and gives the row back", async () => {
      const attempt = await claimOne();
      const commitDatabase = rig.open({ max: 1, statementTimeoutMs: 300 });
      const recorded = record(attempt, async (tx) => void (await tx.query("select pg_sleep(60)")), {
        commitDatabase,
        commitTimeoutMs: 50,
      });
      expect(await recorded).toBe("queued");
      expect(await errorOf(attempt)).toMatchObject({ code: "commit_timeout" });
    });

    test("costs no connection: the pool serves the next one", async () => {
      const attempts = await claimed([{}, {}, {}]);
      const commitDatabase = rig.open({ max: 1 });
      const never = createGate();
      for (const attempt of attempts.slice(0, 2)) {
        expect(await record(attempt, () => never.opened, { commitDatabase, commitTimeoutMs: 30 })).toBe("queued");
      }
      expect(await record(attempts[2]!, addEffect(attempts[2]!), { commitDatabase })).toBe("succeeded");
    });
  });

  describe("whose error is its own follows the policy and leaves the database's breaker alone:", () => {
    const coded = (message: string, code: string) => Object.assign(new Error(message), { code });

    test.each<[string, Commit]>([
      [
        "a service of its own refuses connections",
        () => Promise.reject(coded("connect ECONNREFUSED 10.0.0.1:6379", "ECONNREFUSED")),
      ],
      ["another database of its own is away", () => Promise.reject(new Error("Connection terminated unexpectedly"))],
      ["a deadlock elsewhere", () => Promise.reject(coded("deadlock detected", "40P01"))],
      [
        "a statement that is always too slow",
        async (tx) => {
          await tx.query("set local statement_timeout = '10ms'");
          await tx.query("select pg_sleep(60)");
        },
      ],
      [
        "a lock that it never gets",
        async (tx) => {
          await tx.query("set local lock_timeout = '10ms'");
          await tx.query("lock table locked_for_ever");
        },
      ],
    ])("%s", async (_what, commit) => {
      await ask(rig.database, "create table if not exists locked_for_ever ()");
      const other = await hold(rig.database, (tx) => tx.raw.query("lock table locked_for_ever"));
      const attempt = await claimOne();
      let calls = 0;
      const settled = record(attempt, (tx, ...rest) => {
        calls++;
        return commit(tx, ...rest);
      });
      const answer = await until(() => Promise.race([settled, systemClock.after(50).then(() => null)]), {
        deadlineMs: 2_000,
      }).catch(() => `not recorded after ${calls} calls of commit(tx)`);
      await other.end();
      expect(answer).toBe("queued");
      expect(await readTask(rig.database, idOf(attempt))).toMatchObject({ failures: 1 });
      expect(calls).toBeLessThanOrEqual(5);
      expect(rig.events("database.away")).toEqual([]);
    });
  });

  test("that lost a race to be serialised is repeated, and its effects are there once", async () => {
    const attempt = await claimOne();
    let calls = 0;
    const recorded = record(attempt, async (tx) => {
      await tx.query("insert into effect values ($1)", [idOf(attempt)]);
      if (++calls < 3)
        await tx.query("do $$ begin raise exception 'could not serialize' using errcode = '40001'; end $$");
    });
    expect(await recorded).toBe("succeeded");
    expect([calls, await effects(attempt)]).toEqual([3, 1]);
    expect(await readTask(rig.database, idOf(attempt))).toMatchObject({ failures: 0 });
  });

  test("that has to wait for a connection of the others is no outage", async () => {
    const attempts = await claimed([{}, {}, {}]);
    const commitDatabase = rig.open({ max: 1, connectTimeoutMs: 60 });
    const recorder = recorderWith({ commitDatabase });
    const recorded = attempts.map((attempt) =>
      recorder.record(
        attempt,
        succeeded(),
        definitionWith(async (tx) => void (await tx.query("select pg_sleep(0.15)"))),
        CONTEXT,
      ),
    );
    expect(await Promise.all(recorded)).toEqual(["succeeded", "succeeded", "succeeded"]);
    expect(rig.events("database.away")).toEqual([]);
  });

  describe("when the connection is cut during COMMIT, has exactly one effect and a recorded outcome", () => {
    /** `silent` hides that direction from the moment on in which COMMIT is about to be sent, the first time. */
    async function lossy(
      silent: "to_client" | "to_server",
    ): Promise<{ database: Database; heal(): void; readonly commits: number }> {
      const proxy = await rig.proxy();
      const real = rig.open({ connectionString: proxy.url, max: 2 });
      let commits = 0;
      return {
        get commits() {
          return commits;
        },
        heal() {
          proxy.cut();
          proxy.restore();
        },
        database: {
          ...real,
          get statements() {
            return real.statements;
          },
          transaction: (work) =>
            real.transaction(async (tx) => {
              const answer = await work(tx);
              if (++commits === 1) proxy.silence(silent);
              return answer;
            }),
        },
      };
    }

    test("where it was committed and only the answer was lost", async () => {
      const attempt = await claimOne();
      const network = await lossy("to_client");
      const recorded = record(attempt, addEffect(attempt), { commitDatabase: network.database });
      await until(async () => (await readTask(rig.database, idOf(attempt))).state === "succeeded");
      network.heal();
      expect(await recorded).toBe("succeeded");
      expect(await effects(attempt)).toBe(1);
      expect(await readTask(rig.database, idOf(attempt))).toMatchObject({ attempt: 1, failures: 0, losses: 0 });
    });

    test("where it never arrived", async () => {
      const attempt = await claimOne();
      const network = await lossy("to_server");
      const recorded = record(attempt, addEffect(attempt), { commitDatabase: network.database });
      await until(() => network.commits === 1);
      network.heal();
      expect(await recorded).toBe("succeeded");
      expect(network.commits).toBeGreaterThanOrEqual(2);
      expect(await effects(attempt)).toBe(1);
      expect(await readTask(rig.database, idOf(attempt))).toMatchObject({ state: "succeeded", failures: 0, losses: 0 });
    });

    test("where another attempt owns the task when the database is back", async () => {
      const attempt = await claimOne();
      const network = await lossy("to_server");
      const recorded = record(attempt, addEffect(attempt), { commitDatabase: network.database });
      await until(() => network.commits === 1);
      // The server still waits for the COMMIT, with the row locked.
      const overtaken = takeOver(attempt);
      await untilWaiting(rig.database, "worker test observer");
      network.heal();
      await overtaken.catch(() => {});
      expect(["refused", "succeeded"]).toContain(await recorded);
      const { state, attempt: fence } = await readTask(rig.database, idOf(attempt));
      expect([state, fence, await effects(attempt)]).toEqual(
        (await recorded) === "refused" ? ["running", 2, 0] : ["succeeded", 1, 1],
      );
    });
  });
});

describe("when the connection is cut before the answer, the outcome is recorded once:", () => {
  test.each<[string, WritableOutcome, Recorded, string[]]>([
    ["a success", succeeded(), "succeeded", []],
    ["a failure", failedBy(new Error("no route")), "queued", ["retried"]],
    ["a last failure", failedBy(new TerminalError("gone")), "failed", ["failed"]],
    ["one given back", { kind: "released" }, "queued", ["released"]],
  ])("%s", async (_what, outcome, expected, attemptLog) => {
    const proxy = await rig.proxy();
    const database = rig.open({ connectionString: proxy.url, max: 2 });
    const attempts = await claimed([{}, {}, {}]);
    const recorder = recorderWith({ database, lingerMs: 10 });
    await database.ping(1_000);
    proxy.silence("to_client");
    const recorded = Promise.all(attempts.map((attempt) => recorder.record(attempt, outcome, PLAIN, CONTEXT)));
    await until(async () => (await readTasks(rig.database)).every((row) => row.state === expected));
    proxy.cut();
    proxy.restore();
    expect(await recorded).toEqual([expected, expected, expected]);
    for (const attempt of attempts) {
      expect((await readAttemptLog(rig.database, idOf(attempt))).map((row) => row.outcome)).toEqual(attemptLog);
      const row = await readTask(rig.database, idOf(attempt));
      expect([row.attempt, row.failures]).toEqual([1, outcome.kind === "failed" ? 1 : 0]);
    }
  });
});

describe("while the database is away", () => {
  test("outcomes are kept, and recorded when it is back", async () => {
    const proxy = await rig.proxy();
    const database = rig.open({ connectionString: proxy.url, max: 2, connectTimeoutMs: 50, queryTimeoutMs: 50 });
    const attempts = await claimed([{}, {}, {}]);
    const recorder = recorderWith({ database });
    proxy.silence();
    const recorded = Promise.all(attempts.map((attempt) => recorder.record(attempt, succeeded(), PLAIN, CONTEXT)));
    await until(() => recorder.breaker.open);
    proxy.restore();
    expect(await recorded).toEqual(["succeeded", "succeeded", "succeeded"]);
  });

  test("an outcome that came too late is refused when it is back", async () => {
    const proxy = await rig.proxy();
    const database = rig.open({ connectionString: proxy.url, max: 2, connectTimeoutMs: 50, queryTimeoutMs: 50 });
    const attempt = await claimOne();
    const recorder = recorderWith({ database });
    proxy.silence("to_server");
    const recorded = recorder.record(attempt, succeeded(), PLAIN, CONTEXT);
    await until(() => recorder.breaker.open);
    await takeOver(attempt);
    proxy.cut();
    proxy.restore();
    expect(await recorded).toBe("refused");
    expect(await readTask(rig.database, idOf(attempt))).toMatchObject({ state: "running", attempt: 2 });
  });

  test("a process that gives up says so", async () => {
    const proxy = await rig.proxy();
    const database = rig.open({ connectionString: proxy.url, max: 2, connectTimeoutMs: 50, queryTimeoutMs: 50 });
    const attempt = await claimOne();
    const recorder = recorderWith({ database });
    proxy.silence();
    const recorded = recorder.record(attempt, succeeded(), PLAIN, CONTEXT);
    await until(() => recorder.breaker.open);
    gaveUp = true;
    recorder.breaker.stop();
    await expect(recorded).rejects.toThrow();
    proxy.restore();
    expect(await readTask(rig.database, idOf(attempt))).toMatchObject({ state: "running", attempt: 1 });
  });
});

test("a row that somebody holds for longer than a statement may wait delays the outcome, and the breaker stays closed", async () => {
  const attempt = await claimOne();
  const other = await hold(rig.database, (tx) =>
    tx.raw.query("select from taskiq.task where id = $1 for update", [idOf(attempt)]),
  );
  const recorder = recorderWith({ database: rig.open({ max: 2, lockTimeoutMs: 20 }) });
  const recorded = recorder.record(attempt, succeeded(), PLAIN, CONTEXT);
  await until(() => rig.events("complete.failed").length >= 2);
  await other.end();
  expect(await recorded).toBe("succeeded");
  expect(rig.events("database.away")).toEqual([]);
});

test("a row that somebody holds delays its own outcome only, not those that go with it", async () => {
  const attempts = await claimed([{}, {}, {}, {}]);
  const [locked, ...others] = attempts as [Attempt, ...Attempt[]];
  const other = await hold(rig.database, (tx) =>
    tx.raw.query("select from taskiq.task where id = $1 for update", [idOf(locked)]),
  );
  const recorder = recorderWith({ database: rig.open({ max: 4, lockTimeoutMs: 50 }), lingerMs: 20 });
  const recorded = attempts.map((attempt) => recorder.record(attempt, succeeded(), PLAIN, CONTEXT));
  const waited = until(
    async () => {
      const rows = await Promise.all(others.map((attempt) => readTask(rig.database, idOf(attempt))));
      return rows.every((row) => row.state === "succeeded");
    },
    { deadlineMs: 3_000, what: "the others to be recorded" },
  );
  await waited.finally(() => other.end());
  expect(await Promise.all(recorded)).toEqual(["succeeded", "succeeded", "succeeded", "succeeded"]);
});

test("a conflict between statements of our own is repeated until it is over", async () => {
  const attempt = await claimOne();
  let conflicts = 9;
  const database: Database = {
    ...rig.database,
    get statements() {
      return rig.database.statements;
    },
    async query(statement, params) {
      if (conflicts-- > 0) throw Object.assign(new Error("deadlock detected"), { code: "40P01" });
      return await rig.database.query(statement, params);
    },
  };
  const clock: Clock = { ...systemClock, after: (_ms, signal) => systemClock.after(0, signal) };
  expect(await recorderWith({ database, clock }).record(attempt, succeeded(), PLAIN, CONTEXT)).toBe("succeeded");
});
