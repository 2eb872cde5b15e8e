/**
 * What the statements of the hot path cost when the table is large. A worker connects while the table is empty and keeps
 * the plans it made then; a plan that was right for no rows reads all of them for each claim, until somebody analyzes.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { loadSql, type Statement } from "../../runtime/postgres/sql.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { ask, SAMPLE_ERROR } from "../support/tasks.ts";

const FINISHED = 50_000;
const QUEUED = 10_000;
const RUNNING = 200;
const BATCH = 10;

/** The n-th of the rows that `fill` makes. */
const idOf = (n: number) => `00000000-0000-7000-8000-${String(n).padStart(12, "0")}`;
const spread = (from: number, count: number) =>
  Array.from({ length: BATCH }, (_, index) => idOf(from + 1 + Math.floor((index * count) / BATCH)));

const finished = spread(0, FINISHED);
const queued = spread(FINISHED, QUEUED);
const running = spread(FINISHED + QUEUED, RUNNING);
const ORDERED = 5_000;
const URGENT = 5_000;
const LIMITED = 5_000;
const limited = spread(FINISHED + QUEUED + RUNNING + ORDERED + URGENT, LIMITED);
const each = (value: unknown) => running.map(() => value);

/** The parameters that all listing statements begin with: tenant, states, name, queue, labels, times. */
const LISTED = (states: unknown, name: string | null) => ["default", states, name, null, null, null, null, null, null];

type Hot = { readonly file: string; readonly params: readonly unknown[]; readonly maxBlocks: number };

/** With the blocks they may touch: some dozens a row they change. The whole table has thousands. */
const HOT: readonly Hot[] = [
  { file: "flow/claim.sql", params: [queued, "worker-1", 30_000, ["demo"]], maxBlocks: 600 },
  { file: "flow/claim.sql", params: [finished, "worker-1", 30_000, ["demo"]], maxBlocks: 300 },
  { file: "flow/decline.sql", params: [finished, ["demo"], 3_600_000, 30_000], maxBlocks: 300 },
  { file: "flow/decline.sql", params: [queued, [], 86_400_000, 30_000], maxBlocks: 600 },
  { file: "flow/extend.sql", params: [running, each(1), 30_000, each(null), each(null)], maxBlocks: 300 },
  { file: "flow/read-attempts.sql", params: [running, each(1)], maxBlocks: 100 },
  { file: "flow/lock-attempt.sql", params: [running[0], 1], maxBlocks: 20 },
  { file: "flow/complete.sql", params: [running, each(1), each("1"), each(null)], maxBlocks: 400 },
  {
    file: "flow/fail.sql",
    params: [running, each(1), each(JSON.stringify(SAMPLE_ERROR)), each(0), each(true), []],
    maxBlocks: 600,
  },
  { file: "flow/release.sql", params: [running, each(1), []], maxBlocks: 600 },
  { file: "flow/lease-outbox.sql", params: [100, 30_000], maxBlocks: 3_000 },
  { file: "flow/settle-outbox.sql", params: [Array.from({ length: BATCH }, (_, index) => index + 1)], maxBlocks: 100 },
  { file: "flow/reap.sql", params: [200, []], maxBlocks: 500 },
  { file: "flow/ring-again.sql", params: ["default", 300_000, 100], maxBlocks: 4_000 },
  { file: "flow/prune.sql", params: [86_400_000, 100], maxBlocks: 500 },
  { file: "flow/read-recorded.sql", params: [finished], maxBlocks: 100 },
  {
    file: "flow/claim-group.sql",
    params: ["ordered", ["g1", "g2", "g3"], "worker-1", 30_000, ["demo"]],
    maxBlocks: 300,
  },
  { file: "flow/claim-best.sql", params: ["urgent", BATCH, "worker-1", 30_000, ["demo"]], maxBlocks: 600 },
  { file: "flow/cancel.sql", params: [queued, null, null], maxBlocks: 600 },
  { file: "flow/rearm.sql", params: [finished, null], maxBlocks: 200 },
  { file: "flow/lock-limits.sql", params: [limited], maxBlocks: 100 },
  { file: "flow/claim-limited.sql", params: [limited, "worker-1", 30_000], maxBlocks: 700 },
  { file: "flow/free-limits.sql", params: [[], ["k1"]], maxBlocks: 200 },
  { file: "flow/sweep-limits.sql", params: [10], maxBlocks: 3_000 },
  { file: "worker/read-signals.sql", params: [running, each(1), ["default"]], maxBlocks: 100 },
  { file: "api/read-finished.sql", params: [finished], maxBlocks: 100 },
  { file: "api/read-task.sql", params: [finished[0], "default"], maxBlocks: 20 },
  { file: "api/find-task.sql", params: [finished[0], "default"], maxBlocks: 20 },
  { file: "api/read-watched.sql", params: [running], maxBlocks: 100 },
  { file: "api/read-unsuccessful.sql", params: [running, 10], maxBlocks: 200 },
  // A page of fifty, and one that finds nothing among the 200 rows that it may look at.
  { file: "api/list-by-time.sql", params: [...LISTED(null, null), idOf(0), idOf(10 ** 9), 200, 51], maxBlocks: 400 },
  { file: "api/list-by-time.sql", params: [...LISTED(null, "none"), idOf(0), idOf(10 ** 9), 200, 51], maxBlocks: 400 },
  { file: "api/list-by-creation.sql", params: [...LISTED(null, null), null, null, 200, 51], maxBlocks: 50 },
  { file: "api/list-by-state.sql", params: [...LISTED("queued", null), null, null, 200, 51], maxBlocks: 600 },
  { file: "api/list-by-state.sql", params: [...LISTED("failed", "none"), null, null, 200, 51], maxBlocks: 50 },
  { file: "api/list-running.sql", params: ["default", ...LISTED(null, null).slice(2), null, null, 51], maxBlocks: 600 },
  { file: "api/read-workers.sql", params: [30_000, null, 1_000, 100], maxBlocks: 600 },
  { file: "api/match-retryable.sql", params: [...LISTED(["failed"], null), null, 0, 1_000], maxBlocks: 50 },
  { file: "api/match-cancellable.sql", params: [...LISTED(["running"], "none"), null, 0, 1_000], maxBlocks: 20_000 },
];

const statementOf = ({ file }: Hot): Statement => loadSql(new URL("../../runtime/", import.meta.url).href, `./${file}`);

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
  // Statistics come when the test says so. An empty table that was analyzed is the worst case: it is known to be empty.
  await ask(admin, "alter table taskiq.task set (autovacuum_enabled = off)");
  await ask(admin, "alter table taskiq.outbox set (autovacuum_enabled = off)");
  await ask(admin, "analyze taskiq.task, taskiq.outbox, taskiq.attempt");
  for (const hot of HOT) {
    // Postgres plans for the parameters five times before it thinks of keeping a plan.
    for (let time = 0; time < 7; time++) await longLived.query(statementOf(hot), hot.params);
  }
  await fill();
});

afterAll(async () => {
  await longLived.close();
  await admin.close();
  await testDatabase.drop();
});

describe.each([
  ["planned when the table was empty", ""],
  ["planned with statistics", "analyze taskiq.task, taskiq.outbox, taskiq.attempt"],
])("%s", (_when, before) => {
  beforeAll(async () => {
    if (before !== "") await ask(admin, before);
  });

  test.each(HOT)("$file finds its rows by an index, and touches few blocks", async (hot) => {
    const { nodes, blocks } = await explain(hot);
    expect(nodes.filter((node) => node.includes("Seq Scan"))).toEqual([]);
    expect(blocks).toBeLessThan(hot.maxBlocks);
  });
});

type PlanNode = {
  "Node Type": string;
  "Relation Name"?: string;
  "Shared Hit Blocks": number;
  "Shared Read Blocks": number;
  Plans?: PlanNode[];
};

/** Runs it with the plan that the connection keeps, and undoes what it did. */
async function explain(hot: Hot): Promise<{ nodes: string[]; blocks: number }> {
  const undo = Symbol("undo");
  let plan: PlanNode | undefined;
  const text = `explain (analyze, buffers, format json) execute "${statementOf(hot).name}" (${hot.params.map(literal).join(", ")})`;
  await longLived
    .transaction(async (tx) => {
      const { rows } = await tx.raw.query<{ "QUERY PLAN": string }>(text);
      plan = JSON.parse(rows[0]?.["QUERY PLAN"] ?? "[]")[0]?.Plan;
      throw undo;
    })
    .catch((error: unknown) => {
      if (error !== undo) throw error;
    });
  if (plan === undefined) throw new Error("expected a plan");
  return { nodes: nodesOf(plan), blocks: plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] };
}

function nodesOf(plan: PlanNode): string[] {
  return [`${plan["Node Type"]} ${plan["Relation Name"] ?? ""}`, ...(plan.Plans ?? []).flatMap(nodesOf)];
}

/** A parameter of ours as EXECUTE takes it: numbers, plain text, and arrays of them. */
function literal(value: unknown): string {
  if (value === null) return "null";
  if (!Array.isArray(value)) return `'${value}'`;
  return `'{${value.map((item) => (item === null ? "NULL" : JSON.stringify(String(item)))).join(",")}}'`;
}

async function fill(): Promise<void> {
  const id = (n: string) => `('00000000-0000-7000-8000-' || lpad((${n})::text, 12, '0'))::uuid`;
  await ask(
    admin,
    `insert into taskiq.task (id, name, queue, state, attempt, worker, lease_until, not_before, announced_at, finished_at,
       timeout_ms, grace_ms, max_attempts, backoff_ms, max_backoff_ms)
     select ${id("n")}, 'demo', 'default', state, 1, 'worker-1',
            case state when 'running' then now() + interval '1 hour' end,
            now() - interval '1 hour', now() - interval '1 hour',
            case state when 'succeeded' then now() - n * interval '1 second' end, 1, 1, 1, 1, 1
       from generate_series(1, ${FINISHED + QUEUED + RUNNING}) n,
            lateral (select case when n <= ${FINISHED} then 'succeeded' when n <= ${FINISHED + QUEUED} then 'queued' else 'running' end::taskiq.task_state) s (state)`,
  );
  const first = FINISHED + QUEUED + RUNNING;
  await ask(
    admin,
    `insert into taskiq.task (id, name, queue, state, not_before, announced_at, group_key, ordered_at, by_rank, limit_keys, parked_on,
       timeout_ms, grace_ms, max_attempts, backoff_ms, max_backoff_ms)
     select ${id(`n + ${first}`)}, 'demo', kind, 'queued', now() - interval '1 hour', now() - interval '1 hour',
            case kind when 'ordered' then 'g' || n % 50 end, case kind when 'ordered' then now() - n * interval '1 second' end,
            kind = 'urgent',
            case kind when 'default' then array['k' || n % 20] end,
            case when kind = 'default' and n % 2 = 0 then 'k' || n % 20 end, 1, 1, 1, 1, 1
       from generate_series(1, ${ORDERED + URGENT + LIMITED}) n,
            lateral (select case when n <= ${ORDERED} then 'ordered' when n <= ${ORDERED + URGENT} then 'urgent' else 'default' end) k (kind)`,
  );
  await ask(
    admin,
    "insert into taskiq.limit_key (key, max, running) select 'k' || n, 1000, n from generate_series(0, 19) n",
  );
  await ask(
    admin,
    `insert into taskiq.outbox (kind, task_id, queue, send_at)
     select 'doorbell', id, queue, now() from taskiq.task where state = 'queued' order by id limit ${QUEUED / 2}`,
  );
}
