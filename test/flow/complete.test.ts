import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { complete, completeWithEffects, type Success } from "../../runtime/flow/complete.ts";
import { extend } from "../../runtime/flow/extend.ts";
import { reap } from "../../runtime/flow/reap.ts";
import { TASK_STATES } from "../../runtime/model/task.ts";
import { type Database, openDatabase, type Transaction } from "../../runtime/postgres/pool.ts";
import { loadSql } from "../../runtime/postgres/sql.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { ask, clearTasks, createTask, createTasks, readAttemptLog, readOutbox, readTask } from "../support/tasks.ts";
import { shuffled } from "./shuffled.ts";
import { hold, within } from "./waiting.ts";

const LOCK_ATTEMPT = loadSql(import.meta.url, "../../runtime/flow/lock-attempt.sql");

let testDatabase: TestDatabase;
let database: Database;
/** What waits for a lock here is the step under test. */
let racing: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 12, applicationName: "complete test" });
  racing = openDatabase({ connectionString: testDatabase.url, max: 8, applicationName: "racing" });
  await ask(database, "create table effect (task_id uuid not null, attempt int not null)");
});

beforeEach(async () => {
  await clearTasks(database);
  await ask(database, "delete from effect");
});

afterAll(async () => {
  await racing.close();
  await database.close();
  await testDatabase.drop();
});

function success(id: string, attempt = 1, resultText: string | null = '"done"'): Success {
  return { id, attempt, resultText, resultRef: null };
}

function writeEffect(id: string, attempt: number) {
  return async (tx: Transaction) => {
    await tx.raw.query("insert into effect values ($1, $2)", [id, attempt]);
  };
}

async function effects(): Promise<number> {
  return (await ask(database, "select from effect")).length;
}

describe("complete", () => {
  test("records the exact text of the result and ends the lease", async () => {
    const id = await createTask(database, { state: "running", error: { code: "x", type: "X", message: "earlier" } });
    const text = '{"b": 1.0,"n":18446744073709551616,"z":-0.0,"u":"\\u0000\\udc00"}';
    expect(await complete(database, [success(id, 1, text)])).toEqual([true]);
    expect(await readTask(database, id)).toMatchObject({
      state: "succeeded",
      result: text,
      result_ref: null,
      error: null,
      lease_in_ms: null,
      finished: true,
      attempt: 1,
      failures: 0,
    });
    expect(await readOutbox(database)).toEqual([]);
    expect(await readAttemptLog(database, id)).toEqual([]);
  });

  test("records a null result, and one that is in the payload store", async () => {
    const [none, stored] = await createTasks(database, [{ state: "running" }, { state: "running" }]);
    if (none === undefined || stored === undefined) throw new Error("expected two ids");
    await complete(database, [success(none, 1, null), { id: stored, attempt: 1, resultText: null, resultRef: "v1/x" }]);
    expect(await readTask(database, none)).toMatchObject({ state: "succeeded", result: null, result_ref: null });
    expect(await readTask(database, stored)).toMatchObject({ state: "succeeded", result: null, result_ref: "v1/x" });
  });

  test("owes a message to the producer who waits for a reply", async () => {
    const id = await createTask(database, { state: "running", replyKey: "results/1" });
    await complete(database, [success(id)]);
    expect(await readOutbox(database)).toMatchObject([{ kind: "result", task_id: id }]);
  });

  test("succeeds although a cancel was asked for: the work is done", async () => {
    const id = await createTask(database, { state: "running", cancelRequested: true });
    expect(await complete(database, [success(id)])).toEqual([true]);
    expect(await readTask(database, id)).toMatchObject({ state: "succeeded", cancel_requested: true });
  });

  test("succeeds after the lease has expired, as long as nobody reaped the attempt", async () => {
    const id = await createTask(database, { state: "running", leaseInMs: -60_000 });
    expect(await complete(database, [success(id)])).toEqual([true]);
  });

  test.each([1, 3])("refuses attempt %i of a task whose attempt 2 runs", async (attempt) => {
    const id = await createTask(database, { state: "running", attempt: 2 });
    expect(await complete(database, [success(id, attempt)])).toEqual([false]);
    expect(await readTask(database, id)).toMatchObject({ state: "running", attempt: 2, result: null });
  });

  test.each(TASK_STATES.filter((state) => state !== "running"))(
    "refuses a %s task of the same attempt",
    async (state) => {
      const id = await createTask(database, { state, attempt: 1 });
      const before = await readTask(database, id);
      expect(await complete(database, [success(id)])).toEqual([false]);
      expect(await readTask(database, id)).toMatchObject({ state, result: before.result, error: before.error });
      expect(await readOutbox(database)).toEqual([]);
    },
  );

  test("the second completion of an attempt is refused and replaces nothing", async () => {
    const id = await createTask(database, { state: "running", replyKey: "results/1" });
    await complete(database, [success(id, 1, '"first"')]);
    expect(await complete(database, [success(id, 1, '"second"')])).toEqual([false]);
    expect(await readTask(database, id)).toMatchObject({ result: '"first"' });
    expect(await readOutbox(database)).toHaveLength(1);
  });

  test("the same attempt twice in one call has one outcome", async () => {
    const id = await createTask(database, { state: "running", replyKey: "results/1" });
    expect(await complete(database, [success(id, 1, '"first"'), success(id, 1, '"first"')])).toEqual([true, true]);
    expect(await readTask(database, id)).toMatchObject({ result: '"first"' });
    expect(await readOutbox(database)).toHaveLength(1);
  });

  test("with a stale attempt in the same call records the newer one's result", async () => {
    const id = await createTask(database, { state: "running", attempt: 2 });
    for (const order of [0, 1]) {
      const pair = [success(id, 1, '"stale"'), success(id, 2, '"fresh"')];
      await complete(database, order === 0 ? pair : pair.reverse());
    }
    expect(await readTask(database, id)).toMatchObject({ state: "succeeded", result: '"fresh"' });
  });

  test("tells a stale attempt from the one that was recorded with it in one call", async () => {
    const id = await createTask(database, { state: "running", attempt: 2 });
    const pair = [success(id, 1, '"stale"'), success(id, 2, '"fresh"')];
    expect(await complete(database, pair)).toEqual([false, true]);
  });

  test("records those of a batch that own their tasks and refuses the others", async () => {
    const ids = await createTasks(database, [
      { state: "running" },
      { state: "running", attempt: 2 },
      { state: "queued" },
    ]);
    const accepted = await complete(
      database,
      ids.map((id) => success(id)),
    );
    expect(accepted).toEqual([true, false, false]);
  });

  test("a text that is not JSON breaks the statement and changes nothing", async () => {
    const ids = await createTasks(database, [{ state: "running" }, { state: "running" }]);
    const [good, bad] = ids;
    if (good === undefined || bad === undefined) throw new Error("expected two ids");
    await expect(complete(database, [success(good), success(bad, 1, "{oops")])).rejects.toMatchObject({
      code: "22P02",
    });
    expect(await readTask(database, good)).toMatchObject({ state: "running" });
  });

  test("none at all are no error", async () => {
    expect(await complete(database, [])).toEqual([]);
  });
});

describe("two at once", () => {
  test("complete passes over a row that a beat holds, and succeeds after it", async () => {
    const id = await createTask(database, { state: "running" });
    const beat = await hold(database, (tx) =>
      extend(tx, [{ id, attempt: 1, progress: 0.5, progressMessage: null }], 30_000),
    );
    expect(await complete(racing, [success(id)])).toEqual([false]);
    await beat.end();
    expect(await complete(racing, [success(id)])).toEqual([true]);
    expect(await readTask(database, id)).toMatchObject({ state: "succeeded", progress: 0.5 });
  });

  test("complete passes over a row that a reaper holds, and is refused when it has taken the task", async () => {
    const id = await createTask(database, { state: "running", leaseInMs: -1 });
    const reaper = await hold(database, async (tx) => {
      expect(await reap(within(tx), 10)).toHaveLength(1);
    });
    expect(await complete(racing, [success(id)])).toEqual([false]);
    await reaper.end();
    expect(await complete(racing, [success(id)])).toEqual([false]);
    expect(await readTask(database, id)).toMatchObject({ state: "queued", losses: 1, result: null });
  });

  test("complete is recorded when the reaper that held the row gave up", async () => {
    const id = await createTask(database, { state: "running", leaseInMs: -1 });
    const reaper = await hold(database, (tx) => reap(within(tx), 10));
    expect(await complete(racing, [success(id)])).toEqual([false]);
    await reaper.end("undo");
    expect(await complete(racing, [success(id)])).toEqual([true]);
    expect(await readTask(database, id)).toMatchObject({ state: "succeeded", losses: 0 });
  });

  test("the reaper passes over an attempt inside its own commit", async () => {
    const [committing, silent] = await createTasks(database, [
      { state: "running", leaseInMs: -1 },
      { state: "running", leaseInMs: -1 },
    ]);
    if (committing === undefined || silent === undefined) throw new Error("expected two ids");
    const commit = await hold(database, (tx) => tx.query(LOCK_ATTEMPT, [committing, 1]));
    expect((await reap(database, 10)).map((task) => task.id)).toEqual([silent]);
    await complete(commit.tx, [success(committing)]);
    await commit.end();
    expect(await readTask(database, committing)).toMatchObject({ state: "succeeded", losses: 0 });
  });

  test("a stale attempt is refused at once: it does not wait for the commit of the newer one", async () => {
    const id = await createTask(database, { state: "running", attempt: 2 });
    const commit = await hold(database, (tx) => tx.query(LOCK_ATTEMPT, [id, 2]));
    expect(await complete(racing, [success(id)])).toEqual([false]);
    await commit.end("undo");
  });

  test("of two completions of one attempt one is recorded", async () => {
    const id = await createTask(database, { state: "running" });
    const answers = await Promise.all([
      complete(racing, [success(id, 1, "1")]),
      complete(racing, [success(id, 1, "2")]),
    ]);
    expect(answers.flat().filter(Boolean)).toHaveLength(1);
    const winner = answers[0]?.[0] === true ? "1" : "2";
    expect(await readTask(database, id)).toMatchObject({ result: winner });
  });

  test("batches of the same attempts in shuffled order from 8 connections: each recorded once, no deadlock", async () => {
    const ids = await createTasks(
      database,
      Array.from({ length: 200 }, () => ({ state: "running" as const, replyKey: "r" })),
    );
    const answers = await Promise.all(
      Array.from({ length: 24 }, (_, round) =>
        complete(
          racing,
          shuffled(ids, round).map((id) => success(id, 1, String(round))),
        ),
      ),
    );
    expect(answers.flat().filter(Boolean)).toHaveLength(ids.length);
    expect(await readOutbox(database)).toHaveLength(ids.length);
  });
});

describe("completeWithEffects", () => {
  test("commits the effects with the completion", async () => {
    const id = await createTask(database, { state: "running" });
    expect(await completeWithEffects(racing, success(id), writeEffect(id, 1))).toBe(true);
    expect(await readTask(database, id)).toMatchObject({ state: "succeeded", result: '"done"' });
    expect(await effects()).toBe(1);
  });

  test("of a stale attempt answers false without calling the effects", async () => {
    const id = await createTask(database, { state: "running", attempt: 2 });
    let called = false;
    const recorded = await completeWithEffects(racing, success(id, 1), async () => {
      called = true;
    });
    expect({ recorded, called }).toEqual({ recorded: false, called: false });
    expect(await readTask(database, id)).toMatchObject({ state: "running", attempt: 2 });
  });

  test.each(TASK_STATES.filter((state) => state !== "running"))("answers false for a %s task", async (state) => {
    const id = await createTask(database, { state, attempt: 1 });
    expect(await completeWithEffects(racing, success(id), writeEffect(id, 1))).toBe(false);
    expect(await effects()).toBe(0);
  });

  test("undoes what the effects wrote before they threw, and leaves the attempt running", async () => {
    const id = await createTask(database, { state: "running" });
    const failing = completeWithEffects(racing, success(id), async (tx) => {
      await writeEffect(id, 1)(tx);
      throw new Error("no stock");
    });
    await expect(failing).rejects.toThrow("no stock");
    expect(await effects()).toBe(0);
    expect(await readTask(database, id)).toMatchObject({ state: "running", attempt: 1 });
  });

  test("called twice for one attempt writes its effects once", async () => {
    const id = await createTask(database, { state: "running" });
    const answers = await Promise.all([
      completeWithEffects(racing, success(id), writeEffect(id, 1)),
      completeWithEffects(racing, success(id), writeEffect(id, 1)),
    ]);
    expect(answers.sort()).toEqual([false, true]);
    expect(await effects()).toBe(1);
  });

  test("of effects that ended the task themselves is an error and undone", async () => {
    const id = await createTask(database, { state: "running" });
    const failing = completeWithEffects(racing, success(id), async (tx) => {
      await writeEffect(id, 1)(tx);
      await complete(tx, [success(id, 1, '"mine"')]);
    });
    await expect(failing).rejects.toMatchObject({ code: "internal" });
    expect(await effects()).toBe(0);
    expect(await readTask(database, id)).toMatchObject({ state: "running" });
  });

  test("of effects that ignore the error of their own statement is an error and undone", async () => {
    const id = await createTask(database, { state: "running" });
    const failing = completeWithEffects(racing, success(id), async (tx) => {
      await writeEffect(id, 1)(tx);
      await tx.raw.query("select 1 / 0").catch(() => {});
    });
    await expect(failing).rejects.toThrow();
    expect(await effects()).toBe(0);
    expect(await readTask(database, id)).toMatchObject({ state: "running" });
  });

  test("of a result that Postgres refuses undoes the effects", async () => {
    const id = await createTask(database, { state: "running" });
    const failing = completeWithEffects(racing, success(id, 1, "{oops"), writeEffect(id, 1));
    await expect(failing).rejects.toMatchObject({ code: "22P02" });
    expect(await effects()).toBe(0);
  });

  test("while it holds the row: a beat passes over it, the reaper passes over it, another completion does too, and is refused", async () => {
    const id = await createTask(database, { state: "running", leaseInMs: -1 });
    const inside = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const committing = completeWithEffects(database, success(id), async (tx) => {
      await writeEffect(id, 1)(tx);
      inside.resolve();
      await goOn.promise;
    });
    await inside.promise;
    expect(await extend(database, [{ id, attempt: 1, progress: null, progressMessage: null }], 30_000)).toEqual([
      "extended",
    ]);
    expect(await reap(database, 10)).toEqual([]);
    expect(await complete(racing, [success(id, 1, '"other"')])).toEqual([false]);
    goOn.resolve();
    expect(await committing).toBe(true);
    expect(await complete(racing, [success(id, 1, '"other"')])).toEqual([false]);
    expect(await readTask(database, id)).toMatchObject({ state: "succeeded", result: '"done"' });
    expect(await effects()).toBe(1);
  });
});
