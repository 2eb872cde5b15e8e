import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type ClaimOptions, claim } from "../../runtime/flow/claim.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import {
  ask,
  clearTasks,
  createOutboxRow,
  createTask,
  createTasks,
  readAttemptLog,
  readOutbox,
  readTask,
  SAMPLE_ERROR,
} from "../support/tasks.ts";
import { shuffled } from "./shuffled.ts";
import { hold } from "./waiting.ts";

const HOUR_MS = 3_600_000;
const OPTIONS: ClaimOptions = {
  queue: "default",
  worker: "worker-2",
  leaseMs: 30_000,
  knownTasks: ["demo"],
  unknownTaskAfterMs: HOUR_MS,
};

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 12, applicationName: "claim test" });
});

beforeEach(async () => {
  await clearTasks(database);
});

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

async function verdictOf(id: string, options: Partial<ClaimOptions> = {}) {
  const verdicts = await claim(database, [id], { ...OPTIONS, ...options });
  return verdicts.get(id);
}

describe("a queued task that is due", () => {
  test("becomes running with the next attempt, a lease and a worker", async () => {
    const id = await createTask(database, { attempt: 4, progress: 0.5, progressMessage: "half" });
    expect(await verdictOf(id)).toMatchObject({ kind: "claimed", task: { attempt: 5 } });
    const row = await readTask(database, id);
    expect(row).toMatchObject({
      state: "running",
      attempt: 5,
      worker: "worker-2",
      progress: null,
      progress_message: null,
    });
    expect(row.lease_in_ms).toBeGreaterThan(25_000);
    expect(row.lease_in_ms).toBeLessThanOrEqual(30_000);
    expect(row.started_ms_ago).toBeLessThan(5_000);
  });

  test("hands the handler exactly what the row holds", async () => {
    const input = '{"b":1.0, "a":-0.0,"n":18446744073709551616,"u":"\\u0000\\ud800"}';
    const id = await createTask(database, {
      input,
      labels: '{"team":"images","__proto__":"x"}',
      traceContext: "00-abc-def-01",
      tenant: "acme",
      priority: -7,
      failures: 2,
      dueInMs: -5_000,
      timeoutMs: 11,
      graceMs: 12,
      maxAttempts: 13,
      backoffMs: 14,
      maxBackoffMs: 15,
    });
    const verdict = await verdictOf(id);
    if (verdict?.kind !== "claimed") throw new Error(`expected a claim, got ${verdict?.kind}`);
    const { waitMs, createdAt, labels, ...rest } = verdict.task;
    expect(rest).toEqual({
      id,
      attempt: 1,
      failures: 2,
      name: "demo",
      queue: "default",
      tenant: "acme",
      priority: -7,
      inputText: input,
      inputRef: null,
      traceContext: "00-abc-def-01",
      limited: false,
      step: null,
      policy: { timeoutMs: 11, graceMs: 12, maxAttempts: 13, backoffMs: 14, maxBackoffMs: 15 },
    });
    expect(Object.entries(labels)).toEqual([
      ["team", "images"],
      ["__proto__", "x"],
    ]);
    expect(createdAt).toBeInstanceOf(Date);
    expect(waitMs).toBeGreaterThanOrEqual(5_000);
    expect(waitMs).toBeLessThan(10_000);
  });

  test("without input and labels has neither", async () => {
    const id = await createTask(database);
    expect(await verdictOf(id)).toMatchObject({
      kind: "claimed",
      task: { inputText: null, inputRef: null, labels: {} },
    });
  });

  test("names the stored payload instead of an input", async () => {
    const id = await createTask(database, { inputRef: "v1/2026-01-01/x/y" });
    expect(await verdictOf(id)).toMatchObject({
      kind: "claimed",
      task: { inputText: null, inputRef: "v1/2026-01-01/x/y" },
    });
  });

  test("leaves the doorbell of an earlier ring alone: it is settled by its sender", async () => {
    const id = await createTask(database);
    const outboxId = await createOutboxRow(database, { taskId: id, sendInMs: 5_000 });
    await verdictOf(id);
    expect((await readOutbox(database)).map((row) => row.id)).toEqual([outboxId]);
  });
});

describe("a message that wins nothing changes nothing", () => {
  test.each([
    ["succeeded", "finished"],
    ["failed", "finished"],
    ["cancelled", "finished"],
    ["skipped", "finished"],
    ["running", "running"],
    ["blocked", "contended"],
  ] as const)("a %s task has the verdict %s", async (state, kind) => {
    const id = await createTask(database, { state });
    const before = await readTask(database, id);
    expect(await verdictOf(id)).toEqual({ kind });
    const after = await readTask(database, id);
    expect({ ...after, lease_in_ms: 0, due_in_ms: 0, announced_ms_ago: 0, started_ms_ago: 0 }).toEqual({
      ...before,
      lease_in_ms: 0,
      due_in_ms: 0,
      announced_ms_ago: 0,
      started_ms_ago: 0,
    });
    expect(await readOutbox(database)).toEqual([]);
  });

  test("a running task whose lease has expired is left to the reaper", async () => {
    const id = await createTask(database, { state: "running", leaseInMs: -60_000 });
    expect(await verdictOf(id)).toEqual({ kind: "running" });
    expect(await readTask(database, id)).toMatchObject({ state: "running", attempt: 1, losses: 0, worker: "worker-1" });
  });

  test("an id without a row is missing", async () => {
    expect(await verdictOf(randomUUID())).toEqual({ kind: "missing" });
  });

  test("a queued task that another claim holds at this moment is contended", async () => {
    const id = await createTask(database);
    const other = await hold(database, (tx) => tx.query({ name: "lock-row", text: LOCK_ROW }, [id]));
    expect(await verdictOf(id)).toEqual({ kind: "contended" });
    await other.end();
    expect(await verdictOf(id)).toMatchObject({ kind: "claimed" });
  });

  test("a task that another claim holds does not keep the others from their verdicts", async () => {
    const [held, early] = await createTasks(database, [{}, { dueInMs: 60_000 }]);
    if (held === undefined || early === undefined) throw new Error("expected two ids");
    const other = await hold(database, (tx) => tx.query({ name: "lock-row", text: LOCK_ROW }, [held]));
    const verdicts = await claim(database, [held, early], OPTIONS);
    await other.end();
    expect([held, early].map((id) => verdicts.get(id))).toEqual([{ kind: "contended" }, { kind: "not_due" }]);
  });

  test("two claims at once: one wins", async () => {
    const id = await createTask(database);
    const [first, second] = await Promise.all([verdictOf(id), verdictOf(id, { worker: "worker-3" })]);
    const kinds = [first?.kind, second?.kind].sort();
    expect(kinds[0]).toBe("claimed");
    expect(["contended", "running"]).toContain(kinds[1]);
    expect(await readTask(database, id)).toMatchObject({ attempt: 1 });
  });
});

describe("a queued task that is not due", () => {
  test("stays queued, and a doorbell for its due time is in the outbox", async () => {
    const id = await createTask(database, { dueInMs: 60_000, announcedMsAgo: -60_000 });
    expect(await verdictOf(id)).toEqual({ kind: "not_due" });
    expect(await readTask(database, id)).toMatchObject({ state: "queued", attempt: 0 });
    const [row, ...others] = await readOutbox(database);
    expect(others).toEqual([]);
    expect(row).toMatchObject({ kind: "doorbell", task_id: id, queue: "default" });
    expect(row?.send_in_ms).toBeGreaterThan(55_000);
    expect(row?.send_in_ms).toBeLessThanOrEqual(60_000);
  });

  test("keeps the one outbox row it has, at the due time", async () => {
    const id = await createTask(database, { dueInMs: 60_000 });
    await createOutboxRow(database, { taskId: id, sendInMs: 60_000 });
    await verdictOf(id);
    const rows = await readOutbox(database, id);
    expect(rows).toHaveLength(1);
    expect(rows[0]?.send_in_ms).toBeGreaterThan(55_000);
  });

  test("is not due for a worker that does not know it either", async () => {
    const id = await createTask(database, { dueInMs: 60_000, name: "new" });
    expect(await verdictOf(id)).toEqual({ kind: "not_due" });
  });

  test("that is rung too early by a sender which has not settled yet is rung again when due", async () => {
    const id = await createTask(database, { dueInMs: 60_000 });
    const early = await createOutboxRow(database, { taskId: id });
    expect(await verdictOf(id)).toEqual({ kind: "not_due" });
    const [row] = await readOutbox(database, id);
    expect(row?.id).not.toBe(early);
  });
});

describe("a queued task of an unknown name", () => {
  test("is rung again in half a minute", async () => {
    const id = await createTask(database, { name: "new", dueInMs: -60_000 });
    expect(await verdictOf(id)).toEqual({ kind: "unknown_task" });
    expect(await readTask(database, id)).toMatchObject({ state: "queued", attempt: 0, failures: 0, losses: 0 });
    const [row] = await readOutbox(database, id);
    expect(row?.kind).toBe("doorbell");
    expect(row?.send_in_ms).toBeGreaterThan(25_000);
    expect(row?.send_in_ms).toBeLessThanOrEqual(30_000);
  });

  test("is claimed by the worker that knows it", async () => {
    const id = await createTask(database, { name: "new", dueInMs: -HOUR_MS * 2 });
    expect(await verdictOf(id, { knownTasks: ["demo", "new"] })).toMatchObject({
      kind: "claimed",
      task: { name: "new" },
    });
  });

  test("fails after an hour of being due, with a copy to the dead-letter queue", async () => {
    const id = await createTask(database, { name: 'ne"w %s', dueInMs: -HOUR_MS - 1_000 });
    expect(await verdictOf(id)).toEqual({ kind: "unknown_expired" });
    const row = await readTask(database, id);
    expect(row).toMatchObject({ state: "failed", attempt: 0, finished: true });
    expect(JSON.parse(row.error ?? "")).toMatchObject({ code: "unknown_task", type: "UnknownTask" });
    expect(JSON.parse(row.error ?? "").message).toContain('ne"w %s');
    expect(await readOutbox(database, id)).toMatchObject([{ kind: "dead_letter" }]);
    expect(await readAttemptLog(database, id)).toEqual([]);
  });

  test("does not fail an hour after it was made, when it has only just become due", async () => {
    const id = await createTask(database, { name: "new", createdMsAgo: HOUR_MS * 3, dueInMs: -1_000 });
    expect(await verdictOf(id)).toEqual({ kind: "unknown_task" });
  });

  test("that fails tells the producer who waits for a reply", async () => {
    const id = await createTask(database, { name: "new", dueInMs: -HOUR_MS * 2, replyKey: "results/1" });
    await verdictOf(id);
    expect((await readOutbox(database, id)).map((row) => row.kind).sort()).toEqual(["dead_letter", "result"]);
  });
});

describe("several messages", () => {
  test("each has the verdict of its own row", async () => {
    const ids = await createTasks(database, [
      {},
      { state: "running" },
      { state: "failed", error: SAMPLE_ERROR },
      { dueInMs: 60_000 },
      { name: "new" },
      { name: "new", dueInMs: -HOUR_MS * 2 },
      {},
    ]);
    const missing = randomUUID();
    const verdicts = await claim(database, [...ids, missing].reverse(), OPTIONS);
    expect([...ids, missing].map((id) => verdicts.get(id)?.kind)).toEqual([
      "claimed",
      "running",
      "finished",
      "not_due",
      "unknown_task",
      "unknown_expired",
      "claimed",
      "missing",
    ]);
  });

  test("keep what was won when the reasons for the others cannot be had: those are looked at again", async () => {
    const impatient = openDatabase({
      connectionString: testDatabase.url,
      max: 1,
      applicationName: "impatient",
      lockTimeoutMs: 100,
    });
    const [due, early] = await createTasks(database, [{}, { dueInMs: 60_000 }]);
    if (due === undefined || early === undefined) throw new Error("expected two ids");
    const outboxId = await createOutboxRow(database, { taskId: early, sendInMs: 60_000 });
    const sender = await hold(database, (tx) =>
      tx.raw.query("select from taskiq.outbox where id = $1 for update", [outboxId]),
    );
    const verdicts = await claim(impatient, [due, early], OPTIONS);
    await sender.end();
    await impatient.close();
    expect(verdicts.get(due)).toMatchObject({ kind: "claimed", task: { attempt: 1 } });
    expect(verdicts.get(early)).toEqual({ kind: "contended" });
    expect(await readTask(database, early)).toMatchObject({ state: "queued", attempt: 0 });
  });

  test("for one task make one attempt", async () => {
    const id = await createTask(database);
    const verdicts = await claim(database, [id, id, id], OPTIONS);
    expect([...verdicts.keys()]).toEqual([id]);
    expect(await readTask(database, id)).toMatchObject({ attempt: 1 });
  });

  test("one after the other for one task make one attempt", async () => {
    const id = await createTask(database);
    expect(await verdictOf(id)).toMatchObject({ kind: "claimed" });
    expect(await verdictOf(id)).toEqual({ kind: "running" });
    expect(await readTask(database, id)).toMatchObject({ attempt: 1, worker: "worker-2" });
  });

  test("none at all are no error", async () => {
    expect(await claim(database, [], OPTIONS)).toEqual(new Map());
  });

  test("for the same tasks in shuffled order from 8 connections: one claim a task, no deadlock", async () => {
    const ids = await createTasks(
      database,
      Array.from({ length: 60 }, () => ({})),
    );
    const claims = await Promise.all(
      Array.from({ length: 48 }, (_, round) =>
        claim(database, shuffled(ids, round).slice(0, 10), { ...OPTIONS, worker: `worker-${round}` }),
      ),
    );
    const won = claims.flatMap((verdicts) => [...verdicts].filter(([, verdict]) => verdict.kind === "claimed"));
    expect(new Set(won.map(([id]) => id)).size).toBe(won.length);
    const rows = await ask<{ attempt: number; state: string }>(database, "select attempt, state from taskiq.task");
    expect(rows.filter((row) => row.state === "running")).toHaveLength(won.length);
    expect(rows.every((row) => row.attempt <= 1)).toBe(true);
  });

  test("that all only ring again, in shuffled order from 8 connections: one doorbell a task, no deadlock", async () => {
    const ids = await createTasks(
      database,
      Array.from({ length: 40 }, (_, index) => (index % 2 === 0 ? { dueInMs: 60_000 } : { name: "new" })),
    );
    await Promise.all(
      Array.from({ length: 48 }, (_, round) => claim(database, shuffled(ids, round).slice(0, 10), OPTIONS)),
    );
    await claim(database, ids, OPTIONS);
    expect((await readOutbox(database)).map((row) => row.task_id).sort()).toEqual([...ids].sort());
  });
});

const LOCK_ROW = "select id from taskiq.task where id = $1::uuid for update";
