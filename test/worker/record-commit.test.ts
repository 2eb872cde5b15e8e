/** `commit(tx)`: the effects of a task and its completion, together or not at all. */
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import { RetryableError, TerminalError } from "../../runtime/define/errors.ts";
import type { Attempt } from "../../runtime/flow/attempt.ts";
import type { Database } from "../../runtime/postgres/pool.ts";
import type { RecorderParts } from "../../runtime/worker/record.ts";
import type { Recorded } from "../../runtime/worker/until-recorded.ts";
import { hold, untilWaiting } from "../flow/waiting.ts";
import { ask, readTask } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { CONTEXT, type Commit, definitionWith, idOf, succeeded, useRecording } from "./recording.ts";
import { createGate, useRig } from "./rig.ts";

const rig = useRig();
const { claimed, claimOne, errorOf, recorderWith, takeOver } = useRecording(rig);

beforeAll(async () => {
  await ask(rig.database, "create table effect (task_id uuid not null)");
});

afterEach(async () => {
  await ask(rig.database, "delete from effect");
});

async function effects(attempt?: Attempt): Promise<number> {
  const [row] = await ask<{ count: number }>(
    rig.database,
    "select count(*)::int as count from effect where $1::uuid is null or task_id = $1",
    [attempt === undefined ? null : idOf(attempt)],
  );
  return row?.count ?? -1;
}

describe("commit(tx)", () => {
  const addEffect =
    (attempt: Attempt): Commit =>
    async (tx) =>
      void (await tx.query("insert into effect values ($1)", [idOf(attempt)]));

  function record(attempt: Attempt, commit: Commit, setup: Partial<RecorderParts> = {}): Promise<Recorded> {
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

  test("leaves no timer behind", async () => {
    const attempt = await claimOne();
    const timers: (AbortSignal | undefined)[] = [];
    const clock: Clock = {
      ...systemClock,
      after(ms, signal) {
        timers.push(signal);
        return systemClock.after(ms, signal);
      },
    };
    expect(await record(attempt, addEffect(attempt), { clock })).toBe("succeeded");
    expect(timers.map((signal) => signal?.aborted)).toEqual([true]);
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

  test("is the cause that is answered, though the handler succeeded", async () => {
    const attempt = await claimOne();
    const definition = definitionWith(() => Promise.reject(new RetryableError("busy", { retryAfterMs: 40_000 })));
    expect(await recorderWith().enter(attempt, succeeded(), definition, CONTEXT)).toMatchObject({
      recorded: "queued",
      error: { code: "handler_error", message: "busy" },
      retryInMs: 40_000,
    });
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

  test("whose effects are refused only at COMMIT fails by the policy, with what the server said", async () => {
    await ask(
      rig.database,
      `create table if not exists deferred (task_id uuid,
         constraint known_task foreign key (task_id) references taskiq.task deferrable initially deferred)`,
    );
    const attempt = await claimOne();
    const recorded = record(
      attempt,
      async (tx) => void (await tx.query("insert into deferred values (gen_random_uuid())")),
    );
    const answer = await recorded;
    await ask(rig.database, "drop table deferred");
    expect(answer).toBe("queued");
    expect(await errorOf(attempt)).toMatchObject({
      code: "handler_error",
      message: expect.stringMatching(/known_task/),
    });
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
    const commitDatabase = rig.open({ max: 1, connectTimeoutMs: 800 });
    const recorder = recorderWith({ commitDatabase });
    const recorded = attempts.map((attempt) =>
      recorder.record(
        attempt,
        succeeded(),
        definitionWith(async (tx) => void (await tx.query("select pg_sleep(0.6)"))),
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

  test("with a result that Postgres cannot store fails its task, and its effects are undone", async () => {
    const attempt = await claimOne({ maxAttempts: 1 });
    const commit: Commit = async (tx) => void (await tx.query("insert into effect values ($1)", [idOf(attempt)]));
    const recorder = recorderWith();
    expect(await recorder.record(attempt, succeeded("{no json"), definitionWith(commit), CONTEXT)).toBe("failed");
    expect((await errorOf(attempt)).code).toBe("result_not_storable");
    expect(await effects()).toBe(0);
  });
});
