import { describe, expect, test } from "vitest";
import { z } from "zod";
import { TerminalError } from "../../runtime/define/errors.ts";
import type { ExecutingTask, SavedResult } from "../../runtime/define/middleware.ts";
import { defineTask } from "../../runtime/define/task.ts";
import { loggingMiddleware } from "../../runtime/worker/logging.ts";
import { readTasks } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { type LogLine, useRig } from "./rig.ts";

const rig = useRig();

const TASK: ExecutingTask = {
  id: "0190a000-0000-7000-8000-000000000001",
  name: "demo",
  queue: "default",
  tenant: "default",
  attempt: 2,
  labels: {},
  traceContext: null,
  step: null,
  waitMs: 12,
  failures: 1,
  timeoutMs: 5_000,
};
const ID = { taskId: TASK.id, task: "demo", queue: "default", attempt: 2 };
const ERROR = { code: "handler_error", type: "RangeError", message: "no route" };

async function saved(result: SavedResult, everyTask = false): Promise<readonly LogLine[]> {
  await loggingMiddleware(rig.log, everyTask).postSave?.(TASK, result);
  return rig.lines;
}

describe("by default there is one line for what went wrong:", () => {
  test.each<[string, SavedResult, object]>([
    [
      "a retry",
      { kind: "failed", recorded: "queued", error: ERROR, retryInMs: 1_999.6, durationMs: 7.6 },
      {
        level: "warn",
        event: "task.retried",
        failures: 2,
        retryInMs: 2_000,
        code: "handler_error",
        error: "RangeError: no route",
        runMs: 8,
      },
    ],
    [
      "a timeout",
      { kind: "failed", recorded: "queued", error: { ...ERROR, code: "timeout" }, retryInMs: 0, durationMs: 1 },
      { level: "warn", event: "task.timeout", timeoutMs: 5_000, failures: 2, retryInMs: 0, code: "timeout" },
    ],
    [
      "a failure for good",
      { kind: "failed", recorded: "failed", error: ERROR, retryInMs: null, durationMs: 1 },
      { level: "error", event: "task.failed", code: "handler_error" },
    ],
    [
      "a cancel",
      { kind: "cancelled", recorded: "cancelled", error: ERROR, retryInMs: null, durationMs: 1 },
      { level: "info", event: "task.cancelled" },
    ],
    [
      "a task given back",
      { kind: "released", recorded: "queued", error: null, retryInMs: null, durationMs: 1 },
      { level: "info", event: "task.shutdown" },
    ],
    [
      "a lost attempt",
      { kind: "lost", recorded: "nothing", error: null, retryInMs: null, durationMs: 1 },
      { level: "warn", event: "task.lost" },
    ],
    [
      "an outcome that came too late",
      { kind: "succeeded", recorded: "refused", error: null, retryInMs: null, durationMs: 1 },
      { level: "warn", event: "task.refused", outcome: "succeeded" },
    ],
  ])("%s", async (_what, result, line) => {
    expect(await saved(result)).toEqual([expect.objectContaining({ ...ID, ...line })]);
  });

  const GONE_WELL = { error: null, retryInMs: null, durationMs: 1 };

  test.each<[string, SavedResult, string]>([
    ["a success", { ...GONE_WELL, kind: "succeeded", recorded: "succeeded" }, "task.succeeded"],
    ["a step that is skipped", { ...GONE_WELL, kind: "skipped", recorded: "skipped" }, "task.skipped"],
    ["a step that is expanded", { ...GONE_WELL, kind: "expanded", recorded: "blocked" }, "task.expanded"],
    ["a step of no elements", { ...GONE_WELL, kind: "expanded", recorded: "succeeded" }, "task.expanded"],
  ])("and none for %s, unless asked for", async (_what, result, event) => {
    expect(await saved(result)).toEqual([]);
    expect(await saved(result, true)).toEqual([expect.objectContaining({ ...ID, event, level: "info", runMs: 1 })]);
  });

  test("each names the step and the trace where there are such", async () => {
    const traceContext = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 a=b";
    const step = { runId: "0190a000-0000-7000-8000-0000000000ff", key: "load" };
    const result: SavedResult = { ...GONE_WELL, kind: "failed", recorded: "failed", error: ERROR };
    await loggingMiddleware(rig.log, false).postSave?.({ ...TASK, step, traceContext }, result);
    expect(rig.lines).toMatchObject([
      {
        ...ID,
        runId: step.runId,
        step: "load",
        traceId: "0af7651916cd43dd8448eb211c80319c",
        spanId: "b7ad6b7169203331",
      },
    ]);
  });
});

describe("of a worker's attempts", () => {
  const tasks = [
    defineTask({ name: "demo", input: z.unknown(), run: () => ({ done: true }) }),
    defineTask({
      name: "broken",
      input: z.unknown(),
      run() {
        throw new TerminalError("no route");
      },
    }),
  ];

  async function runAll(everyTask: boolean, names: readonly string[]): Promise<readonly LogLine[]> {
    rig.start({ tasks, middlewares: [loggingMiddleware(rig.log, everyTask)] });
    await rig.submit(names.map((name) => ({ name })));
    await until(async () => (await readTasks(rig.database)).every((row) => row.finished));
    await until(() => rig.held().inflight.length === 0);
    return rig.lines.filter((line) => line.event.startsWith("task."));
  }

  test("that succeed nothing at all is written by default", async () => {
    expect(
      await runAll(
        false,
        Array.from({ length: 20 }, () => "demo"),
      ),
    ).toEqual([]);
    expect(rig.lines.map((line) => line.event)).toEqual(["worker.started"]);
  });

  test("one that fails is written once", async () => {
    expect(await runAll(false, ["demo", "broken", "demo"])).toMatchObject([
      { level: "error", event: "task.failed", task: "broken", error: "TerminalError: no route" },
    ]);
  });

  test("each is written when asked for, at its start and at its end", async () => {
    const lines = await runAll(true, ["demo", "demo"]);
    expect(lines.map((line) => [line.level, line.event]).toSorted()).toEqual([
      ["info", "task.started"],
      ["info", "task.started"],
      ["info", "task.succeeded"],
      ["info", "task.succeeded"],
    ]);
    for (const line of lines) expect(line).toMatchObject({ task: "demo", queue: "default", attempt: 1 });
    expect(new Set(lines.map((line) => line.taskId)).size).toBe(2);
  });
});
