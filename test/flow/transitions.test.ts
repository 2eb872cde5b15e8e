import { randomUUID } from "node:crypto";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { fail } from "../../runtime/flow/fail.ts";
import { reap } from "../../runtime/flow/reap.ts";
import { release } from "../../runtime/flow/release.ts";
import { TASK_STATES, type TaskError, type TaskState, TRANSITIONS } from "../../runtime/model/task.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { loadSql } from "../../runtime/postgres/sql.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import {
  ask,
  clearTasks,
  createOutboxRow,
  createTask,
  createTasks,
  readOutbox,
  readTask,
  SAMPLE_ERROR,
  type TaskColumns,
} from "../support/tasks.ts";
import { forgetMoves, movesSeen, violations, watchTasks } from "./audit.ts";

const FLOW = new URL("../../runtime/flow/", import.meta.url);
const DAY_MS = 86_400_000;
const ATTEMPT = 3;

const RUN = randomUUID();

/** Rows of one call: all, those of steps that have ended, and one step that runs. */
type Rows = { readonly ended: readonly string[]; readonly running: string };

/** How every statement of flow/ is called for a set of tasks: the parameters differ, the rows are the same. */
const CALLS: Record<string, (ids: readonly string[], rows: Rows) => readonly (readonly unknown[])[]> = {
  advance: (_, { ended }) => [[ended, 0]],
  adopt: (ids) => [adoptAgain(ids, null), adoptAgain(ids, SAMPLE_ERROR)],
  "await-elements": () => [[randomUUID(), 1]],
  "cancel-run": () => [
    [RUN, null, "not needed", null],
    [RUN, "default", null, JSON.stringify(SAMPLE_ERROR)],
    [RUN, "somebody else", null, null],
  ],
  "complete-steps": (ids) =>
    fences(ids).flatMap((fence) =>
      [false, true].map((skipped) => [
        ids,
        fence,
        ids.map(() => (skipped ? null : '"new"')),
        ids.map(() => null),
        ids.map(() => skipped),
        [RUN],
        0,
        skipped ? "worker-2" : null,
        30_000,
        ["demo"],
        ["default"],
        ids.map(() => null),
      ]),
    ),
  expand: (_, { running }) => [
    [running, ATTEMPT, 2],
    [running, ATTEMPT, 0],
    [running, ATTEMPT - 1, 2],
  ],
  "expand-elements": (_, { running }) => [[running, [randomUUID()], ["k[0]"], [null], [null], [0], false]],
  "keep-steps": (_, { ended }) => [[randomUUID(), ended, ended.map(() => randomUUID())]],
  "lock-free-runs": () => [[[RUN]]],
  "lock-run-tasks": () => [[RUN, null]],
  "lock-runs": () => [[[RUN]]],
  "overdue-runs": () => [[10]],
  "prune-runs": () => [[DAY_MS, 10]],
  "read-expired-held": () => [[1_000]],
  "read-origin": () => [[RUN, null]],
  "read-origin-steps": () => [[RUN]],
  "read-run-state": () => [[RUN]],
  "repeat-elements": (_, { ended }) => [[randomUUID(), ended, ended.map(() => randomUUID())]],
  "resume-run": () => [
    [RUN, null],
    [RUN, "somebody else"],
  ],
  "submit-edges": (ids) => [[ids, ids.map(() => randomUUID()), ids.map(() => false)]],
  "submit-run": () => [newRun()],
  "submit-steps": () => [newSteps(0), newSteps(1)],
  cancel: (ids) => [
    [ids, null, "not needed"],
    [ids, "default", null],
    [ids, "somebody else", null],
  ],
  claim: (ids) => [
    [ids, "worker-2", 30_000, ["demo"]],
    [ids, "worker-2", 30_000, []],
  ],
  bury: (ids) => [[ids, "not needed", 1_000]],
  "claim-best": () => [
    ["default", 1_000, "worker-2", 30_000, ["demo"]],
    ["default", 1_000, "worker-2", 30_000, []],
  ],
  "claim-limited": (ids) => [[ids, "worker-2", 30_000]],
  "claim-group": () => [
    ["default", ["a", "b"], "worker-2", 30_000, ["demo"]],
    ["default", ["a", "b"], "worker-2", 30_000, []],
  ],
  complete: (ids) => fences(ids).map((fence) => [ids, fence, ids.map(() => '"new"'), ids.map(() => null)]),
  decline: (ids) => [
    [ids, ["demo"], 3_600_000, 30_000],
    [ids, [], 3_600_000, 30_000],
    [ids, [], 0, 30_000],
  ],
  extend: (ids) => fences(ids).map((fence) => [ids, fence, 30_000, ids.map(() => 0.5), ids.map(() => "half")]),
  fail: (ids) =>
    fences(ids).flatMap((fence) =>
      [null, 0, 60_000].map((retryAfterMs) => [
        ids,
        fence,
        ids.map(() => JSON.stringify(SAMPLE_ERROR)),
        ids.map(() => retryAfterMs),
        ids.map(() => true),
        [RUN],
      ]),
    ),
  "ensure-limits": () => [[["k"], [1], [null]]],
  "free-limits": (ids) => [
    [[], ["k"]],
    [ids.slice(0, 1), []],
  ],
  "dig-up": () => [[10]],
  "lease-outbox": () => [[1_000, 30_000]],
  "lock-limits": (ids) => [[ids]],
  "lock-redriven": (ids) => [
    [ids, "default", null, 4_000_000_000_000],
    [ids, "default", "somebody else", 4_000_000_000_000],
    [ids, "other", null, 0],
  ],
  "pause-queue": () => [["default", "somebody"]],
  "redrive-begin": () => [[]],
  "resume-queue": () => [["default"]],
  ring: (ids) => [[ids]],
  "lock-attempt": (ids) => ids.map((id) => [id, ATTEMPT]),
  park: (ids) => [
    [ids, ids.map(() => "k"), ids.map(() => null), [], []],
    [ids, ids.map(() => null), ids.map(() => 1_000), ["k"], [2_000]],
  ],
  "postpone-outbox": () => [[Array.from({ length: 1_000 }, (_, index) => index + 1), 3_000]],
  prune: () => [[DAY_MS, 1_000]],
  "prune-idempotency": () => [[1_000]],
  "prune-tombstones": () => [[1_000]],
  "prune-workers": () => [[]],
  "read-attempts": (ids) => fences(ids).map((fence) => [ids, fence]),
  "read-contenders": (ids) => [[ids, ["demo"]]],
  "read-idempotency": () => [[["default"], ["key"]]],
  "read-recorded": (ids) => [[ids]],
  rearm: (ids) => [
    [ids, null],
    [ids, "default"],
    [ids, "somebody else"],
  ],
  reap: (ids) => [
    [1_000, []],
    [1_000, ids],
  ],
  release: (ids) => fences(ids).map((fence) => [ids, fence, [RUN]]),
  "ring-again": () => [["default", 60_000, 1_000]],
  "schedule-advance": () => [[...Array.from({ length: 5 }, () => []), []]],
  "schedule-create": () => [newSchedule()],
  "schedule-delete": ([id]) => [[id, "default"]],
  "schedule-due": () => [[[], 10]],
  "schedule-list": () => [["default", "", null, 10]],
  "schedule-now": () => [[]],
  "schedule-pause": ([id]) => [[id, "default"]],
  "schedule-read": ([id]) => [[id, "default"]],
  "schedule-refuse": ([id]) => [[id, new Date(0), "{}", 0]],
  "schedule-resume": ([id]) => [[id, "default", new Date(0)]],
  "settle-outbox": () => [[Array.from({ length: 1_000 }, (_, index) => index + 1)]],
  submit: (ids) => [submitAgain(ids)],
  "sweep-limits": () => [[10]],
};

/** The attempt of the rows, the one before and the one after. */
function fences(ids: readonly string[]): number[][] {
  return [ATTEMPT, ATTEMPT - 1, ATTEMPT + 1].map((attempt) => ids.map(() => attempt));
}

/** No task's state depends on it. */
function newSchedule(): unknown[] {
  const timing = [null, null, 60_000, new Date(0)];
  const none = [null, null, null, null, null];
  return [
    randomUUID(),
    "default",
    randomUUID(),
    "demo",
    ...none,
    ...timing,
    "one",
    100,
    "allow",
    true,
    new Date(0),
    null,
  ];
}

function newRun(): unknown[] {
  const id = randomUUID();
  return [id, "default", null, "orchestrated", 0, null, null, "{}", null, null, null, id, 1, null, null, null, null, 0];
}

function newSteps(pending: number): unknown[] {
  const step = [randomUUID(), "s", "demo", "default", 0, null, null, null, null, "skip", pending];
  const policy = [1, 1, 1, 1, 1, 1, "inline", "requeue", null, false, null];
  return [RUN, "default", null, null, ...[...step, ...policy].map((value) => [value]), 0];
}

/** A submission with the ids of rows that exist, as after a lost answer. */
/** A foreign producer sends messages with the ids of tasks that are there. */
function adoptAgain(ids: readonly string[], error: TaskError | null): unknown[] {
  const each = <Value>(value: Value) => ids.map(() => value);
  const policy = [each(60_000), each(1_000), each(3), each(0), each(0), each(5), each("inline"), each("requeue")];
  const known = [ids, each(null), each("demo"), each("default"), each(0), each(null), each("{}"), each(null)];
  const ends = [each(null), each(null), each(error === null ? null : JSON.stringify(error))];
  const place = ["default", false, true, "worker-2", 30_000];
  return [...known, each('"new"'), each(null), each("reply"), ...policy, ...ends, ...place];
}

function submitAgain(ids: readonly string[]): unknown[] {
  const all = (value: unknown) => ids.map(() => value);
  const policy = [all(1), all(1), all(1), all(1), all(1), all(1), all("inline"), all("requeue")];
  const identity = [ids, all(null), all("demo"), all("default"), all("default"), all(0), all(0), all(null)];
  return [
    ...identity,
    all(null),
    all(null),
    all(null),
    all(null),
    all(null),
    ...policy,
    ids,
    all(null),
    all(null),
    1_000,
    5_000,
    all(null),
    all(false),
    all(null),
  ];
}

/** Steps of a run with their parents: for every way in which a parent may end, a child of each kind. */
async function createGraph(): Promise<Rows & { readonly ids: readonly string[] }> {
  await ask(
    database,
    `delete from taskiq.run where id = '${RUN}';
     insert into taskiq.run (id, graph, root_run_id, steps, open_steps) values ('${RUN}', '{}', '${RUN}', 100000, 100000)`,
  );
  const step = { runId: RUN, stepKey: "s", attempt: ATTEMPT };
  const ended: string[] = [];
  const ids: string[] = [];
  for (const state of ["succeeded", "failed", "cancelled", "skipped"] as const) {
    for (const child of [{}, { onParentFailure: "cancel" }, { onParentFailure: "run" }, { elements: 1 }]) {
      const [parent = "", blocked = ""] = await createTasks(database, [
        { ...step, state },
        { ...step, state: "blocked", ...child },
      ]);
      await ask(database, "insert into taskiq.edge (parent, child) values ($1, $2)", [parent, blocked]);
      ended.push(parent);
      ids.push(parent, blocked);
    }
  }
  const [running = "", ...others] = await createTasks(database, [
    { ...step, state: "running" },
    { ...step, state: "running", leaseInMs: -1_000, onLost: "fail" },
    { ...step, state: "running", leaseInMs: -1_000, cancelRequested: true },
    { ...step, state: "queued" },
    { ...step, state: "queued", name: "unknown", dueInMs: -DAY_MS },
  ]);
  // The worker that ends the one goes on with the other.
  const [next = ""] = await createTasks(database, [{ ...step, state: "blocked", onParentFailure: "run" }]);
  await ask(database, "insert into taskiq.edge (parent, child) values ($1, $2)", [running, next]);
  return { ended, running, ids: [...ids, running, next, ...others] };
}

/** Every kind of row there can be in a state, as far as a statement may tell them apart. */
function variants(state: TaskState): TaskColumns[] {
  const base: TaskColumns = { state, attempt: ATTEMPT };
  const common: TaskColumns[] = [base, { ...base, replyKey: "results/1" }, { ...base, name: "unknown" }];
  switch (state) {
    case "blocked":
      return [...common, { ...base, cancelRequested: true }, { ...base, dueInMs: -DAY_MS, announcedMsAgo: DAY_MS }];
    case "queued":
      return [
        ...common,
        { ...base, dueInMs: 60_000 },
        { ...base, dueInMs: -DAY_MS, announcedMsAgo: DAY_MS },
        { ...base, name: "unknown", dueInMs: -DAY_MS },
        { ...base, byRank: true },
        { ...base, limitKeys: ["k"] },
        { ...base, limitKeys: ["k"], parkedOn: "k" },
        { ...base, groupKey: "a" },
        { ...base, groupKey: "a", attempt: 0, dueInMs: 60_000 },
      ];
    case "running": {
      const expired = { ...base, leaseInMs: -1_000 };
      return [
        ...common,
        expired,
        { ...base, cancelRequested: true },
        { ...expired, cancelRequested: true },
        { ...expired, onLost: "fail" },
        { ...expired, losses: 5 },
        { ...expired, replyKey: "results/1" },
        { ...base, groupKey: "b" },
        { ...base, limitKeys: ["k"] },
        { ...expired, limitKeys: ["k"] },
      ];
    }
    default:
      return [
        ...common,
        { ...base, finishedMsAgo: 2 * DAY_MS },
        { ...base, dueInMs: -DAY_MS, announcedMsAgo: DAY_MS },
        { ...base, cancelRequested: true },
      ];
  }
}

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 4, applicationName: "transitions test" });
  await watchTasks(database);
});

beforeEach(async () => {
  await clearTasks(database);
  await forgetMoves(database);
});

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

describe("every pair of state and statement", () => {
  const names = readdirSync(fileURLToPath(FLOW)).flatMap((file) => (file.endsWith(".sql") ? [file.slice(0, -4)] : []));

  test("is driven: no statement of flow/ is left out", () => {
    expect(Object.keys(CALLS).sort()).toEqual([...names].sort());
  });

  test("makes the moves of TRANSITIONS, all of them and no others, and replaces no outcome", async () => {
    for (const name of names) {
      const statement = loadSql(FLOW.href, `./${name}.sql`);
      const none = "00000000-0000-0000-0000-000000000000";
      const count = CALLS[name]?.([none], { ended: [none], running: none }).length ?? 0;
      for (let call = 0; call < count; call++) {
        const graph = await createGraph();
        const ids = [...(await createTasks(database, TASK_STATES.flatMap(variants))), ...graph.ids];
        for (const id of ids) await createOutboxRow(database, { taskId: id, sendInMs: call % 2 === 0 ? 0 : 60_000 });
        // Rows with a message to send are not pruned.
        if (name === "prune") await ask(database, "delete from taskiq.outbox");
        const params = CALLS[name]?.(ids, graph)[call];
        if (params !== undefined) await database.query(statement, params);
        expect(await violations(database)).toEqual([]);
        await clear();
      }
    }
    const legal = TASK_STATES.flatMap((from) => TRANSITIONS[from].map((to) => `${from} -> ${to}`));
    const seen = (await movesSeen(database)).filter((move) => !move.endsWith("gone"));
    expect(seen).toEqual(legal.sort());
  });

  test("that deletes rows deletes only terminal ones", async () => {
    await createTasks(database, TASK_STATES.flatMap(variants));
    await database.query(loadSql(FLOW.href, "./prune.sql"), [DAY_MS, 1_000]);
    expect(await movesSeen(database)).toEqual([
      "cancelled -> gone",
      "failed -> gone",
      "skipped -> gone",
      "succeeded -> gone",
    ]);
  });
});

/** Removes the rows without their deletion being taken for a move. */
async function clear(): Promise<void> {
  await ask(database, "alter table taskiq.task disable trigger record_move");
  await ask(database, "delete from taskiq.task; delete from taskiq.edge");
  await ask(database, "alter table taskiq.task enable trigger record_move");
  await ask(database, "delete from taskiq.outbox; delete from taskiq.attempt");
}

describe("a running task whose cancel flag is set never goes back to queued:", () => {
  const flagged: TaskColumns = { state: "running", cancelRequested: true };

  test("not by a failure to be tried again", async () => {
    const id = await createTask(database, flagged);
    await fail(database, [{ id, attempt: 1, error: SAMPLE_ERROR, retryAfterMs: 0, deadLetter: true }]);
    expect(await readTask(database, id)).toMatchObject({ state: "cancelled", cancel_requested: true });
    expect(await readOutbox(database)).toEqual([]);
  });

  test("not by a release", async () => {
    const id = await createTask(database, flagged);
    await release(database, [{ id, attempt: 1 }]);
    expect(await readTask(database, id)).toMatchObject({ state: "cancelled", cancel_requested: true });
    expect(await readOutbox(database)).toEqual([]);
  });

  test("not by the reaper", async () => {
    const id = await createTask(database, { ...flagged, leaseInMs: -1 });
    await reap(database, 10);
    expect(await readTask(database, id)).toMatchObject({ state: "cancelled", cancel_requested: true });
    expect(await readOutbox(database)).toEqual([]);
  });
});

describe("the database itself refuses", () => {
  const REFUSED: Record<string, readonly TaskColumns[]> = {
    running_has_lease: [
      { state: "running", leaseInMs: null },
      { state: "running", worker: null },
      { state: "queued", worker: "worker-1", leaseInMs: 1_000 },
      { state: "succeeded", leaseInMs: 1_000 },
    ],
    finished_at_only_when_finished: [
      { state: "succeeded", finishedMsAgo: null },
      { state: "skipped", finishedMsAgo: null },
      { state: "queued", finishedMsAgo: 0 },
      { state: "running", finishedMsAgo: 0 },
    ],
    blocked_waits_for_parents: [
      { state: "blocked", pendingParents: 0 },
      { state: "blocked", pendingParents: -1 },
    ],
    runnable_waits_for_no_parent: [
      { state: "queued", pendingParents: 1 },
      { state: "running", pendingParents: 1 },
    ],
    cancel_flag_never_queued: [{ state: "queued", cancelRequested: true }],
    queued_is_announced: [{ state: "queued", announcedMsAgo: null }],
    result_only_when_succeeded: [
      { state: "failed", result: "1" },
      { state: "running", result: "1" },
      { state: "queued", resultRef: "v1/x" },
      { state: "cancelled", result: "null" },
    ],
    failed_has_error: [{ state: "failed", error: null }],
    input_inline_or_stored: [{ input: "1", inputRef: "v1/x" }],
    result_inline_or_stored: [{ state: "succeeded", result: "1", resultRef: "v1/x" }],
    counters_never_negative: [{ attempt: -1 }, { failures: -1 }, { losses: -1 }],
    step_belongs_to_run: [{ stepKey: "extract" }, { runId: "0190a5b6-0000-7000-8000-000000000000" }],
    priority_in_range: [{ priority: 101 }, { priority: -101 }],
    isolation_known: [{ isolation: "thread" }],
    on_lost_known: [{ onLost: "ignore" }],
    on_parent_failure_known: [{ onParentFailure: "ignore" }],
    parked_is_queued: [
      { state: "running", parkedOn: "k" },
      { state: "failed", parkedOn: "k" },
    ],
    grouped_has_order: [{ groupKey: "a", orderedInMs: null }, { orderedInMs: 0 }],
  };

  test("by rules that are all tried here", async () => {
    const rows = await ask<{ conname: string }>(
      database,
      "select conname from pg_constraint where conrelid = 'taskiq.task'::regclass and contype = 'c' order by conname",
    );
    expect(rows.map((row) => row.conname)).toEqual(Object.keys(REFUSED).sort());
  });

  const rows = Object.entries(REFUSED).flatMap(([rule, all]) => all.map((columns) => ({ rule, columns })));
  test.each(rows)("$columns because of $rule", async ({ rule, columns }) => {
    await expect(createTask(database, columns)).rejects.toMatchObject({ code: "23514", constraint: rule });
  });

  test("two messages of one kind for one task", async () => {
    const taskId = await createTask(database);
    await createOutboxRow(database, { taskId });
    await expect(createOutboxRow(database, { taskId })).rejects.toMatchObject({
      constraint: "one_message_per_task_and_kind",
    });
  });

  test("an attempt that ended in a way nobody knows", async () => {
    const insert = ask(
      database,
      "insert into taskiq.attempt (task_id, attempt, outcome) values (gen_random_uuid(), 1, 'lucky')",
    );
    await expect(insert).rejects.toMatchObject({ constraint: "outcome_known" });
  });
});

test("rank is the due time less a minute for each level of priority, in every time zone", async () => {
  const ids = await createTasks(database, [{ priority: 0 }, { priority: 2 }, { priority: -3 }]);
  for (const zone of ["UTC", "Asia/Kathmandu", "America/New_York"]) {
    const rows = await database.transaction(async (tx) => {
      await tx.raw.query(`set local time zone '${zone}'`);
      await tx.raw.query("update taskiq.task set not_before = timestamptz '2026-03-08 06:59:30+00'");
      const { rows: ranks } = await tx.raw.query(
        "select (extract(epoch from not_before - rank))::int as seconds from taskiq.task where id = any($1) order by priority",
        [ids],
      );
      return ranks;
    });
    expect(rows).toEqual([{ seconds: -180 }, { seconds: 0 }, { seconds: 120 }]);
  }
});
