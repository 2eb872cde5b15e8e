/** Runs on real workers: what the demo jobs come to, executing again, cancelling, deadlines, and steps on several queues. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Client, createClient, type Run } from "../../runtime/client/index.ts";
import { provision } from "../../runtime/local/provision.ts";
import { LOCAL_QUEUES } from "../../runtime/local/queues.ts";
import type { Graph, RunMode, Step } from "../../runtime/model/graph.ts";
import { JOBS } from "../../runtime/tasks/index.ts";
import { type Role, type System, startSystem } from "../support/system.ts";
import { TIMES } from "../support/system-times.ts";
import { ask } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import {
  COMMITTING,
  chain,
  DIAMOND_WAYS,
  diamond,
  expectNothingOpen,
  ON_FINISHED,
  openGates,
  PLAIN,
  readStepRows,
  ref,
  untilOver,
} from "./run-work.ts";
import { FOR_EVER_MS, readRows } from "./work.ts";

const OTHER = "other";
const SLOTS = 50;
const OVER_MS = 30_000;

describe("a run on real workers", { timeout: TIMES.testTimeoutMs }, () => {
  let system: System;
  let client: Client;
  let left: Role;
  let right: Role;
  const gates = openGates();

  beforeAll(async () => {
    system = await startSystem();
    const { aws } = system;
    const usual = LOCAL_QUEUES.filter(({ name }) => name === "default");
    const queues = await provision({
      ...aws,
      queues: [...usual, ...usual.map((queue) => ({ ...queue, name: OTHER }))],
    });
    const env = { TASKIQ_QUEUES: JSON.stringify(queues), TASKIQ_WORKER_SLOTS: String(SLOTS) };
    const [api, first, second] = await Promise.all([
      system.startApi(env),
      system.startWorker("left", { ...env, TASKIQ_WORKER_QUEUES: "default" }),
      system.startWorker("right", { ...env, TASKIQ_WORKER_QUEUES: OTHER }),
    ]);
    [left, right] = [first, second];
    client = createClient({ baseUrl: api.url });
  });
  afterAll(async () => {
    gates.remove();
    await system.stop();
  });

  async function startAll(graphs: readonly Graph[]): Promise<string[]> {
    const accepted = await Promise.all(graphs.map((graph) => client.runs.start({ graph })));
    return accepted.map(({ runId }) => runId);
  }

  it.each(JOBS.map(({ name }) => name))("the job %s comes to the same as tasks and in one worker", async (job) => {
    const modes: readonly RunMode[] = ["orchestrated", "simple"];
    const accepted = await Promise.all(modes.map((mode) => client.runs.start({ job, mode })));
    const [orchestrated, simple] = await Promise.all(
      accepted.map(async ({ runId }) => shownOf(await client.runs.wait(runId, { timeoutMs: OVER_MS }))),
    );
    expect(orchestrated).toMatchObject({ state: "succeeded" });
    expect(orchestrated?.result).not.toBeNull();
    expect(simple).toEqual(orchestrated);
  });

  /** What has to be equal in both modes, with the elements of mapped steps. */
  async function shownOf({ runId, state, result, error, steps }: Run) {
    const states: Record<string, string> = {};
    for (const step of steps) {
      states[step.key] = step.state;
      if (step.elements === null) continue;
      for await (const element of client.runs.steps(runId, { of: step.key })) states[element.key] = element.state;
    }
    return { state, result, error, states };
  }

  it("from its failure calls the handlers of what failed and of what never ran, and reads the results that are kept", async () => {
    const mended = gates.gate("mended");
    const steps: Step[] = [
      { key: "list", task: PLAIN, input: {} },
      {
        key: "each",
        task: COMMITTING,
        map: [1, 2, 3, 4, 5].map((value) => ({
          refs: [value, ref("list")],
          ...(value % 2 === 0 && { needs: mended.path }),
        })),
        input: { $item: "" },
      },
      { key: "sum", task: COMMITTING, input: { refs: [ref("each")] } },
      { key: "whole", task: COMMITTING, map: [1, 2], input: { refs: [{ $item: "" }] } },
      { key: "broken", task: COMMITTING, input: { needs: mended.path } },
      { key: "after", task: PLAIN, input: { refs: [ref("broken"), ref("whole")] } },
      { key: "spread", task: PLAIN, map: [ref("broken"), ref("list")], input: { refs: [{ $item: "" }] } },
      { key: "cancelled", task: PLAIN, input: { refs: [ref("broken")] }, on_parent_failure: "cancel" },
      {
        key: "anyway",
        task: COMMITTING,
        input: { refs: [ref("whole"), ref("list")] },
        after: ["each"],
        on_parent_failure: "run",
      },
      { key: "not", task: COMMITTING, input: {}, when: { $ref: "list", equals: 2 } },
    ];
    const { runId } = await client.runs.start({ graph: { steps } });
    expect(await untilOver(system, [runId], OVER_MS)).toEqual(["failed"]);
    expect(await statesOf(runId)).toEqual({
      list: "succeeded",
      each: "failed",
      "each[0]": "succeeded",
      "each[1]": "failed",
      "each[2]": "succeeded",
      "each[3]": "failed",
      "each[4]": "succeeded",
      sum: "skipped",
      whole: "succeeded",
      "whole[0]": "succeeded",
      "whole[1]": "succeeded",
      broken: "failed",
      after: "skipped",
      spread: "skipped",
      cancelled: "cancelled",
      anyway: "succeeded",
      not: "skipped",
    });

    mended.open();
    const again = await client.runs.reexecute(runId, { steps: "from_failure" });
    expect(await untilOver(system, [again.runId], OVER_MS)).toEqual(["succeeded"]);
    expect(await handlersCalledIn(again.runId)).toEqual(
      ["after", "broken", "cancelled", "each[1]", "each[3]", "spread[0]", "spread[1]", "sum"].sort(),
    );
    const rows = await readStepRows(system, [again.runId]);
    // What was committed the first time is not committed again.
    expect(rows.flatMap(({ key, effects }) => (effects > 0 ? `${key}: ${effects}` : [])).sort()).toEqual([
      "broken: 1",
      "each[1]: 1",
      "each[3]: 1",
      "sum: 1",
    ]);
    const results = Object.fromEntries(rows.map(({ key, result }) => [key, result]));
    // Each of the five is its value and 1.
    expect(results).toMatchObject({ sum: "20", after: "4", "spread[0]": "1", cancelled: "1", anyway: "4" });
    expect((await statesOf(again.runId)).not).toBe("skipped");
    expect((await client.runs.get(again.runId)).result).toEqual({
      sum: 20,
      after: 4,
      spread: [1, 1],
      cancelled: 1,
      anyway: 4,
      not: null,
    });
    await expectNothingOpen(system, [runId, again.runId]);
  });

  it("beyond its deadline fails with its steps cancelled; whatever its end, the task that waits for it runs once and is told", async () => {
    const on_finished = { task: ON_FINISHED };
    const waits = { key: "waits", task: PLAIN, input: {}, after: ["runs"] };
    const long: Graph = { steps: [{ key: "runs", task: COMMITTING, input: { ms: FOR_EVER_MS } }, waits], on_finished };
    const [overdue, good, bad, cancelled] = await startAll([
      { ...long, deadline_ms: 1_000 },
      { steps: [{ key: "good", task: PLAIN, input: {} }], deadline_ms: 60_000, on_finished },
      { steps: [{ key: "bad", task: PLAIN, input: { needs: gates.gate("never").path } }], on_finished },
      long,
    ]);
    if (overdue === undefined || good === undefined || bad === undefined || cancelled === undefined)
      throw new Error("expected all");
    await until(async () => (await statesOf(cancelled)).runs === "running", { deadlineMs: OVER_MS });
    await client.runs.cancel(cancelled, { reason: "not wanted" });
    const runIds = [overdue, good, bad, cancelled];
    expect(await untilOver(system, runIds, OVER_MS)).toEqual(["failed", "succeeded", "failed", "cancelled"]);
    expect(await statesOf(overdue)).toEqual({ runs: "cancelled", waits: "cancelled" });
    const told = await Promise.all(
      runIds.map(async (runId) => {
        const { onFinishedTaskId } = await client.runs.get(runId);
        return await client.wait(onFinishedTaskId ?? "", { timeoutMs: OVER_MS });
      }),
    );
    const deadline = { code: "run_deadline", type: "RunDeadline", message: expect.any(String) };
    expect(told.map(({ result }) => result)).toEqual([
      { run_id: overdue, job: null, state: "failed", error: deadline },
      { run_id: good, job: null, state: "succeeded", error: null },
      { run_id: bad, job: null, state: "failed", error: null },
      { run_id: cancelled, job: null, state: "cancelled", error: null },
    ]);
    const hooks = await readRows(
      system,
      told.map(({ taskId }) => taskId),
    );
    expect(hooks.map(({ attempt, effects }) => ({ attempt, effects }))).toEqual(
      hooks.map(() => ({ attempt: 1, effects: 1 })),
    );
    expect((await readStepRows(system, [overdue, cancelled])).filter(({ effects }) => effects > 0)).toEqual([]);
    await expectNothingOpen(system, runIds);
  });

  it("with 50 running and 500 waiting steps is cancelled within three seconds, and none starts after that", async ({
    annotate,
  }) => {
    const many = (count: number, prefix: string, step: Partial<Step>): Step[] =>
      Array.from({ length: count }, (_, place) => ({ key: `${prefix}-${place}`, task: PLAIN, ...step }));
    const steps = [
      ...many(SLOTS + 300, "wide", { input: { ms: FOR_EVER_MS } }),
      ...many(200, "later", { input: {}, after: ["wide-0"] }),
    ];
    const [runId = ""] = await startAll([{ steps }]);
    await until(async () => (await countsOf(runId)).running === SLOTS, {
      deadlineMs: OVER_MS,
      what: `${SLOTS} running steps`,
    });
    expect(await countsOf(runId)).toEqual({ running: SLOTS, queued: 300, blocked: 200 });
    const startedMs = performance.now();
    await client.runs.cancel(runId);
    const answeredMs = performance.now() - startedMs;
    expect(await untilOver(system, [runId], OVER_MS)).toEqual(["cancelled"]);
    const elapsedMs = performance.now() - startedMs;
    await annotate(`answered after ${Math.round(answeredMs)} ms, over after ${Math.round(elapsedMs)} ms`);
    // The handlers heed their signals, and need no time of grace.
    expect(elapsedMs).toBeLessThan(3_000);
    expect(await countsOf(runId)).toEqual({ cancelled: steps.length });
    const [row] = await ask(
      system.database,
      `select (count(*) filter (where t.started_at > r.cancel_requested_at))::int as late, count(t.started_at)::int as started
         from taskiq.run r join taskiq.task t on t.run_id = r.id where r.id = $1`,
      [runId],
    );
    expect(row).toEqual({ late: 0, started: SLOTS });
    await expectNothingOpen(system, [runId]);
  });

  it("cancelled in full flow ends, and nothing of it starts after the answer", async () => {
    const wide: Graph = {
      steps: [
        { key: "each", task: PLAIN, map: Array.from({ length: 200 }, (_, place) => place), input: { ms: 10 } },
        { key: "sum", task: COMMITTING, input: { refs: [ref("each")] } },
      ],
    };
    const flows = [
      diamond(() => ({ ms: 10 })),
      chain(200, () => ({ task: PLAIN }), {}),
      chain(200, () => ({ task: COMMITTING }), {}),
      wide,
    ];
    const runIds = await startAll(Array.from({ length: 5 }, () => flows).flat());
    const late: unknown[] = [];
    await Promise.all(
      runIds.map(async (runId, place) => {
        await until(async () => ((await countsOf(runId)).succeeded ?? 0) > place, {
          deadlineMs: OVER_MS,
          what: `${place} steps that succeeded`,
        });
        const { state } = await client.runs.cancel(runId);
        const [answered] = await ask<{ at: string }>(system.database, "select clock_timestamp()::text as at");
        await untilOver(system, [runId], OVER_MS);
        const started = "select step_key from taskiq.task where run_id = $1 and started_at > $2::timestamptz";
        late.push(...(await ask(system.database, started, [runId, answered?.at])));
        expect(state === "cancelled" || state === "running").toBe(true);
      }),
    );
    expect(late).toEqual([]);
    expect(new Set(await untilOver(system, runIds, OVER_MS))).toEqual(new Set(["cancelled"]));
    await expectNothingOpen(system, runIds);
  });

  it("goes from queue to queue between workers that serve one each, without waiting for the executors", async ({
    annotate,
  }) => {
    const hops = 40;
    const queueOf = (place: number) => (place % 2 === 0 ? "default" : OTHER);
    const runIds = await startAll([
      chain(hops, (place) => ({ task: PLAIN, queue: queueOf(place) }), {}),
      chain(hops, (place) => ({ task: COMMITTING, queue: queueOf(place) }), {}),
      diamond(() => ({}), queueOf),
    ]);
    // The executors ring for a step after five seconds: for a chain of steps that would take minutes.
    expect(new Set(await untilOver(system, runIds, OVER_MS))).toEqual(new Set(["succeeded"]));
    const rows = await readStepRows(system, runIds);
    expect(rows.filter(({ queue, worker }) => worker !== (queue === OTHER ? right.name : left.name))).toEqual([]);
    expect(rows.find(({ key }) => key === "l5-0")?.result).toBe(String(DIAMOND_WAYS));
    const [hop] = await ask<{ p50: number; most: number }>(
      system.database,
      `select percentile_cont(0.5) within group (order by ms) as p50, max(ms) as most
         from (select extract(epoch from started_at - lag(finished_at) over (partition by run_id order by finished_at))::float8 * 1000 as ms
                 from taskiq.task where run_id = any($1::uuid[])) gap`,
      [runIds.slice(0, 2)],
    );
    await annotate(
      `from the end of a step to the start of the next one on the other queue: p50 ${hop?.p50.toFixed(1)} ms, at most ${hop?.most.toFixed(1)} ms`,
    );
    await expectNothingOpen(system, runIds);
  });

  async function statesOf(runId: string): Promise<Record<string, string>> {
    const rows = await readStepRows(system, [runId]);
    return Object.fromEntries(rows.map(({ key, state }) => [key, state]));
  }

  async function countsOf(runId: string): Promise<Record<string, number>> {
    const rows = await ask<{ state: string; n: number }>(
      system.database,
      "select state, count(*)::int as n from taskiq.task where run_id = $1 group by state",
      [runId],
    );
    return Object.fromEntries(rows.map(({ state, n }) => [state, n]));
  }

  /** Keys of the steps whose handlers the workers say they have called, as often as they did. */
  async function handlersCalledIn(runId: string): Promise<string[]> {
    const keys = new Map((await readStepRows(system, [runId])).map(({ id, key }) => [id, key]));
    const lines = [left, right].flatMap((worker) => worker.log("task.started"));
    return lines.flatMap(({ taskId }) => keys.get(String(taskId)) ?? []).sort();
  }
});
