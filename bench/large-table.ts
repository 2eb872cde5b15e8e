/**
 * Claim and complete on a table with 1,000,000 finished and 100,000 queued rows, against an empty one: two databases of one server, rounds
 * interleaved. A table that grows must not cost the hot path anything.
 *
 * `node bench/large-table.ts` (about two minutes). Options: --rounds 9 --tasks 2000
 */

import { parseArgs } from "node:util";
import { claim } from "../runtime/flow/claim.ts";
import { complete } from "../runtime/flow/complete.ts";
import { reap } from "../runtime/flow/reap.ts";
import { startLocalStack } from "../runtime/local/stack.ts";
import { migrate } from "../runtime/postgres/migrate.ts";
import { type Database, openDatabase } from "../runtime/postgres/pool.ts";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "9" }, tasks: { type: "string", default: "2000" } },
});
const ROUNDS = Number(values.rounds);
const TASKS = Number(values.tasks);
const FINISHED = 1_000_000;
const QUEUED = 100_000;
const BATCH = 10;
const OPTIONS = {
  queue: "default",
  worker: "bench",
  leaseMs: 30_000,
  knownTasks: ["noop"],
  unknownTaskAfterMs: 3_600_000,
};

type Round = { claimMs: number; completeMs: number; reapMs: number };

const stack = await startLocalStack({ keep: false, env: {} });
const serverUrl = String(stack.env.DATABASE_URL);
try {
  const [empty, large] = await Promise.all([makeDatabase("bench_empty"), makeDatabase("bench_large")]);
  await fill(large);
  const rounds: { empty: Round; large: Round }[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const first = round % 2 === 0;
    const a = await work(first ? empty : large);
    const b = await work(first ? large : empty);
    // The first one warms up.
    if (round > 0) rounds.push(first ? { empty: a, large: b } : { empty: b, large: a });
  }
  console.log("| statement | empty table | 1,000,000 finished and 100,000 queued | ratio |\n|---|---|---|---|");
  for (const [name, key, per] of [
    ["claim, batches of ten", "claimMs", TASKS],
    ["complete, batches of ten", "completeMs", TASKS],
    ["reap, nothing expired", "reapMs", 1],
  ] as const) {
    const us = (which: "empty" | "large") => (median(rounds.map((round) => round[which][key])) / per) * 1_000;
    const ratio = median(rounds.map((round) => round.large[key] / round.empty[key]));
    console.log(`| ${name} | ${us("empty").toFixed(0)} µs | ${us("large").toFixed(0)} µs | ${ratio.toFixed(2)} |`);
  }
  await Promise.all([empty.close(), large.close()]);
} finally {
  await stack.stop();
}

async function makeDatabase(name: string): Promise<Database> {
  const admin = openDatabase({ connectionString: serverUrl, max: 1, applicationName: "bench" });
  await raw(admin, `create database ${name}`, "alone");
  await admin.close();
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  await migrate(url.href);
  return openDatabase({
    connectionString: url.href,
    max: 2,
    applicationName: "bench",
    statementTimeoutMs: 300_000,
    queryTimeoutMs: 300_000,
  });
}

async function fill(database: Database): Promise<void> {
  await raw(
    database,
    `insert into taskiq.task (id, name, queue, state, attempt, worker, not_before, announced_at, finished_at,
       timeout_ms, grace_ms, max_attempts, backoff_ms, max_backoff_ms)
     select gen_random_uuid(), 'noop', 'default', case when n <= ${FINISHED} then 'succeeded' else 'queued' end::taskiq.task_state,
            1, 'bench', now() - interval '1 hour', now(), case when n <= ${FINISHED} then now() end, 1, 1, 1, 1, 1
       from generate_series(1, ${FINISHED + QUEUED}) n`,
  );
  await raw(database, "analyze taskiq.task");
}

/** New tasks, claimed and completed; what it takes to insert them does not count. */
async function work(database: Database): Promise<Round> {
  const ids = (
    await raw<{ id: string }>(
      database,
      `insert into taskiq.task (id, name, queue, state, not_before, announced_at, timeout_ms, grace_ms, max_attempts, backoff_ms, max_backoff_ms)
       select gen_random_uuid(), 'noop', 'default', 'queued', now(), now(), 1, 1, 1, 1, 1 from generate_series(1, ${TASKS}) returning id`,
    )
  ).map(({ id }) => id);
  const batches = Array.from({ length: TASKS / BATCH }, (_, nth) => ids.slice(nth * BATCH, (nth + 1) * BATCH));
  const claimMs = await timed(async () => {
    for (const batch of batches) await claim(database, batch, OPTIONS);
  });
  const reapMs = await timed(() => reap(database, 200));
  const completeMs = await timed(async () => {
    for (const batch of batches) {
      const outcomes = batch.map((id) => ({ id, attempt: 1, resultText: null, resultRef: null }));
      const recorded = await complete(database, outcomes);
      if (!recorded.every(Boolean)) throw new Error("expected every completion to be recorded");
    }
  });
  await raw(database, `delete from taskiq.task where id = any('{${ids.join(",")}}')`);
  return { claimMs, completeMs, reapMs };
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await run();
  return performance.now() - startedMs;
}

async function raw<Row extends object>(database: Database, text: string, mode?: "alone"): Promise<Row[]> {
  if (mode === "alone") return await database.query<Row>({ name: "", text }, []);
  return await database.transaction(async (tx) => (await tx.raw.query<Row>(text)).rows);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
