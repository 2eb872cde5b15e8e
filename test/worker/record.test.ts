import { describe, expect, test } from "vitest";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import { RetryableError, TerminalError } from "../../runtime/define/errors.ts";
import type { Attempt } from "../../runtime/flow/attempt.ts";
import type { Database } from "../../runtime/postgres/pool.ts";
import type { WritableOutcome } from "../../runtime/worker/record.ts";
import type { Recorded } from "../../runtime/worker/until-recorded.ts";
import { hold, untilWaiting } from "../flow/waiting.ts";
import { ask, readAttemptLog, readOutbox, readTask, readTasks } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { CONTEXT, failedBy, idOf, PLAIN, succeeded, useRecording } from "./recording.ts";
import { tapDatabase, useRig } from "./rig.ts";

const rig = useRig();
const recording = useRecording(rig);
const { claimed, claimOne, errorOf, recorderWith, takeOver } = recording;

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

  test("is answered with its cause and the wait that was written", async () => {
    const [again, last] = await claimed([{ backoffMs: 40_000 }, { maxAttempts: 1 }]);
    const recorder = recorderWith();
    const enter = (attempt: Attempt | undefined) =>
      recorder.enter(attempt as Attempt, failedBy(new Error("no route")), PLAIN, CONTEXT);
    const { retryInMs, ...entered } = await enter(again);
    expect(entered).toMatchObject({ recorded: "queued", error: { code: "handler_error", message: "no route" } });
    const { due_in_ms } = await readTask(rig.database, idOf(again as Attempt));
    expect(Math.abs((retryInMs ?? 0) - (due_in_ms ?? 0))).toBeLessThan(5_000);
    expect(await enter(last)).toMatchObject({ recorded: "failed", error: { message: "no route" }, retryInMs: null });
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
    recording.giveUp();
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
  const database = rig.open({ max: 2, lockTimeoutMs: 20 });
  const recorder = recorderWith({ database });
  const recorded = recorder.record(attempt, succeeded(), PLAIN, CONTEXT);
  // Tried, looked at, and tried again.
  await until(() => database.statements >= 3);
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

test("an outcome whose first try is still being committed when the connection is lost is recognised as recorded", async () => {
  const proxy = await rig.proxy();
  const behind = rig.open({ connectionString: proxy.url, max: 2, lockTimeoutMs: 4_000 });
  await behind.ping(5_000);
  let reads = 0;
  const database = tapDatabase(behind, {
    after(statement) {
      if (statement.name === "read-attempts") reads++;
    },
  });
  const attempt = await claimOne();
  // The first try waits in the middle of its statement, with the row locked, until the test lets it go on.
  const lock = await hold(rig.database, (tx) => tx.raw.query("select pg_advisory_xact_lock(4711)"));
  await ask(
    rig.database,
    `create function wait_for_test() returns trigger language plpgsql as
       $$ begin perform pg_advisory_xact_lock_shared(4711); return null; end $$;
     create trigger wait_for_test after update on taskiq.task for each row
       when (new.state = 'succeeded') execute function wait_for_test()`,
  );
  const clock: Clock = { ...systemClock, after: (_ms, signal) => systemClock.after(5, signal) };
  const recorded = recorderWith({ database, clock }).record(attempt, succeeded(), PLAIN, CONTEXT);
  await untilWaiting(rig.database, "worker test");
  proxy.cut();
  await until(() => reads > 0, { what: "a further try to find the row held" });
  await lock.end();
  const answer = await recorded;
  await ask(rig.database, "drop trigger wait_for_test on taskiq.task; drop function wait_for_test");
  expect(answer).toBe("succeeded");
  expect(await readTask(rig.database, idOf(attempt))).toMatchObject({ state: "succeeded", failures: 0, losses: 0 });
});
