import { expect, test } from "vitest";
import { taskBlock } from "../../runtime/cli/task-block.ts";
import { widthOf } from "../../runtime/cli/text.ts";
import { readTask, type Task } from "../../runtime/client/task.ts";
import { taskBody } from "../client/scripted-server.ts";
import { recordingPaper } from "./recording-paper.ts";

const NOW = Date.parse("2026-01-01T00:10:00.000Z");

function taskOf(json: string): Task {
  const task = readTask(json);
  if (task === undefined) throw new Error("not a task");
  return task;
}

const task = (over: Readonly<Record<string, unknown>>) => taskOf(JSON.stringify(taskBody(over)));

test("has a fact a line, and only facts there are", () => {
  const waiting = task({ labels: { team: "search" }, due_at: "2026-01-01T01:00:00.000Z" });
  expect(taskBlock(waiting, recordingPaper({ isTerminal: true }), NOW).split("\n")).toEqual([
    "sleep  queued",
    "  id         0190b6a0-0000-7000-8000-000000000001",
    "  queue      default",
    "  attempt    0",
    "  labels     team=search",
    "  created    2026-01-01T00:00:00.000Z (10 min 0 s ago)",
    "  due        2026-01-01T01:00:00.000Z (in 50 min 0 s)",
    '  input      {"duration_seconds":1}',
  ]);
});

test("fits into a terminal, and says what was cut", () => {
  const error = {
    code: "handler_error",
    type: "Error",
    message: "m".repeat(500),
    stack: `Error: m\n${"    at somewhere (file.ts:1:1)\n".repeat(40)}`,
  };
  const failed = task({
    state: "failed",
    attempt: 3,
    failures: 2,
    losses: 1,
    input: { text: "日本".repeat(5_000) },
    error,
    started_at: "2026-01-01T00:00:01.000Z",
    finished_at: "2026-01-01T00:00:04.000Z",
  });
  const lines = taskBlock(failed, recordingPaper({ isTerminal: true, columns: 80 }), NOW).split("\n");
  expect(lines.filter((line) => widthOf(line) >= 80)).toEqual([]);
  expect(lines).toContain("  attempt    3 (2 failures, 1 worker lost)");
  expect(lines.find((line) => line.startsWith("  input"))).toMatch(/… \(10011 characters, all with --json\)$/);
  expect(lines.filter((line) => line.includes("at somewhere"))).toHaveLength(12);
});

test("keeps everything, digit by digit, where no terminal reads it", () => {
  const json = JSON.stringify(taskBody({ state: "succeeded", result: "RESULT" })).replace(
    '"RESULT"',
    `[18446744073709551616, 1.0, "${"x".repeat(500)}"]`,
  );
  const block = taskBlock(taskOf(json), recordingPaper({ isTerminal: false }), NOW);
  expect(block).toContain(`  result     [18446744073709551616, 1.0, "${"x".repeat(500)}"]`);
});

test("cannot be taken over by what a handler says", () => {
  const error = { code: "handler_error", type: "Error", message: "\u001b[2J\u001b[1;1Hall is well\nreally" };
  const block = taskBlock(task({ state: "failed", error }), recordingPaper({ isTerminal: false }), NOW);
  expect(block).toContain("  error      handler_error: Error: all is well really");
  expect(block).not.toContain("\u001b");
});
