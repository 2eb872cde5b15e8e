/** What is done with whole runs: accepted once, executed again, resumed, overdue, followed by a task, pruned. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { endOverdueRuns } from "../../runtime/flow/cancel-run.ts";
import type { RunRequest } from "../../runtime/flow/prepare-run.ts";
import { prune } from "../../runtime/flow/prune.ts";
import { rearm } from "../../runtime/flow/rearm.ts";
import { reexecuteRun } from "../../runtime/flow/reexecute-run.ts";
import { resumeRun } from "../../runtime/flow/resume-run.ts";
import { stepIdOf } from "../../runtime/flow/write-run.ts";
import type { Graph, Step } from "../../runtime/model/graph.ts";
import type { PayloadStore } from "../../runtime/payload/payload.ts";
import { type Database, openDatabase } from "../../runtime/postgres/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { ask, clearTasks, readOutbox, readTask } from "../support/tasks.ts";
import { NO_PAYLOADS } from "../support/unused-payloads.ts";
import { createRunWorld, type RunWorld } from "./run-world.ts";

let testDatabase: TestDatabase;
let database: Database;
let world: RunWorld;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({ connectionString: testDatabase.url, max: 12, applicationName: "runs test" });
  world = createRunWorld(database);
});

beforeEach(async () => {
  await clearTasks(database);
  await ask(database, "delete from taskiq.run; delete from taskiq.edge");
});

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

type Plan = { readonly value?: number; readonly gives_up?: boolean; readonly elements_giving_up?: readonly number[] };

function step(key: string, more: Partial<Step> = {}, plan: Plan = {}): Step {
  const script = { value: 3, failures: 0, gives_up: false, elements_giving_up: [], ...plan };
  return { key, task: "test.step", input: { script, refs: [] }, retry: { max_attempts: 1 }, ...more };
}

function mapped(key: string, map: unknown, plan: Plan = {}): Step {
  const { input, ...rest } = step(key, {}, plan);
  return { ...rest, map, input: { ...(input as object), item: { $item: "" }, index: { $index: true } } };
}

const request = (graph: Graph): RunRequest => ({ job: null, graph, mode: "orchestrated", input: null });

async function finish(runId: string): Promise<string[]> {
  const ran: string[] = [];
  for (;;) {
    const claimed = await world.claim(await world.queued(runId), "first");
    if (claimed.length === 0) return ran.sort();
    ran.push(...claimed.map((task) => task.step?.key ?? ""));
    await world.record(await Promise.all(claimed.map((task) => world.play(task))), null);
  }
}

async function states(runId: string): Promise<Record<string, string>> {
  return Object.fromEntries((await world.steps(runId)).map((row) => [row.step_key, row.state]));
}

describe("a run that is submitted", () => {
  it("is one run for one idempotency key, also twice at once, and another body is refused", async () => {
    const graph = { steps: [step("a")] };
    const options = { tenant: "default", idempotencyKey: "once" };
    const accepted = await Promise.all([1, 2, 3].map(() => world.writer.accept(request(graph), options)));
    expect(new Set(accepted.map(({ runId }) => runId)).size).toBe(1);
    expect(accepted.filter(({ kind }) => kind === "created")).toHaveLength(1);
    await expect(world.writer.accept(request({ steps: [step("b")] }), options)).rejects.toMatchObject({
      code: "idempotency_mismatch",
    });
    expect(await ask(database, "select id from taskiq.run")).toHaveLength(1);
  });

  it("is refused whole where a step is wrong, naming it", async () => {
    const graph = { steps: [step("a"), step("b", { after: ["nobody"] }), step("c", { queue: "nowhere" })] };
    await expect(world.writer.accept(request(graph), { tenant: "default" })).rejects.toMatchObject({
      code: "graph_invalid",
      message: expect.stringContaining("steps.b.after"),
    });
    expect(await ask(database, "select id from taskiq.task")).toEqual([]);
    expect(await ask(database, "select id from taskiq.run")).toEqual([]);
  });

  it("has the priority of run and step together, within bounds", async () => {
    const graph = { steps: [step("a", { priority: 5 }), step("b", { priority: 95 })] };
    const { runId } = await world.writer.accept({ ...request(graph), priority: 10 }, { tenant: "default" });
    const rows = await ask(database, "select step_key, priority from taskiq.task where run_id = $1 order by 1", [
      runId,
    ]);
    expect(rows).toEqual([
      { step_key: "a", priority: 15 },
      { step_key: "b", priority: 100 },
    ]);
  });

  it("takes priorities from labels where no field says more, and refuses what is none", async () => {
    const graph = {
      steps: [
        step("a", { labels: { "taskiq/priority": "4" } }),
        step("b", { priority: 1, labels: { "taskiq/priority": "9" } }),
      ],
    };
    const { runId } = await world.writer.accept(
      { ...request(graph), labels: { "taskiq/run_priority": "20" } },
      { tenant: "default" },
    );
    const rows = await ask(database, "select step_key, priority from taskiq.task where run_id = $1 order by 1", [
      runId,
    ]);
    expect(rows).toEqual([
      { step_key: "a", priority: 24 },
      { step_key: "b", priority: 21 },
    ]);
    const wrong = { ...request(graph), labels: { "taskiq/run_priority": "most" } };
    await expect(world.writer.accept(wrong, { tenant: "default" })).rejects.toMatchObject({ code: "graph_invalid" });
  });

  it("keeps as many steps of a concurrency key running as it allows, in all runs", async () => {
    const concurrency = { key: "narrow", max_running: 2 };
    const graph = { steps: [0, 1, 2, 3].map((index) => step(`s${index}`, { concurrency })) };
    const runId = await world.start(graph);
    expect(await world.claim(await world.queued(runId), "first")).toHaveLength(0);
    expect(await world.claimLimited(await world.queued(runId), "first")).toHaveLength(2);
  });

  it.each([
    ["gives its place at a concurrency key to its elements", [1, 2], ["blocked", "queued", "running"], 1],
    ["with no elements gives its place back", [], ["succeeded"], 0],
  ])("whose mapped step is expanded %s", async (_name, list, expected, running) => {
    const graph = { steps: [{ ...mapped("m", list), concurrency: { key: `expanded-${running}`, max_running: 1 } }] };
    const runId = await world.start(graph);
    const claimed = await world.claimLimited(await world.queued(runId), "first");
    await world.record(await Promise.all(claimed.map((task) => world.play(task))), null);
    await world.claimLimited(await world.queued(runId), "first");
    expect(Object.values(await states(runId)).sort()).toEqual(expected);
    const key = `steps:default:expanded-${running}`;
    expect(await ask(database, "select running from taskiq.limit_key where key = $1", [key])).toEqual([{ running }]);
  });
});

describe("a run that is executed again", () => {
  const again = (runId: string, steps: "from_failure" | "all" | readonly string[]) =>
    reexecuteRun(runId, { tenant: null, steps }, { database, payloads: NO_PAYLOADS, writer: world.writer });

  /** The scripts of a graph with this step mended: what a new version of its task would do. */
  async function mend(runId: string, keys: readonly string[]): Promise<void> {
    await ask(
      database,
      `update taskiq.task
          set input = jsonb_set(jsonb_set(input::jsonb, '{script,gives_up}', 'false'), '{script,elements_giving_up}', '[]')::json
        where run_id = $1 and step_key = any($2)`,
      [runId, keys],
    );
  }

  it("from its failure runs what failed and what never ran, and reads the results that were kept", async () => {
    const sum = {
      script: { value: 1, failures: 0, gives_up: false, elements_giving_up: [] },
      refs: [{ $ref: "a.sum" }, { $ref: "b.sum" }],
    };
    const graph = {
      steps: [
        step("a"),
        step("b", {}, { gives_up: true }),
        step("c", { input: sum }),
        step("d", { after: ["c"] }),
        step("e", { after: ["a"] }),
      ],
    };
    const first = await world.start(graph);
    await finish(first);
    expect(await states(first)).toEqual({ a: "succeeded", b: "failed", c: "skipped", d: "skipped", e: "succeeded" });
    const { runId } = await again(first, "from_failure");
    await mend(runId, ["b"]);
    expect(await finish(runId)).toEqual(["b", "c", "d"]);
    expect(await world.state(runId)).toBe("succeeded");
    const row = await ask(
      database,
      "select parent_run_id, root_run_id, steps, open_steps from taskiq.run where id = $1",
      [runId],
    );
    expect(row).toEqual([{ parent_run_id: first, root_run_id: first, steps: 5, open_steps: 0 }]);
    const kept = await readTask(database, stepIdOf(runId, "a"));
    expect(kept.result).toBe((await readTask(database, stepIdOf(first, "a"))).result);
  });

  it("from its failure repeats only those elements of a mapped step that failed", async () => {
    const graph = { steps: [mapped("m", [1, 2, 3], { elements_giving_up: [1] }), step("n", { after: ["m"] })] };
    const first = await world.start(graph);
    await finish(first);
    expect(await states(first)).toMatchObject({ m: "failed", "m[0]": "succeeded", "m[1]": "failed", n: "skipped" });
    const { runId } = await again(first, "from_failure");
    await mend(runId, ["m[1]"]);
    expect(await finish(runId)).toEqual(["m[1]", "n"]);
    expect(await states(runId)).toEqual({
      m: "succeeded",
      "m[0]": "succeeded",
      "m[1]": "succeeded",
      "m[2]": "succeeded",
      n: "succeeded",
    });
    expect(await world.state(runId)).toBe("succeeded");
  });

  it("keeps what its own condition skipped", async () => {
    const graph = {
      steps: [
        step("a", {}, { value: 3 }),
        step("b", { when: { $ref: "a.sum", equals: "never" } }),
        step("c", { after: ["b"] }),
        step("d", {}, { gives_up: true }),
      ],
    };
    const first = await world.start(graph);
    await finish(first);
    const { runId } = await again(first, "from_failure");
    await mend(runId, ["d"]);
    expect(await finish(runId)).toEqual(["d"]);
    expect(await states(runId)).toEqual({ a: "succeeded", b: "skipped", c: "skipped", d: "succeeded" });
    expect(await world.state(runId)).toBe("succeeded");
  });

  it("asks the condition of a step again where it looks at one that is repeated", async () => {
    const told = { when: { $ref: "a.flag" }, on_parent_failure: "run" as const };
    const graph = {
      steps: [step("a", {}, { gives_up: true, value: 2 }), step("b", told), step("c", { after: ["b"] })],
    };
    const first = await world.start(graph);
    await finish(first);
    expect(await states(first)).toEqual({ a: "failed", b: "skipped", c: "skipped" });
    const { runId } = await again(first, "from_failure");
    await mend(runId, ["a"]);
    await finish(runId);
    const flag = JSON.parse((await readTask(database, stepIdOf(runId, "a"))).result ?? "null").flag;
    expect(flag).toBe(true);
    expect(await states(runId)).toEqual({ a: "succeeded", b: "succeeded", c: "succeeded" });
  });

  it("with chosen steps runs those, and with a star what is downstream of them", async () => {
    const graph = {
      steps: [step("a"), step("b", { after: ["a"] }), step("c", { after: ["b"] }), step("d", { after: ["a"] })],
    };
    const first = await world.start(graph);
    await finish(first);
    expect(await finish((await again(first, ["b"])).runId)).toEqual(["b"]);
    expect(await finish((await again(first, ["b*", "d"])).runId)).toEqual(["b", "c", "d"]);
    expect(await finish((await again(first, "all")).runId)).toEqual(["a", "b", "c", "d"]);
    await expect(again(first, ["nobody"])).rejects.toMatchObject({ code: "request_invalid" });
    await expect(again(first, "from_failure")).rejects.toMatchObject({ code: "request_invalid" });
  });

  it("with a chosen step whose parent did not succeed is refused", async () => {
    const first = await world.start({ steps: [step("a", {}, { gives_up: true }), step("b", { after: ["a"] })] });
    await expect(again(first, "all")).rejects.toMatchObject({ code: "run_not_finished" });
    await finish(first);
    await expect(again(first, ["b"])).rejects.toMatchObject({ message: expect.stringContaining("b needs a") });
    await expect(again("00000000-0000-7000-8000-000000000000", "all")).rejects.toMatchObject({ code: "run_not_found" });
  });
});

describe("a run", () => {
  it("past its deadline fails, and its steps are cancelled", async () => {
    const runId = await world.start({ steps: [step("a"), step("b", { after: ["a"] })], deadline_ms: 60_000 });
    const [running] = await world.claim(await world.queued(runId), "first");
    expect(await endOverdueRuns(database, 10)).toBe(0);
    await ask(database, "update taskiq.run set deadline_at = now() - interval '1 s' where id = $1", [runId]);
    expect(await endOverdueRuns(database, 10)).toBe(1);
    expect(await endOverdueRuns(database, 10)).toBe(0);
    expect(await states(runId)).toEqual({ a: "running", b: "cancelled" });
    await world.abort(runId, running?.id ?? "", 1);
    expect(await world.state(runId)).toBe("failed");
    const [row] = await ask<{ error: string }>(database, "select error from taskiq.run where id = $1", [runId]);
    expect(JSON.parse(row?.error ?? "null")).toMatchObject({ code: "run_deadline" });
  });

  it.each([
    ["succeeded", {}],
    ["failed", { gives_up: true }],
  ])("that %s is followed by its task, once, with the outcome", async (state, plan) => {
    const graph = { steps: [step("a", {}, plan), step("b")], on_finished: { task: "test.step" } };
    const runId = await world.start(graph);
    const waiting = async () =>
      await ask<{ id: string; state: string; input: string | null }>(
        database,
        "select id, state, input from taskiq.task where run_id is null",
      );
    expect(await waiting()).toMatchObject([{ state: "blocked" }]);
    await finish(runId);
    const [task] = await waiting();
    expect(task?.state).toBe("queued");
    expect(JSON.parse(task?.input ?? "null")).toMatchObject({ run_id: runId, job: null, state });
    expect(await readOutbox(database, task?.id ?? "")).toMatchObject([{ kind: "doorbell" }]);
  });

  it("that is resumed is rung for where it is silent", async () => {
    const runId = await world.start({ steps: [step("a"), step("b"), step("c", { after: ["a"] })] });
    await ask(database, "delete from taskiq.outbox");
    expect(await resumeRun(database, runId, { tenant: "somebody else" })).toBeNull();
    expect(await resumeRun(database, runId, { tenant: null })).toEqual({ state: "running", rung: 2 });
    expect(await readOutbox(database)).toHaveLength(2);
  });

  it("cancelled by another tenant, or not there, is not found; one that is over stays as it is", async () => {
    const runId = await world.start({ steps: [step("a")] });
    expect(await world.cancelAs(runId, "somebody else")).toBeNull();
    await finish(runId);
    expect(await world.cancel(runId)).toEqual({ was: "succeeded", state: "succeeded" });
    expect(await world.cancel("00000000-0000-7000-8000-000000000000")).toBeNull();
  });

  it("keeps a failed step: it is not rearmed by itself, and goes to no dead-letter queue", async () => {
    const runId = await world.start({ steps: [step("a", {}, { gives_up: true })] });
    await finish(runId);
    const id = stepIdOf(runId, "a");
    expect(await rearm(database, [id], null)).toEqual([{ id, was: "failed", runId, rearmed: false }]);
    expect((await readOutbox(database)).filter(({ kind }) => kind === "dead_letter")).toEqual([]);
  });

  it("is pruned with its steps and edges when it has been over for longer than the retention", async () => {
    const graph = { steps: [step("a"), step("b", { after: ["a"] })] };
    const [old, young, open] = [await world.start(graph), await world.start(graph), await world.start(graph)];
    await finish(old);
    await finish(young);
    await world.record(
      await Promise.all((await world.claim(await world.queued(open), "first")).map((task) => world.play(task))),
      null,
    );
    await ask(database, "delete from taskiq.outbox");
    await ask(database, "update taskiq.task set finished_at = now() - interval '3 days' where finished_at is not null");
    await ask(database, "update taskiq.run set finished_at = now() - interval '3 days' where id = $1", [old]);
    const payloads: Pick<PayloadStore, "remove"> = { remove: async () => {} };
    await prune(database, { ...NO_PAYLOADS, ...payloads }, { retentionMs: 86_400_000, limit: 100 });
    const rows = await ask<{ id: string }>(database, "select id from taskiq.run");
    expect(new Set(rows.map(({ id }) => id))).toEqual(new Set([young, open]));
    expect(await world.steps(old)).toEqual([]);
    expect(await world.steps(young)).toHaveLength(2);
    expect(await ask(database, "select parent from taskiq.edge")).toHaveLength(2);
  });
});
