import { randomUUID } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import type { Database, Queryable } from "../../runtime/postgres/pool.ts";
import type { Statement } from "../../runtime/postgres/sql.ts";
import { type Breaker, createBreaker } from "../../runtime/worker/breaker.ts";
import { type Claimer, createClaimer } from "../../runtime/worker/claimer.ts";
import { ask, createTask, createTasks, readTask, readTasks } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { createGate, type Gate, useRig } from "./rig.ts";

const rig = useRig();
let breakers: Breaker[] = [];

afterEach(async () => {
  for (const breaker of breakers) breaker.stop();
  breakers = [];
});

type Tapped = Queryable & { readonly claims: string[][] };

/** Remembers which ids each claim asked for; `before` runs first and may throw, `after` once the database has answered. */
function tap(
  database: Queryable,
  ways: { before?: (nth: number) => Promise<void> | void; after?: (nth: number) => void } = {},
): Tapped {
  const claims: string[][] = [];
  return {
    claims,
    async query<Row>(statement: Statement, params: readonly unknown[]) {
      if (statement.name !== "claim") return await database.query<Row>(statement, params);
      // The ids are the claim's first parameter.
      claims.push(params[0] as string[]);
      const nth = claims.length;
      await ways.before?.(nth);
      const rows = await database.query<Row>(statement, params);
      ways.after?.(nth);
      return rows;
    },
  };
}

/** Loses the connection before that statement, so often. */
function failing(name: string, times: number): Queryable {
  let left = times;
  return {
    async query<Row>(statement: Statement, params: readonly unknown[]) {
      if (statement.name === name && left-- > 0) throw new Error("Connection terminated unexpectedly");
      return await rig.database.query<Row>(statement, params);
    },
  };
}

function claimerOn(
  database: Queryable,
  { probe = rig.database, holds = () => false }: { probe?: Database; holds?: (id: string) => boolean } = {},
): { claimer: Claimer; breaker: Breaker } {
  const breaker = createBreaker({ database: probe, log: rig.log, clock: systemClock, probeIntervalMs: 5 });
  breakers.push(breaker);
  const options = {
    queue: "default",
    worker: "worker-7",
    leaseMs: 30_000,
    knownTasks: ["demo"],
    unknownTaskAfterMs: 3_600_000,
  };
  return {
    breaker,
    claimer: createClaimer({
      ring: () => {},
      database: { transaction: rig.database.transaction, query: database.query },
      breaker,
      options,
      byRank: false,
      holds,
    }),
  };
}

async function kindsOf(verdicts: ReturnType<Claimer["claim"]>): Promise<Record<string, string> | null> {
  const map = await verdicts;
  return map === null ? null : Object.fromEntries([...map].map(([id, verdict]) => [id, verdict.kind]));
}

test("answers for no ids without asking the database", async () => {
  const database = tap(rig.database);
  expect(await claimerOn(database).claimer.claim([])).toEqual(new Map());
  expect(database.claims).toEqual([]);
});

test("claims for polls that come together with one statement, each id once, and answers each poll for its own", async () => {
  const ids = await createTasks(rig.database, [{}, {}, {}, {}]);
  const [a, b, c, d] = ids as [string, string, string, string];
  const unknown = randomUUID();
  const database = tap(rig.database);
  const { claimer } = claimerOn(database);
  const answers = await Promise.all(
    [claimer.claim([a, b]), claimer.claim([c, unknown]), claimer.claim([d])].map(kindsOf),
  );
  expect(database.claims).toHaveLength(1);
  expect(database.claims[0]?.toSorted()).toEqual([...ids, unknown].toSorted());
  expect(answers).toEqual([
    { [a]: "claimed", [b]: "claimed" },
    { [c]: "claimed", [unknown]: "missing" },
    { [d]: "claimed" },
  ]);
});

test("gives an attempt to the first of the polls that name its task, and calls it running to the others", async () => {
  const [twice, once] = (await createTasks(rig.database, [{}, {}])) as [string, string];
  const { claimer } = claimerOn(rig.database);
  const polls = [claimer.claim([twice]), claimer.claim([once, twice]), claimer.claim([twice])];
  expect(await Promise.all(polls.map(kindsOf))).toEqual([
    { [twice]: "claimed" },
    { [once]: "claimed", [twice]: "running" },
    { [twice]: "running" },
  ]);
  expect(await readTask(rig.database, twice)).toMatchObject({ state: "running", attempt: 1, worker: "worker-7" });
});

test("answers every poll alike about a task that nobody won", async () => {
  const done = await createTask(rig.database, { state: "succeeded" });
  const { claimer } = claimerOn(rig.database);
  expect(await Promise.all([claimer.claim([done]), claimer.claim([done])].map(kindsOf))).toEqual([
    { [done]: "finished" },
    { [done]: "finished" },
  ]);
});

test("has one claim on its way, and what comes meanwhile goes together with the next, five polls at most", async () => {
  const ids = await createTasks(
    rig.database,
    Array.from({ length: 8 }, () => ({})),
  );
  const gates: Gate[] = [createGate(), createGate(), createGate()];
  const database = tap(rig.database, { before: (nth) => gates[nth - 1]?.opened });
  const { claimer } = claimerOn(database);
  const first = claimer.claim(ids.slice(0, 1));
  await until(() => database.claims.length === 1);
  const rest = ids.slice(1).map((id) => claimer.claim([id]));
  gates[0]?.open();
  await first;
  await until(() => database.claims.length === 2);
  expect(database.claims[1]).toHaveLength(5);
  gates[1]?.open();
  await until(() => database.claims.length === 3);
  expect(database.claims[2]).toHaveLength(2);
  gates[2]?.open();
  const verdicts = await Promise.all(rest.map(kindsOf));
  expect(verdicts).toEqual(ids.slice(1).map((id) => ({ [id]: "claimed" })));
});

describe("a claim that fails", () => {
  test("because the database is away gives null to every poll in it, and opens the breaker", async () => {
    const proxy = await rig.proxy();
    const away = rig.open({ connectionString: proxy.url, connectTimeoutMs: 300, queryTimeoutMs: 2_000 });
    proxy.silence();
    const id = await createTask(rig.database);
    const { claimer, breaker } = claimerOn(away, { probe: away });
    expect(await Promise.all([claimer.claim([id]), claimer.claim([randomUUID()])])).toEqual([null, null]);
    expect(breaker.open).toBe(true);
    proxy.restore();
    await breaker.closed();
    expect(await kindsOf(claimer.claim([id]))).toEqual({ [id]: "claimed" });
  });

  test("because it met a deadlock is repeated, and not for ever", async () => {
    const id = await createTask(rig.database);
    const deadlock = (below: number) => (nth: number) => {
      if (nth < below) throw Object.assign(new Error("deadlock detected"), { code: "40P01" });
    };
    const twice = tap(rig.database, { before: deadlock(3) });
    expect(await kindsOf(claimerOn(twice).claimer.claim([id]))).toEqual({ [id]: "claimed" });
    const always = tap(rig.database, { before: deadlock(Number.POSITIVE_INFINITY) });
    await expect(claimerOn(always).claimer.claim([id])).rejects.toThrow("deadlock detected");
    expect(always.claims).toHaveLength(3);
  });

  test("because something is wrong with the statement rejects, and leaves the breaker closed", async () => {
    const { claimer, breaker } = claimerOn(rig.database);
    await expect(claimer.claim(["no uuid"])).rejects.toThrow("invalid input syntax for type uuid");
    expect(breaker.open).toBe(false);
    const id = await createTask(rig.database);
    expect(await kindsOf(claimer.claim([id]))).toEqual({ [id]: "claimed" });
  });

  test("in its second statement keeps what was won, and looks at the rest again", async () => {
    const [runnable, done] = (await createTasks(rig.database, [{}, { state: "succeeded" }])) as [string, string];
    const { claimer } = claimerOn(failing("decline", 1));
    expect(await kindsOf(claimer.claim([runnable, done]))).toEqual({ [runnable]: "claimed", [done]: "contended" });
    expect(await readTask(rig.database, runnable)).toMatchObject({ state: "running", attempt: 1 });
  });

  test("in its second statement, when nothing was won, is the outage that it is", async () => {
    const id = await createTask(rig.database, { state: "succeeded" });
    const { claimer, breaker } = claimerOn(failing("decline", 1));
    expect(await claimer.claim([id])).toBe(null);
    await breaker.closed();
    expect(rig.events("database.away")).toHaveLength(1);
    expect(await kindsOf(claimer.claim([id]))).toEqual({ [id]: "finished" });
  });

  test("after it was committed costs nothing either when the database goes away once more", async () => {
    const id = await createTask(rig.database);
    const database = failing("read-own", 2);
    let answers = 0;
    const lost: Queryable = {
      async query<Row>(statement: Statement, params: readonly unknown[]) {
        const rows = await database.query<Row>(statement, params);
        if (statement.name === "claim" && ++answers === 1) throw new Error("Connection terminated unexpectedly");
        return rows;
      },
    };
    expect(await claimerOn(lost).claimer.claim([id])).toBe(null);
    await until(async () => (await readTask(rig.database, id)).state === "queued", { deadlineMs: 3_000 });
    expect(await readTask(rig.database, id)).toMatchObject({ attempt: 1, losses: 0, failures: 0 });
  });

  test("after it was committed costs nothing: what nobody runs is given back and rung when the database is back", async () => {
    const ids = await createTasks(rig.database, [{}, {}, {}]);
    const [lost, held, elsewhere] = ids as [string, string, string];
    await ask(
      rig.database,
      "update taskiq.task set state = 'running', attempt = 1, worker = 'other', lease_until = now() + interval '30 s' where id = $1",
      [elsewhere],
    );
    const database = tap(rig.database, {
      after: () => {
        throw new Error("Connection terminated unexpectedly");
      },
    });
    const { claimer } = claimerOn(database, { holds: (id) => id === held });
    expect(await claimer.claim(ids)).toBe(null);
    await until(async () => (await readTask(rig.database, lost)).state === "queued");
    expect(await readTask(rig.database, lost)).toMatchObject({ attempt: 1, losses: 0, failures: 0 });
    expect((await readTasks(rig.database)).filter((row) => row.state === "running").map((row) => row.id)).toEqual(
      [held, elsewhere].toSorted(),
    );
    const outbox = await ask(rig.database, "select task_id from taskiq.outbox where send_at <= now()");
    expect(outbox).toEqual([{ task_id: lost }]);
  });
});
