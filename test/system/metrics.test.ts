/**
 * The counters against the rows, after a run in which tasks end in every way: at once, after retries, failed, cancelled before and while they ran,
 * lost with a killed worker, skipped and expanded in a graph. What a killed worker has counted is gone; what became of its tasks is not.
 */
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { freePort } from "../../runtime/local/ports.ts";
import { type Family, lintMetrics, parseMetrics, type Sample, sumOf } from "../support/metrics-text.ts";
import { type Api, type System, startSystem } from "../support/system.ts";
import { TIMES } from "../support/system-times.ts";
import { ask } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { type Gate, openGates, PLAIN, ref, untilOver } from "./run-work.ts";

const INTERVAL_MS = 1_000;
const MODULES = ["metered", "steps"].map((name) => fileURLToPath(new URL(`./tasks/${name}.ts`, import.meta.url)));
const ENV = {
  // What the killed worker had received and not claimed yet.
  ...TIMES.ringAgain,
  TASKIQ_TASK_MODULES: MODULES.join(","),
  TASKIQ_METRICS_INTERVAL_MS: String(INTERVAL_MS),
  TASKIQ_WORKER_SLOTS: "200",
  TASKIQ_LOG: "",
};

const BATCH = 1_000;
const HELD = 100;
const DELAYED = 100;
const FLAKY = 300;
const TASKS = 10_000;

const one = (task: string, input: unknown = null) => ({ task, input });
const many = (count: number, of: (nth: number) => object) => Array.from({ length: count }, (_, nth) => of(nth));

it("agree with the rows after 10,000 tasks with failures, retries, cancellations and a killed worker", {
  timeout: 2 * TIMES.testTimeoutMs,
}, async ({ onTestFinished, annotate }) => {
  const system = await startSystem({ env: ENV });
  onTestFinished(system.stop);
  const gates = openGates();
  onTestFinished(gates.remove);
  const mended = gates.gate("mended");
  const [firstPort, secondPort] = [await freePort(), await freePort()];
  const api = await system.startApi();
  const first = await system.startWorker("first", { TASKIQ_PROBE_PORT: String(firstPort) });
  await system.startWorker("second", { TASKIQ_PROBE_PORT: String(secondPort) });
  const scrapeApi = () => scrape(`${api.url}/metrics`);
  const scrapeSecond = () => scrape(`http://127.0.0.1:${secondPort}/metrics`);
  const startedMs = performance.now();

  // The held ones first, so that both workers have some; then everything else at once.
  await post(
    api,
    many(HELD, () => one("test.held")),
  );
  const held = async () => [await heldBy(system, "first"), await heldBy(system, "second")] as const;
  const isShared = async () => {
    const [here = 0, there = 0] = await held();
    return here > 0 && there > 0 && here + there === HELD;
  };
  await until(isShared, { deadlineMs: 20_000, what: "both workers to run held tasks" });
  const delayed = many(DELAYED, () => ({ ...one("test.fleeting"), delay_seconds: 3_600 }));
  const flaky = many(FLAKY, (nth) => one("test.flaky", { failures: (nth % 5) - 1 }));
  const fleeting = many(TASKS - HELD - DELAYED - FLAKY, () => one("test.fleeting"));
  const [delayedIds] = await Promise.all([
    post(api, delayed),
    post(api, flaky),
    ...batches(fleeting).map((batch, nth) => post(api, batch, `batch-${nth}`)),
  ]);
  // Told twice, written once.
  await post(api, fleeting.slice(0, BATCH), "batch-0");

  await until(async () => (await ended(system)) > 2_000, { deadlineMs: 60_000, what: "2,000 tasks that have ended" });
  const firstSeen = await scrape(`http://127.0.0.1:${firstPort}/metrics`);
  expect(sumOf(firstSeen, "taskq_tasks_running", { type: "test.held" })).toBe(await heldBy(system, "first"));
  first.signal("SIGKILL");
  await first.exited;

  for (const id of delayedIds) await cancel(api, id);
  await cancel(api, ...(await heldIds(system, "second")));
  const runId = await startRun(api, mended);
  expect(await untilOver(system, [runId], 60_000)).toEqual(["failed"]);
  mended.open();
  await reexecute(api, runId);
  await until(async () => (await open(system)) === 0, {
    // A message that was on its way to the killed worker is rung again.
    deadlineMs: TIMES.leaseMs + TIMES.recoveryMs + TIMES.ringAgainAfterMs + 60_000,
    what: "all tasks to be over",
  });

  const rows = await ask<Group>(system.database, COMPLETED);
  await until(async () => same(completedOf(await scrapeApi()), rows), {
    deadlineMs: 10 * INTERVAL_MS,
    what: "every end to be counted",
  }).catch(async () => expect(completedOf(await scrapeApi())).toEqual(rows));
  // Nothing is counted again by the looks that follow.
  const turn = await turns(system);
  await until(async () => (await turns(system)) >= turn + 2, { deadlineMs: 10 * INTERVAL_MS });
  const [shown, worker] = [await scrapeApi(), await scrapeSecond()];
  await annotate(
    `${rows.reduce((sum, { count }) => sum + count, 0)} tasks in ${Math.round(performance.now() - startedMs)} ms`,
  );

  expect(completedOf(shown)).toEqual(rows);
  expect(new Set(rows.map(({ outcome }) => outcome))).toEqual(new Set(["succeeded", "failed", "cancelled", "skipped"]));
  expect(groups(shown, "taskq_task_queue_wait_seconds_count", ["queue", "type"])).toEqual(
    await ask(system.database, STARTED_BY_TYPE),
  );
  expect(groups(shown, "taskq_task_run_seconds_count", ["queue", "type", "outcome"])).toEqual(
    await ask(system.database, STARTED_BY_OUTCOME),
  );
  // Elements come to be on the worker, all others in the API.
  expect(groups([...shown, ...worker], "taskq_tasks_enqueued_total", ["queue", "type"])).toEqual(
    await ask(system.database, WRITTEN),
  );
  expect(groups(shown, "taskq_runs_completed_total", ["outcome"])).toEqual(
    await ask(
      system.database,
      "select state::text as outcome, count(*)::int as count from taskiq.run group by 1 order by 1",
    ),
  );
  expect(groups(shown, "taskq_leases_expired_total", ["queue", "type"])).toEqual(await ask(system.database, LOST));

  const alone = worker.map((family) => ({ ...family, samples: family.samples.filter(isTask) }));
  expect(groups(alone, "taskq_attempts_started_total", ["type"])).toEqual(await ask(system.database, STARTED_HERE));
  expect(groups(alone, "taskq_attempts_ended_total", ["type", "outcome"])).toEqual(
    await ask(system.database, ENDED_HERE),
  );
  expect(groups(alone, "taskq_attempts_count", ["type"])).toEqual(await ask(system.database, OVER_HERE));
  const [aborted] = await ask(
    system.database,
    "select count(*)::int as count from taskiq.attempt where outcome = 'cancelled' and worker = 'second'",
  );
  expect({ count: sumOf(worker, "taskq_cancel_escalations_total", { level: "abort" }) }).toEqual(aborted);
  expect({ count: sumOf(worker, "taskq_cancel_latency_seconds_count") }).toEqual(aborted);
  expect(sumOf(worker, "taskq_claims_total", { result: "won" })).toBe(sumOf(worker, "taskq_attempts_started_total"));
  expect(sumOf(worker, "taskq_tasks_running")).toBe(0);
  expect(sumOf(worker, "taskq_worker_slots", { state: "free" })).toBe(200);
});

it("of an executor that runs alone say what became of tasks, where the API shows none", {
  timeout: TIMES.testTimeoutMs,
}, async ({ onTestFinished }) => {
  const system = await startSystem({ env: ENV });
  onTestFinished(system.stop);
  const port = await freePort();
  const executor = await system.startExecutor({ TASKIQ_PROBE_PORT: String(port) });
  await executor.logged("probe.started");
  const api = await system.startApi({ TASKIQ_METRICS: "off" });
  await system.startWorker("only");
  const shown = () => scrape(`http://127.0.0.1:${port}/metrics`);
  // Counting has begun.
  await until(async () => (await turns(system)) > 0);
  await post(
    api,
    many(20, () => one("test.fleeting")),
  );
  await until(async () => sumOf(await shown(), "taskq_tasks_completed_total", { outcome: "succeeded" }) === 20, {
    deadlineMs: 30_000,
    what: "20 tasks to be counted",
  });
  expect(sumOf(await shown(), "taskq_tasks_enqueued_total")).toBe(0);
  const none = await fetch(`${api.url}/metrics`);
  expect([none.status, await none.text()]).toEqual([404, expect.stringContaining("TASKIQ_METRICS")]);
  expect((await fetch(`http://127.0.0.1:${port}/livez`)).status).toBe(200);
});

type Group = { readonly queue: string; readonly type: string; readonly outcome: string; readonly count: number };

/** Steps that a repeated run has kept ended before they were written. */
const OWN = "(select * from taskiq.task where finished_at >= created_at) t";
const COMPLETED = `select queue, name as type, state::text as outcome, count(*)::int as count from ${OWN} group by 1, 2, 3 order by 1, 2, 3`;
const STARTED_BY_TYPE = `select queue, name as type, count(*)::int as count from ${OWN} where started_at is not null group by 1, 2 order by 1, 2`;
const STARTED_BY_OUTCOME = `select queue, name as type, state::text as outcome, count(*)::int as count from ${OWN} where started_at is not null group by 1, 2, 3 order by 1, 2, 3`;
const WRITTEN = `select queue, name as type, count(*)::int as count from ${OWN} group by 1, 2 order by 1, 2`;
const LOST =
  "select queue, name as type, sum(losses)::int as count from taskiq.task group by 1, 2 having sum(losses) > 0 order by 1, 2";
/** An attempt has a row of its own, or it succeeded and is what its task's row says. Steps may be without either. */
const ATTEMPTS = `
  select t.name as type, a.outcome, a.worker
    from taskiq.attempt a join taskiq.task t on t.id = a.task_id where t.run_id is null
  union all
  select t.name, 'succeeded', t.worker from taskiq.task t where t.state = 'succeeded' and t.run_id is null`;
const STARTED_HERE = `select type, count(*)::int as count from (${ATTEMPTS}) a where worker = 'second' group by 1 order by 1`;
const ENDED_HERE = `select type, outcome, count(*)::int as count from (${ATTEMPTS}) a where worker = 'second' group by 1, 2 order by 1, 2`;
const OVER_HERE = `select type, count(*)::int as count from (${ATTEMPTS}) a where worker = 'second' and outcome in ('succeeded', 'failed', 'cancelled') group by 1 order by 1`;

async function scrape(url: string): Promise<Family[]> {
  const response = await fetch(url);
  const text = await response.text();
  expect(response.status, text).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect(lintMetrics(text)).toEqual([]);
  return parseMetrics(text);
}

function completedOf(families: readonly Family[]): Record<string, unknown>[] {
  return groups(families, "taskq_tasks_completed_total", ["queue", "type", "outcome"]);
}

/** The series of this name by some of their labels, as the rows are grouped. Those that are 0 have no rows. */
function groups(families: readonly Family[], name: string, by: readonly string[]): Record<string, unknown>[] {
  const samples = families.flatMap((family) => family.samples).filter((sample) => sample.name === name);
  const keyOf = ({ labels }: Sample): string => JSON.stringify(by.map((label) => labels[label]));
  return [...Map.groupBy(samples, keyOf)]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, of]) => {
      const values: string[] = JSON.parse(key);
      const count = of.reduce((sum, { value }) => sum + value, 0);
      return { ...Object.fromEntries(by.map((label, nth) => [label, values[nth]])), count };
    })
    .filter(({ count }) => count > 0);
}

function isTask({ labels: { type } }: Sample): boolean {
  return type !== PLAIN;
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function batches<Item>(items: readonly Item[]): Item[][] {
  return Array.from({ length: Math.ceil(items.length / BATCH) }, (_, nth) =>
    items.slice(nth * BATCH, (nth + 1) * BATCH),
  );
}

async function post(api: Api, tasks: readonly object[], key?: string): Promise<string[]> {
  const headers = { "content-type": "application/json", ...(key !== undefined && { "idempotency-key": key }) };
  const response = await fetch(`${api.url}/v1/tasks/batch`, {
    method: "POST",
    headers,
    body: JSON.stringify({ tasks }),
  });
  const text = await response.text();
  expect(response.status, text).toBe(202);
  // As the API documents it.
  return (JSON.parse(text) as { task_ids: string[] }).task_ids;
}

async function cancel(api: Api, ...ids: readonly string[]): Promise<void> {
  const answers = await Promise.all(ids.map((id) => fetch(`${api.url}/v1/tasks/${id}/cancel`, { method: "POST" })));
  expect(answers.every(({ ok }) => ok)).toBe(true);
}

/** A step that is skipped, one that comes to be twenty of which one fails, and one that adds them up. */
async function startRun(api: Api, mended: Gate): Promise<string> {
  const elements = Array.from({ length: 20 }, (_, nth) => (nth === 7 ? { needs: mended.path } : {}));
  const steps = [
    { key: "first", task: PLAIN, input: {} },
    { key: "never", task: PLAIN, input: {}, when: { ...ref("first"), equals: 2 } },
    { key: "each", task: PLAIN, map: elements, input: { $item: "" }, after: ["first"] },
    { key: "sum", task: PLAIN, input: { refs: [ref("each")] } },
  ];
  return (await ask202(`${api.url}/v1/runs`, { graph: { steps } })).run_id;
}

async function reexecute(api: Api, runId: string): Promise<void> {
  await ask202(`${api.url}/v1/runs/${runId}/reexecute`, { steps: "from_failure" });
}

async function ask202(url: string, body: object): Promise<{ run_id: string }> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  const text = await response.text();
  expect(response.status, text).toBe(202);
  // As the API documents it.
  return JSON.parse(text) as { run_id: string };
}

async function heldIds({ database }: System, worker: string): Promise<string[]> {
  const statement = "select id from taskiq.task where name = 'test.held' and state = 'running' and worker = $1";
  return (await ask<{ id: string }>(database, statement, [worker])).map(({ id }) => id);
}

async function heldBy(system: System, worker: string): Promise<number> {
  return (await heldIds(system, worker)).length;
}

async function ended({ database }: System): Promise<number> {
  return await counted(database, "select count(*)::int as count from taskiq.task where finished_at is not null");
}

async function open({ database }: System): Promise<number> {
  return await counted(database, "select count(*)::int as count from taskiq.task where finished_at is null");
}

async function turns({ database }: System): Promise<number> {
  return await counted(database, "select number::int as count from taskiq.turn where name = 'completions'");
}

async function counted(database: System["database"], statement: string): Promise<number> {
  return (await ask<{ count: number }>(database, statement))[0]?.count ?? 0;
}
