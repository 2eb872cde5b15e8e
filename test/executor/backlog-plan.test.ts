/**
 * What reading the backlog costs when the tables are large: it is done every few seconds, and least of all in an outage may it
 * become the load. No scan may visit more rows than the statement says it counts, whatever the table holds.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Database, openDatabase, type Transaction } from "../../runtime/postgres/pool.ts";
import { loadSql } from "../../runtime/postgres/sql.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { ask } from "../support/tasks.ts";

const FINISHED = 60_000;
const QUEUED = 30_000;
const RUNNING = 12_000;
/** What each count of the statement ends at. */
const COUNTED = 10_000;
const QUEUES = ["default", "ordered"];

const RUNTIME = new URL("../../runtime/", import.meta.url).href;
const READ_BACKLOG = loadSql(RUNTIME, "./executor/read-backlog.sql");
const EXTEND = loadSql(RUNTIME, "./flow/extend.sql");

let testDatabase: TestDatabase;
/** One connection, as old as the empty table. */
let longLived: Database;
let admin: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  admin = openDatabase({
    connectionString: testDatabase.url,
    max: 1,
    applicationName: "admin",
    statementTimeoutMs: 60_000,
    queryTimeoutMs: 60_000,
  });
  longLived = openDatabase({ connectionString: testDatabase.url, max: 1, applicationName: "long-lived" });
  await ask(admin, "alter table taskiq.task set (autovacuum_enabled = off)");
  await ask(admin, "alter table taskiq.outbox set (autovacuum_enabled = off)");
  await ask(admin, "analyze taskiq.task, taskiq.outbox, taskiq.worker");
  // Postgres plans for the parameters five times before it thinks of keeping a plan.
  for (let time = 0; time < 7; time++) await longLived.query(READ_BACKLOG, [QUEUES, 30_000]);
  await fill();
});

afterAll(async () => {
  await longLived.close();
  await admin.close();
  await testDatabase.drop();
});

describe.each([
  ["planned when the tables were empty", ""],
  ["planned with statistics", "analyze taskiq.task, taskiq.outbox, taskiq.worker"],
])("%s", (_when, before) => {
  test("every part finds its rows by an index and visits no more than it counts", async () => {
    if (before !== "") await ask(admin, before);
    const plan = await explain();
    const scans = nodesOf(plan).filter((node) => ["task", "outbox"].includes(node["Relation Name"] ?? ""));
    // Held attempts, owed messages and their tasks, the oldest of each queue, struggling tasks.
    expect(scans.length).toBe(5);
    for (const scan of scans) {
      expect(scan["Node Type"]).toMatch(/^Index (Only )?Scan$/);
      expect(scan["Actual Rows"] * scan["Actual Loops"]).toBeLessThanOrEqual(COUNTED);
      expect(scan["Rows Removed by Filter"] ?? 0).toBe(0);
    }
    // Four blocks for the look-up of a task, one for a row of another index.
    expect(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]).toBeLessThan(COUNTED * 7);
  });
});

test("its counts end at their limit", async () => {
  const [row] = await longLived.query<Record<string, number>>(READ_BACKLOG, [QUEUES, 30_000]);
  expect(row).toMatchObject({ due_in_outbox: COUNTED, outbox_pending: COUNTED, struggling: COUNTED });
});

test("the index it needs does not cost the heartbeat its HOT updates, not even for tasks that are in it", async () => {
  // Few a page: a heartbeat of many neighbours runs out of room on theirs, with any index.
  const held = await ask<{ id: string; attempt: number }>(
    admin,
    `select id, attempt
       from (select id, attempt, row_number() over (order by id) as nth from taskiq.task where state = 'running' and attempt >= 3) r
      where nth % 100 = 0
      order by id`,
  );
  expect(held.length).toBeGreaterThan(50);
  const none = held.map(() => null);
  const counts = await longLived.transaction(async (tx) => {
    const before = await counted(tx);
    await tx.query(EXTEND, [held.map((row) => row.id), held.map((row) => row.attempt), 30_000, none, none]);
    const after = await counted(tx);
    return { updated: after.updated - before.updated, hot: after.hot - before.hot };
  });
  expect(counts).toEqual({ updated: held.length, hot: held.length });
});

/** Updates of tasks by this connection that are not in the statistics yet. */
async function counted(tx: Transaction): Promise<{ updated: number; hot: number }> {
  const { rows } = await tx.raw.query<{ updated: number; hot: number }>(
    `select pg_stat_get_xact_tuples_updated('taskiq.task'::regclass)::int as updated,
            pg_stat_get_xact_tuples_hot_updated('taskiq.task'::regclass)::int as hot`,
  );
  return rows[0] ?? { updated: 0, hot: 0 };
}

type PlanNode = {
  "Node Type": string;
  "Relation Name"?: string;
  "Actual Rows": number;
  "Actual Loops": number;
  "Rows Removed by Filter"?: number;
  "Shared Hit Blocks": number;
  "Shared Read Blocks": number;
  Plans?: PlanNode[];
};

/** With the plan that the connection keeps. */
async function explain(): Promise<PlanNode> {
  return await longLived.transaction(async (tx) => {
    const { rows } = await tx.raw.query<{ "QUERY PLAN": string }>(
      `explain (analyze, buffers, format json) execute "${READ_BACKLOG.name}" ('{${QUEUES.join(",")}}', '30000')`,
    );
    return JSON.parse(rows[0]?.["QUERY PLAN"] ?? "[]")[0].Plan;
  });
}

function nodesOf(plan: PlanNode): PlanNode[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
}

/** An outage: everything is queued and owed, every second task struggles and more attempts run than are counted. */
async function fill(): Promise<void> {
  await ask(
    admin,
    `insert into taskiq.task (id, name, queue, state, attempt, worker, lease_until, not_before, announced_at, finished_at,
       timeout_ms, grace_ms, max_attempts, backoff_ms, max_backoff_ms)
     select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'demo', 'default', state, 1 + (n % 2) * 3,
            'worker-' || n % 100, case state when 'running' then now() + interval '1 hour' end,
            now() - interval '1 hour', now() - interval '1 hour',
            case state when 'succeeded' then now() - n * interval '1 second' end, 1, 1, 1, 1, 1
       from generate_series(1, ${FINISHED + QUEUED + RUNNING}) n,
            lateral (select case when n <= ${FINISHED} then 'succeeded' when n <= ${FINISHED + QUEUED} then 'queued' else 'running' end::taskiq.task_state) s (state)`,
  );
  await ask(
    admin,
    `insert into taskiq.outbox (kind, task_id, queue, send_at)
     select 'doorbell', id, queue, now() from taskiq.task where state = 'queued'`,
  );
  await ask(
    admin,
    `insert into taskiq.worker (name, version, queues, slots)
     select 'worker-' || n, '1', '{default}', 200 from generate_series(0, 99) n`,
  );
}
