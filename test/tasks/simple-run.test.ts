/** Longer than most: what holds for a task holds for a step of such a run, and is shown again for it. */

import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { v5 as uuidv5 } from "uuid";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import type { CommitClient, Context } from "../../runtime/define/context.ts";
import { RetryableError, TerminalError } from "../../runtime/define/errors.ts";
import { type AnyTask, createRegistry } from "../../runtime/define/registry.ts";
import { defineTask, type TaskOptions } from "../../runtime/define/task.ts";
import { openLog } from "../../runtime/log.ts";
import type { Graph, Step } from "../../runtime/model/graph.ts";
import type { AbortReason } from "../../runtime/model/task.ts";
import { NO_PIPES } from "../../runtime/pipes/session.ts";
import { createSimpleRun } from "../../runtime/tasks/simple-run.ts";
import { expectedOf, graphs, testStep } from "../support/graphs.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { until } from "../support/until.ts";
import { NO_PAYLOADS as payloads } from "../support/unused-payloads.ts";

const RUN_ID = "0199e1c0-5a5c-7000-8000-000000000001";
const ONCE = { maxAttempts: 1 };
const AGAIN = { maxAttempts: 3, backoffMs: 0, maxBackoffMs: 0 };

const ref = (path: string) => ({ $ref: path });
const log = openLog({ level: "error", format: "json", service: "test", write: () => {} });

type Handler = (input: never, ctx: Context) => unknown;

/** A task that takes anything. */
function task(name: string, run: Handler, options: Partial<TaskOptions<z.ZodType, unknown>> = {}): AnyTask {
  // Its input is whatever the graph of a test gives it.
  return defineTask({ name, input: z.unknown(), retry: ONCE, run: run as (input: unknown) => unknown, ...options });
}

type Setup = { clock?: Clock; concurrency?: number; maxPayloadBytes?: number; result?: unknown };

/** Starts a run of these steps; the key of a step is the name of its task unless it names one. */
function start(
  tasks: readonly AnyTask[],
  steps: readonly (Omit<Step, "task"> & { task?: string })[],
  setup: Setup = {},
) {
  const graph: Graph = { steps: steps.map((step) => ({ task: step.key, ...step })) };
  return startGraph(tasks, "result" in setup ? { ...graph, result: setup.result } : graph, setup);
}

function startGraph(tasks: readonly AnyTask[], graph: Graph, setup: Setup = {}) {
  const { clock = systemClock, maxPayloadBytes = 1_000_000, concurrency } = setup;
  const definition = createSimpleRun(createRegistry(tasks), { payloads, log, clock, maxPayloadBytes });
  const controller = new AbortController();
  const progress: [number, string | undefined][] = [];
  const ctx: Context = {
    taskId: "0199e1c0-5a5c-7000-8000-000000000002",
    task: "taskiq.simple_run",
    queue: "work",
    tenant: "acme",
    attempt: 4,
    failures: 2,
    labels: { team: "images", job: "etl" },
    idempotencyKey: "outer",
    traceparent: null,
    signal: controller.signal,
    log: { debug() {}, info() {}, warn() {}, error() {} },
    parent: () => {
      throw new Error("expected no question for a parent");
    },
    pipes: NO_PIPES,
    progress: (fraction, message) => progress.push([fraction, message]),
  };
  const input = definition.input.parse({ run_id: RUN_ID, graph, ...(concurrency !== undefined && { concurrency }) });
  const record = Promise.resolve(definition.run(input, ctx));
  record.catch(() => {});
  return {
    record,
    ctx,
    progress,
    abort: (reason: AbortReason) => controller.abort(reason),
    commit: async (tx: CommitClient) => await definition.commit?.(tx, await record, ctx),
  };
}

/** A handler that waits until it is let go, or aborted. */
function gate() {
  const entered: string[] = [];
  const reasons: unknown[] = [];
  const waiting: (() => void)[] = [];
  return {
    entered,
    reasons,
    handler: async (input: never, { signal }: Context) => {
      entered.push(String(input));
      await new Promise<void>((resolve, reject) => {
        waiting.push(resolve);
        signal.addEventListener("abort", () => {
          reasons.push(signal.reason);
          reject(signal.reason);
        });
      });
      return input;
    },
    async open(place = 0): Promise<void> {
      waiting.splice(place, 1)[0]?.();
      await setImmediate();
    },
  };
}

describe("a run", () => {
  test("runs its steps after those that they need, and leaves a record of each", async () => {
    const clock = createManualClock({ wallMs: Date.UTC(2026, 0, 1) });
    const { record } = start(
      [task("list", () => ({ files: 2 })), task("sum", (input: { files: number }) => input.files + 1)],
      [{ key: "sum", input: { files: ref("list.files") } }, { key: "list" }],
      { clock },
    );
    const at = "2026-01-01T00:00:00.000Z";
    const common = { state: "succeeded", error: null, attempts: 1, started_at: at, finished_at: at };
    expect(await record).toEqual({
      state: "succeeded",
      steps: { list: { ...common, result: { files: 2 } }, sum: { ...common, result: 3 } },
      result: { sum: 3 },
    });
  });

  test("results in the template of its graph", async () => {
    const { record } = start([task("a", () => [1, 2])], [{ key: "a" }], { result: { last: ref("a.1") } });
    expect((await record).result).toEqual({ last: 2 });
  });

  test("in which a step fails is a task that succeeds with a record that says so", async () => {
    const fails = task("fails", () => Promise.reject(new Error("no route")));
    const { record } = start(
      [fails, task("needs", () => 1), task("anyway", (input) => input)],
      [
        { key: "fails" },
        { key: "needs", after: ["fails"] },
        { key: "anyway", input: [ref("fails")], on_parent_failure: "run" },
      ],
    );
    const { state, result, steps } = await record;
    expect({ state, result }).toEqual({ state: "failed", result: null });
    expect(steps.fails).toMatchObject({ state: "failed", error: { code: "handler_error", message: "no route" } });
    expect(steps.needs).toMatchObject({ state: "skipped", attempts: 0, started_at: null });
    expect(steps.needs?.finished_at).not.toBeNull();
    expect(steps.anyway).toMatchObject({ state: "succeeded", result: [null] });
  });

  test("expands mapped steps and skips those whose condition does not hold", async () => {
    const { record } = start(
      [task("list", () => ({ files: ["a", "b"], go: false })), task("parse", (input) => input)],
      [
        { key: "list" },
        { key: "parse", map: ref("list.files"), input: [{ $item: "" }, { $index: true }] },
        { key: "empty", task: "parse", map: [] },
        { key: "not", task: "parse", when: ref("list.go") },
      ],
    );
    const { steps, result } = await record;
    expect(result).toEqual({
      parse: [
        ["a", 0],
        ["b", 1],
      ],
      empty: [],
      not: null,
    });
    expect(steps["parse[1]"]).toMatchObject({ state: "succeeded", result: ["b", 1], attempts: 1 });
    expect(steps.parse).toMatchObject({ state: "succeeded", result: null, attempts: 0 });
    expect(steps.empty).toMatchObject({ state: "succeeded", attempts: 0 });
    expect(steps.not).toMatchObject({ state: "skipped", attempts: 0 });
  });

  test("fails a step that refers to what is not there, without running it", async () => {
    const { record } = start(
      [task("a", () => ({})), task("b", () => 1)],
      [{ key: "a" }, { key: "b", input: ref("a.x") }],
    );
    expect((await record).steps.b).toMatchObject({
      state: "failed",
      attempts: 1,
      error: { code: "reference_invalid" },
    });
  });

  test("is refused where a task of it is not known here", async () => {
    const { record } = start([], [{ key: "a", task: "gone" }]);
    await expect(record).rejects.toMatchObject({ code: "graph_invalid", message: expect.stringContaining("gone") });
  });

  test("tells how far it is: the share of steps that are over, an element being its part of one, and which was the last", async () => {
    const { record, progress } = start(
      [task("a", (_input, ctx) => ctx.progress(0.7, "half done")), task("b", (_input, ctx) => ctx.progress(0.5))],
      [{ key: "a" }, { key: "b", map: [1, 2], after: ["a"] }],
      { concurrency: 1 },
    );
    await record;
    const told = progress.filter(
      (one, place) => one[0] !== progress[place - 1]?.[0] || one[1] !== progress[place - 1]?.[1],
    );
    expect(told).toEqual([
      [0, "a"],
      [0, "a: half done"],
      [0.5, "a"],
      [0.5, "b"],
      [0.5, "b[0]"],
      [0.75, "b[0]"],
      [0.75, "b[1]"],
      [1, "b[1]"],
    ]);
  });

  test("comes to what the rules say, whatever its graph is", async () => {
    await fc.assert(
      fc.asyncProperty(graphs({ maxSteps: 40 }), fc.integer({ min: 1, max: 10 }), async (graph, concurrency) => {
        const record = await startGraph([testStep()], graph, { concurrency }).record;
        const { state, result, steps } = expectedOf(graph);
        expect({ state: record.state, result: record.result }).toEqual({ state, result });
        const expected = [...steps].map(([key, step]) => [key, step.state, step.result, step.code]);
        const found = Object.entries(record.steps).map(([key, step]) => [
          key,
          step.state,
          step.result,
          step.error?.code ?? null,
        ]);
        expect(found.toSorted()).toEqual(expected.toSorted());
      }),
    );
  });
});

describe("steps", () => {
  test("run at the same time, as many as there may be", async () => {
    const { entered, handler, open } = gate();
    const { record } = start(
      [task("t", handler)],
      [0, 1, 2, 3].map((place) => ({ key: `s${place}`, task: "t", input: place })),
      { concurrency: 2 },
    );
    await until(() => entered.length === 2);
    await setImmediate();
    expect(entered).toEqual(["0", "1"]);
    await open();
    expect(entered).toEqual(["0", "1", "2"]);
    await open();
    await open();
    await open();
    expect((await record).state).toBe("succeeded");
  });

  test("run eight at a time unless told otherwise", async () => {
    const { entered, handler, open } = gate();
    const { record } = start([task("t", handler)], [{ key: "t", map: Array(9).fill(0) }]);
    await until(() => entered.length === 8);
    await setImmediate();
    expect(entered).toHaveLength(8);
    for (let left = 9; left > 0; left--) await open();
    await record;
  });

  test("get what the schema of their task puts out, and are failed by it without a retry", async () => {
    const input = z.object({ at: z.coerce.date(), limit: z.int().default(5) });
    const typed = defineTask({ name: "typed", input, retry: AGAIN, run: ({ at, limit }) => [at.getTime(), limit] });
    const { record } = start(
      [task("a", () => ({ at: new Date(7), wrong: "x" })), typed],
      [
        { key: "a" },
        { key: "fit", task: "typed", input: { at: ref("a.at") } },
        { key: "unfit", task: "typed", input: { at: ref("a.wrong") } },
      ],
    );
    const { steps } = await record;
    expect(steps.fit?.result).toEqual([7, 5]);
    expect(steps.unfit).toMatchObject({ state: "failed", attempts: 1, error: { code: "input_invalid" } });
  });

  test("hand on what JSON makes of their results", async () => {
    const { record } = start(
      [task("a", () => ({ at: new Date(0), none: undefined })), task("b", (input) => Object.entries(input))],
      [{ key: "a" }, { key: "b", input: ref("a") }],
    );
    expect((await record).steps.b?.result).toEqual([["at", "1970-01-01T00:00:00.000Z"]]);
  });

  test.each<[string, () => unknown]>([
    ["that JSON cannot hold", () => new Map()],
    ["of more than the limit", () => "x".repeat(2_000)],
  ])("with a result %s fail without a retry", async (_what, run) => {
    const { record } = start([task("a", run, { retry: AGAIN })], [{ key: "a" }], { maxPayloadBytes: 1_000 });
    expect((await record).steps.a).toMatchObject({
      state: "failed",
      attempts: 1,
      error: { code: "result_not_storable" },
    });
  });

  test("whose input is too large only with the results of others fail without a retry", async () => {
    const { record } = start(
      [task("a", () => "x".repeat(600)), task("b", () => 1, { retry: AGAIN })],
      [{ key: "a" }, { key: "b", input: [ref("a"), ref("a")] }],
      { maxPayloadBytes: 1_000 },
    );
    expect((await record).steps.b).toMatchObject({
      state: "failed",
      attempts: 1,
      error: { code: "payload_too_large" },
    });
  });

  test("know the task that they are part of, and have a key of their own for services that deduplicate", async () => {
    const seen: Context[] = [];
    const { record, ctx } = start(
      [task("t", (_input, own) => void seen.push(own))],
      [
        { key: "a", task: "t", labels: { team: "video" } },
        { key: "m", task: "t", map: [1], after: ["a"] },
      ],
    );
    await record;
    expect(seen[0]).toMatchObject({
      taskId: ctx.taskId,
      task: "t",
      queue: "work",
      tenant: "acme",
      attempt: 1,
      failures: 0,
      labels: { team: "video", job: "etl" },
    });
    expect(seen.map(({ idempotencyKey }) => idempotencyKey)).toEqual([uuidv5("a", RUN_ID), uuidv5("m[0]", RUN_ID)]);
  });
});

describe("a step that fails", () => {
  test("is tried again, knowing how often it has been", async () => {
    const seen: [number, number][] = [];
    const flaky = task(
      "a",
      (_input, { attempt, failures }) => {
        seen.push([attempt, failures]);
        if (failures < 2) throw new Error("busy");
        return "done";
      },
      { retry: AGAIN },
    );
    const { record } = start([flaky], [{ key: "a" }]);
    expect((await record).steps.a).toMatchObject({ state: "succeeded", result: "done", attempts: 3, error: null });
    expect(seen).toEqual([
      [1, 0],
      [2, 1],
      [3, 2],
    ]);
  });

  test("has the attempts of its task, or its own", async () => {
    const fails = task("t", () => Promise.reject(new Error("no route")), { retry: AGAIN });
    const { record } = start(
      [fails],
      [
        { key: "a", task: "t" },
        { key: "b", task: "t", retry: { max_attempts: 2 } },
      ],
    );
    const { steps } = await record;
    expect([steps.a?.attempts, steps.b?.attempts]).toEqual([3, 2]);
  });

  test("for good with a TerminalError is not tried again", async () => {
    const { record } = start(
      [task("a", () => Promise.reject(new TerminalError("gone")), { retry: AGAIN })],
      [{ key: "a" }],
    );
    expect((await record).steps.a).toMatchObject({ state: "failed", attempts: 1, error: { message: "gone" } });
  });

  test("waits as long as its error asks, and meanwhile others run", async () => {
    const clock = createManualClock();
    const busy = task(
      "busy",
      (_input, { failures }) => {
        if (failures === 0) throw new RetryableError("busy", { retryAfterMs: 1_234 });
      },
      { retry: AGAIN },
    );
    const other = task("other", () => 1);
    const run = start([busy, other], [{ key: "busy" }, { key: "other" }], { clock });
    await until(() => clock.waits.length === 1 && run.progress.some(([share]) => share === 0.5));
    expect(clock.waits).toEqual([1_234]);
    await clock.advance(1_234);
    expect((await run.record).state).toBe("succeeded");
  });

  test("waits no longer than its backoff", async () => {
    const clock = createManualClock();
    const fails = task("a", () => Promise.reject(new Error("busy")));
    const retry = { max_attempts: 2, backoff_ms: 500, max_backoff_ms: 200 };
    const run = start([fails], [{ key: "a", retry }], { clock });
    await until(() => clock.waits.length === 1);
    expect(clock.waits[0]).toBeLessThanOrEqual(200);
    await clock.advance(200);
    expect((await run.record).steps.a).toMatchObject({ state: "failed", attempts: 2 });
  });
});

describe("a step that runs too long", () => {
  test("is aborted by its timeout and fails, tried again like any other; the run goes on", async () => {
    const { reasons, handler } = gate();
    const { record } = start(
      [task("slow", handler, { timeoutMs: 5, retry: { ...AGAIN, maxAttempts: 2 } }), task("after", () => 1)],
      [{ key: "slow" }, { key: "after", after: ["slow"], on_parent_failure: "run" }],
    );
    const { steps } = await record;
    expect(steps.slow).toMatchObject({ state: "failed", attempts: 2, error: { code: "timeout" } });
    expect(reasons).toEqual(["timeout", "timeout"]);
    expect(steps.after?.state).toBe("succeeded");
  });

  test("has the timeout and the grace time that the step says, and is left behind after both", async () => {
    const deaf = task("deaf", () => new Promise(() => {}));
    const { record } = start([deaf], [{ key: "deaf", timeout_ms: 5, grace_ms: 1 }]);
    const { error } = (await record).steps.deaf ?? {};
    expect(error?.message).toContain("timeout of 5 ms and it ignored its signal for 1 ms");
  });
});

describe("an abort of the run", () => {
  test.each<AbortReason>(["cancelled", "shutdown", "timeout", "lease_lost"])(
    "for %s reaches the steps that run, starts nothing more and leaves no record",
    async (reason) => {
      const { entered, reasons, handler } = gate();
      const { record, abort } = start(
        [task("t", handler, { retry: AGAIN })],
        [
          { key: "m", task: "t", map: [1, 2, 3] },
          { key: "after", task: "t", after: ["m"], on_parent_failure: "run" },
        ],
        { concurrency: 2 },
      );
      await until(() => entered.length === 2);
      abort(reason);
      await expect(record).rejects.toBe(reason);
      expect(reasons).toEqual([reason, reason]);
      expect(entered).toHaveLength(2);
    },
  );

  test("before it began runs nothing", async () => {
    const { entered, handler } = gate();
    const definition = createSimpleRun(createRegistry([task("t", handler)]), {
      payloads,
      log,
      clock: systemClock,
      maxPayloadBytes: 1_000,
    });
    const { ctx } = start([], []);
    const input = definition.input.parse({ run_id: RUN_ID, graph: { steps: [{ key: "t", task: "t" }] } });
    const run = definition.run(input, { ...ctx, signal: AbortSignal.abort("cancelled") });
    await expect(run).rejects.toBe("cancelled");
    expect(entered).toEqual([]);
  });

  test("ends the wait before another attempt, which is not made", async () => {
    const clock = createManualClock();
    let attempts = 0;
    const fails = task("a", () => {
      attempts++;
      throw new RetryableError("busy", { retryAfterMs: 60_000 });
    });
    const { record, abort } = start([fails], [{ key: "a", retry: { max_attempts: 3 } }], { clock });
    await until(() => clock.waits.length === 1);
    abort("cancelled");
    await expect(record).rejects.toBe("cancelled");
    expect(attempts).toBe(1);
  });

  test.each<AbortReason>(["cancelled", "timeout"])(
    "for %s leaves a step behind that ignores it for its grace time, and does not count it as failed",
    async (reason) => {
      const { promise: entered, resolve: enter } = Promise.withResolvers<void>();
      const deaf = task("deaf", () => {
        enter();
        return new Promise(() => {});
      });
      const { record, abort } = start([deaf], [{ key: "deaf", grace_ms: 1 }]);
      await entered;
      abort(reason);
      await expect(record).rejects.toBe(reason);
    },
  );

  test("is obeyed before anything more is decided", async () => {
    const run = start(
      [task("a", () => run.abort("cancelled")), task("b", () => 1)],
      [{ key: "a" }, { key: "b", when: ref("a") }],
    );
    await expect(run.record).rejects.toBe("cancelled");
  });

  test("that comes when the last step has done its work changes nothing", async () => {
    const run = start([task("last", () => run.abort("cancelled"))], [{ key: "last" }]);
    expect((await run.record).state).toBe("succeeded");
  });
});

describe("commit(tx)", () => {
  const committing = (written: unknown[]) =>
    task("t", (input) => input, {
      commit: async (tx, output, ctx) => {
        await setImmediate();
        written.push([tx, output, ctx.idempotencyKey]);
      },
    });
  const tx: CommitClient = { query: () => Promise.reject(new Error("expected no statement")) };

  test("of every step that succeeded is called in the transaction of the run, in the order in which they ended", async () => {
    const written: unknown[] = [];
    const { entered, handler, open } = gate();
    const held = task("held", handler, {
      commit: async (...call) => void written.push([call[0], call[1], call[2].idempotencyKey]),
    });
    const fails = task("fails", () => Promise.reject(new Error("no route")), {
      commit: () => void written.push("never"),
    });
    const run = start(
      [committing(written), held, fails],
      [
        { key: "first", task: "held", input: "first" },
        { key: "second", task: "held", input: "second" },
        { key: "third", task: "t", input: "third", after: ["first"] },
        { key: "fails" },
      ],
    );
    await until(() => entered.length === 2);
    await open(1);
    await open(0);
    await run.record;
    expect(written).toEqual([]);
    await run.commit(tx);
    const expected = ["second", "first", "third"].map((key) => [tx, key, uuidv5(key, RUN_ID)]);
    expect(written).toEqual(expected);
    // The transaction may be rolled back and tried again.
    await run.commit(tx);
    expect(written).toEqual([...expected, ...expected]);
  });

  test("that fails says which step it is", async () => {
    const failing = task("t", () => 1, {
      commit: () => {
        throw new Error("duplicate key");
      },
    });
    const run = start([failing], [{ key: "load", task: "t" }]);
    await expect(run.commit(tx)).rejects.toThrow("commit(tx) of step load: duplicate key");
  });
});
