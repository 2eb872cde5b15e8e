import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import { type Attempt, startAttempt } from "../../runtime/flow/attempt.ts";
import { claim } from "../../runtime/flow/claim.ts";
import { createBreaker } from "../../runtime/worker/breaker.ts";
import { type Heartbeat, type HeartbeatParts, startHeartbeat } from "../../runtime/worker/heartbeat.ts";
import { hold } from "../flow/waiting.ts";
import { ask, createTasks, readTask } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { createGate, type DatabaseWays, tapDatabase, useRig } from "./rig.ts";

const rig = useRig();
let attempts: Map<string, Attempt>;
let beats = 0;
let ends: (() => void)[] = [];

beforeEach(() => {
  attempts = new Map();
  beats = 0;
});

afterEach(async () => {
  for (const end of ends) end();
  ends = [];
});

function start(setup: Partial<HeartbeatParts> = {}): Heartbeat & { breaker: HeartbeatParts["breaker"] } {
  const database = setup.database ?? rig.database;
  const breaker = createBreaker({ database, log: rig.log, clock: systemClock, probeIntervalMs: 5 });
  const heartbeat = startHeartbeat({
    database,
    attempts,
    breaker,
    log: rig.log,
    clock: systemClock,
    leaseMs: 30_000,
    intervalMs: 15,
    async onBeat() {
      beats++;
    },
    ...setup,
  });
  ends.push(heartbeat.stop, breaker.stop);
  return { ...heartbeat, breaker };
}

/** Attempts of this process whose leases are nearly over. */
async function running(count: number, clock: Clock = systemClock): Promise<Attempt[]> {
  const ids = await createTasks(
    rig.database,
    Array.from({ length: count }, () => ({})),
  );
  const verdicts = await claim(rig.database, ids, {
    queue: "default",
    worker: "worker-1",
    leaseMs: 1_000,
    knownTasks: ["demo"],
    unknownTaskAfterMs: 3_600_000,
  });
  return ids.map((id) => {
    const verdict = verdicts.get(id);
    if (verdict?.kind !== "claimed") throw new Error(`expected to claim ${id}`);
    const attempt = startAttempt(verdict.task, clock.nowMs());
    attempts.set(id, attempt);
    ends.push(attempt.settle);
    return attempt;
  });
}

async function runningOne(clock?: Clock): Promise<Attempt> {
  const [attempt] = await running(1, clock);
  if (attempt === undefined) throw new Error("expected an attempt");
  return attempt;
}

const idOf = (attempt: Attempt) => attempt.task.id;
const leaseOf = async (attempt: Attempt) => (await readTask(rig.database, idOf(attempt))).lease_in_ms ?? 0;
const isRenewed = async (attempt: Attempt) => (await leaseOf(attempt)) > 20_000;

const tapped = (before: DatabaseWays["before"]) => tapDatabase(rig.database, { before });

describe("a beat", () => {
  test("renews the leases of all attempts with one statement, then says that the worker is alive", async () => {
    const all = await running(5);
    const database = rig.open({ max: 1 });
    start({ database });
    await until(async () => (await Promise.all(all.map(isRenewed))).every(Boolean));
    await until(() => beats >= 3);
    expect(database.statements).toBeLessThanOrEqual(beats + 1);
    expect(all.map((attempt) => attempt.abortReason)).toEqual(all.map(() => null));
  });

  test("of an idle worker says that it is alive, and asks nothing about leases", async () => {
    const database = rig.open({ max: 1 });
    start({ database });
    await until(() => beats >= 2);
    expect(database.statements).toBe(0);
  });

  test("is one at a time, however slow the database is", async () => {
    await running(1);
    const answer = createGate();
    let asked = 0;
    let ticks = 0;
    const ticking = setInterval(() => ticks++, 15);
    ends.push(() => clearInterval(ticking));
    start({
      database: tapped(async () => {
        asked++;
        await answer.opened;
      }),
    });
    await until(() => asked === 1);
    const seen = ticks;
    await until(() => ticks >= seen + 4);
    expect(asked).toBe(1);
    answer.open();
    await until(() => beats >= 2);
  });

  test("that fails is logged, and the next one is tried", async () => {
    const attempt = await runningOne();
    let failures = 2;
    const { breaker } = start({
      database: tapped(() => {
        if (failures-- > 0) throw new Error("relation does not exist");
      }),
    });
    await until(() => isRenewed(attempt));
    expect(rig.events("heartbeat.failed")).toHaveLength(2);
    expect(rig.events("heartbeat.failed")[0]).toMatchObject({
      level: "warn",
      running: 1,
      sinceMs: expect.any(Number),
      error: { message: /relation/ },
    });
    expect(breaker.open).toBe(false);
    expect(rig.events("database.away")).toEqual([]);
  });

  test("that finds the database away opens the breaker", async () => {
    await running(1);
    let away = true;
    start({
      database: tapped(() => {
        if (away) throw new Error("Connection terminated unexpectedly");
      }),
    });
    await until(() => rig.events("database.away").length > 0);
    away = false;
  });
});

describe("progress", () => {
  async function untilProgress(attempt: Attempt, progress: number): Promise<void> {
    await until(async () => (await readTask(rig.database, idOf(attempt))).progress === progress);
  }

  test("is stored with the next beat, the last value wins, and it is kept", async () => {
    const attempt = await runningOne();
    attempt.progress = 0.25;
    attempt.progress = 0.5;
    attempt.progressMessage = "half";
    start();
    await untilProgress(attempt, 0.5);
    const seen = beats;
    await until(() => beats >= seen + 2);
    expect(await readTask(rig.database, idOf(attempt))).toMatchObject({ progress: 0.5, progress_message: "half" });
    attempt.progress = 0.75;
    await untilProgress(attempt, 0.75);
    expect((await readTask(rig.database, idOf(attempt))).progress_message).toBe("half");
  });

  test("is stored later when a beat failed", async () => {
    const attempt = await runningOne();
    attempt.progress = 0.5;
    attempt.progressMessage = "half";
    let failures = 1;
    start({
      database: tapped(() => {
        if (failures-- > 0) throw new Error("no answer");
      }),
    });
    await until(() => beats >= 2);
    expect(await readTask(rig.database, idOf(attempt))).toMatchObject({ progress: 0.5, progress_message: "half" });
  });

  test("that the handler gave during a beat that failed is not replaced by the older one", async () => {
    const attempt = await runningOne();
    attempt.progress = 0.25;
    let failures = 1;
    start({
      database: tapped(() => {
        if (failures-- <= 0) return;
        attempt.progress = 0.5;
        throw new Error("no answer");
      }),
    });
    await untilProgress(attempt, 0.5);
    const seen = beats;
    await until(() => beats >= seen + 2);
    expect((await readTask(rig.database, idOf(attempt))).progress).toBe(0.5);
  });
});

test("a cancel flag in the row aborts the attempt with the reason cancelled, and no other", async () => {
  const [cancelled, other] = (await running(2)) as [Attempt, Attempt];
  start();
  await until(() => beats >= 1);
  expect(cancelled.abortReason).toBe(null);
  await ask(rig.database, "update taskiq.task set cancel_requested_at = now() where id = $1", [idOf(cancelled)]);
  await until(() => cancelled.abortReason !== null);
  expect([cancelled.abortReason, cancelled.signal().reason, other.abortReason]).toEqual([
    "cancelled",
    "cancelled",
    null,
  ]);
});

describe("an attempt that was taken over", () => {
  const TAKE_OVER = "update taskiq.task set attempt = attempt + 1, worker = 'other' where id = $1";

  test("is aborted with the reason lease_lost and is not given back", async () => {
    const [lost, other] = (await running(2)) as [Attempt, Attempt];
    await ask(rig.database, TAKE_OVER, [idOf(lost)]);
    const { stopped } = start();
    await until(() => lost.abortReason !== null);
    expect([lost.abortReason, stopped.has(lost), other.abortReason]).toEqual(["lease_lost", false, null]);
    expect(await leaseOf(lost)).toBeLessThanOrEqual(1_000);
  });

  test("is not given back either when the database goes silent while its handler still runs", async () => {
    const lost = await runningOne();
    await ask(rig.database, TAKE_OVER, [idOf(lost)]);
    let silent = false;
    const { stopped } = start({
      leaseMs: 1_200,
      database: tapped(() => {
        if (silent) throw new Error("no answer");
      }),
    });
    await until(() => lost.abortReason === "lease_lost");
    silent = true;
    const witness = await runningOne();
    await until(() => stopped.has(witness));
    expect(stopped.has(lost)).toBe(false);
  });

  test("and has ended meanwhile is left alone", async () => {
    const attempt = await runningOne();
    start({
      database: tapped(async (statement) => {
        if (statement.name !== "extend" || !attempts.has(idOf(attempt))) return;
        await ask(rig.database, "update taskiq.task set state = 'succeeded', lease_until = null, finished_at = now()");
        attempts.delete(idOf(attempt));
      }),
    });
    await until(() => beats >= 2);
    expect(attempt.abortReason).toBe(null);
  });
});

test("a row that is locked costs the other attempts nothing, and its own attempt is not lost", async () => {
  const [slow, ...others] = await running(4);
  if (slow === undefined) throw new Error("expected an attempt");
  const commit = await hold(rig.database, (tx) =>
    tx.raw.query("select from taskiq.task where id = $1 for update", [idOf(slow)]),
  );
  start();
  await until(async () => (await Promise.all(others.map(isRenewed))).every(Boolean));
  expect(await leaseOf(slow)).toBeLessThanOrEqual(1_000);
  expect(slow.abortReason).toBe(null);
  await commit.end();
  await until(() => isRenewed(slow));
});

describe("when no beat has succeeded for five sixths of a lease", () => {
  test("the attempts are stopped here, to be given back: neither earlier nor later", async () => {
    let nowMs = 0;
    let looks = 0;
    const clock: Clock = {
      ...systemClock,
      nowMs() {
        looks++;
        return nowMs;
      },
    };
    const attempt = await runningOne(clock);
    const { stopped } = start({
      clock,
      leaseMs: 600,
      intervalMs: 1_000_000,
    });
    nowMs = 499;
    const seen = looks;
    await until(() => looks >= seen + 2);
    expect([attempt.abortReason, stopped.has(attempt)]).toEqual([null, false]);
    nowMs = 501;
    await until(() => attempt.abortReason !== null);
    expect([attempt.abortReason, stopped.has(attempt)]).toEqual(["lease_lost", true]);
  });

  test("one that outlasts its lease goes on until another worker is known to own its task", async () => {
    const [lasting, ordinary] = (await running(2)) as [Attempt, Attempt];
    let away = true;
    const database = tapDatabase(rig.database, {
      before: () => {
        if (away) throw new Error("Connection terminated unexpectedly");
      },
    });
    const { stopped } = start({ leaseMs: 300, database, outlastsLease: (attempt) => attempt === lasting });
    await until(() => stopped.has(ordinary));
    expect([lasting.abortReason, stopped.has(lasting)]).toEqual([null, false]);
    await ask(rig.database, "update taskiq.task set attempt = attempt + 1, worker = 'other' where id = $1", [
      lasting.task.id,
    ]);
    away = false;
    await until(() => lasting.abortReason === "lease_lost");
    expect(stopped.has(lasting)).toBe(false);
  });

  test("because the beat itself hangs, they are stopped as well", async () => {
    const attempt = await runningOne();
    const never = createGate();
    ends.push(never.open);
    const { stopped } = start({ leaseMs: 300, database: tapped(() => never.opened) });
    await until(() => stopped.has(attempt));
  });

  test("one that succeeds in time keeps them, counted from the question and not from the answer", async () => {
    const attempt = await runningOne();
    const askedMs: number[] = [];
    const [answer, never] = [createGate(), createGate()];
    ends.push(never.open);
    start({
      intervalMs: 20,
      database: tapped(async (statement) => {
        if (statement.name !== "extend") return;
        // The second one is not answered: it would move the proof on.
        await (askedMs.push(systemClock.nowMs()) === 1 ? answer : never).opened;
      }),
    });
    await until(() => askedMs.length === 1);
    const before = systemClock.nowMs();
    answer.open();
    await until(() => beats === 1);
    expect(attempt.leaseProvenMs).toBeLessThanOrEqual(before);
    expect(attempt.abortReason).toBe(null);
  });
});

describe("a process that was frozen", () => {
  function frozenClock(): Clock & { freeze(ms: number): void } {
    let frozenMs = 0;
    return {
      ...systemClock,
      nowMs: () => systemClock.nowMs() + frozenMs,
      freeze(ms) {
        frozenMs += ms;
      },
    };
  }

  test("asks before it gives up its attempts, and keeps those that are still its own", async () => {
    const clock = frozenClock();
    const [mine, taken] = (await running(2, clock)) as [Attempt, Attempt];
    await ask(rig.database, "update taskiq.task set attempt = attempt + 1, worker = 'other' where id = $1", [
      idOf(taken),
    ]);
    // Beats only when it asks by itself; looks every 300 ms.
    const { stopped } = start({ clock, leaseMs: 1_800, intervalMs: 1_000_000 });
    clock.freeze(60_000);
    await until(() => taken.abortReason !== null);
    expect(taken.abortReason).toBe("lease_lost");
    expect([mine.abortReason, stopped.has(mine), stopped.has(taken)]).toEqual([null, false, false]);
    expect(clock.nowMs() - mine.leaseProvenMs).toBeLessThan(30_000);
  });

  test("stops them when there is no answer", async () => {
    const clock = frozenClock();
    const attempt = await runningOne(clock);
    const { stopped } = start({
      clock,
      leaseMs: 600,
      intervalMs: 1_000_000,
      database: tapped(() => {
        throw new Error("no answer");
      }),
    });
    clock.freeze(60_000);
    await until(() => stopped.has(attempt));
    expect(attempt.abortReason).toBe("lease_lost");
  });
});

test("stopped, it beats no more", async () => {
  await running(1);
  let asked = 0;
  const heartbeat = start({
    database: tapped(() => {
      asked++;
    }),
  });
  await until(() => beats >= 1);
  heartbeat.stop();
  const seen = asked;
  let ticks = 0;
  const ticking = setInterval(() => ticks++, 15);
  ends.push(() => clearInterval(ticking));
  await until(() => ticks >= 4);
  expect(asked).toBe(seen);
});
