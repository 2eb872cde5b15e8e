import { describe, expect, test } from "vitest";
import { describeEnd, startProgressView } from "../../runtime/cli/progress.ts";
import { widthOf } from "../../runtime/cli/text.ts";
import { readTask, type Task } from "../../runtime/client/task.ts";
import type { Clock } from "../../runtime/clock.ts";
import { taskBody } from "../client/scripted-server.ts";
import { recordingPaper } from "./recording-paper.ts";

/** A clock that goes on when the test says so. */
function handClock() {
  let nowMs = 0;
  const ticks: (() => void)[] = [];
  const clock: Clock = {
    nowMs: () => nowMs,
    wallMs: () => Date.parse("2026-01-01T00:00:00.000Z") + nowMs,
    after: () => new Promise((resolve) => void ticks.push(resolve)),
  };
  return {
    clock,
    async pass(ms: number) {
      nowMs += ms;
      for (const tick of ticks.splice(0)) tick();
      await Promise.resolve();
      await Promise.resolve();
    },
  };
}

function task(over: Readonly<Record<string, unknown>>): Task {
  const read = readTask(JSON.stringify(taskBody(over)));
  if (read === undefined) throw new Error("not a task");
  return read;
}

describe("on a terminal", () => {
  test("the line is drawn again as time goes by, with a bar", async () => {
    const paper = recordingPaper({ isTerminal: true });
    const { clock, pass } = handClock();
    const view = startProgressView(paper, clock);
    view.update(task({ state: "running", attempt: 2, progress: 0.5, progress_message: "page 3 of 6" }));
    await pass(1_500);
    expect(paper.drawn.at(-1)).toBe("⠙ running · attempt 2 · 1.5 s · ████████░░░░░░░░ 50 % · page 3 of 6");
    await pass(100);
    expect(paper.drawn.at(-1)).toBe("⠹ running · attempt 2 · 1.6 s · ████████░░░░░░░░ 50 % · page 3 of 6");
    expect(paper.lines).toEqual([]);
  });

  test("whatever a handler says, it stays one line within the terminal", async () => {
    const paper = recordingPaper({ isTerminal: true, columns: 60 });
    const { clock, pass } = handClock();
    const message = `\u001b[2J\n日本語${"x".repeat(200)}`;
    startProgressView(paper, clock).update(
      task({ state: "running", attempt: 1, progress: 1, progress_message: message }),
    );
    await pass(100);
    const drawn = paper.drawn.at(-1) ?? "";
    expect(drawn).toMatch(/^⠙ running · attempt 1 · 100 ms · █{16} 100 %/);
    expect(drawn).not.toMatch(/\p{Cc}/u);
    expect(widthOf(drawn)).toBeLessThan(60);
  });

  test("the line is gone at the end, and is not drawn again", async () => {
    const paper = recordingPaper({ isTerminal: true });
    const { clock, pass } = handClock();
    const view = startProgressView(paper, clock);
    view.end();
    const { length } = paper.drawn;
    expect(paper.drawn.at(-1)).toBe("");
    await pass(1_000);
    expect(paper.drawn).toHaveLength(length);
  });

  test("an API that is away is told until it is back", async () => {
    const paper = recordingPaper({ isTerminal: true });
    const { clock, pass } = handClock();
    const view = startProgressView(paper, clock);
    view.away();
    await pass(100);
    expect(paper.drawn.at(-1)).toContain("the API does not answer, trying again");
    view.update(task({ state: "queued" }));
    await pass(100);
    expect(paper.drawn.at(-1)).toContain("queued");
  });
});

describe("where no terminal reads it", () => {
  test("there is a line for each change, and none for time alone", () => {
    const paper = recordingPaper({ isTerminal: false });
    const view = startProgressView(paper, handClock().clock);
    const running = { state: "running", attempt: 1, progress: 0.4, progress_message: "fetching" };
    view.update(task({ state: "queued" }));
    view.update(task({ state: "queued" }));
    view.update(task(running));
    view.update(task(running));
    view.update(task({ ...running, progress: 0.8 }));
    view.update(task({ state: "queued", attempt: 1, due_at: "2026-01-01T00:01:00.000Z" }));
    view.update(task({ state: "succeeded", attempt: 2 }));
    view.end();
    expect(paper.lines).toEqual([
      "queued · 0 ms",
      "running · attempt 1 · 0 ms · 40 % · fetching",
      "running · attempt 1 · 0 ms · 80 % · fetching",
      "queued, due at 2026-01-01T00:01:00.000Z · after attempt 1 · 0 ms",
    ]);
    expect(paper.drawn).toEqual([]);
  });
});

test.each([
  ["succeeded", "✔ succeeded · attempt 1 · ran 2.5 s"],
  ["failed", "✖ failed · attempt 1 · ran 2.5 s"],
])("the end of a task that %s is told in a line", (state, line) => {
  const times = { started_at: "2026-01-01T00:00:00.000Z", finished_at: "2026-01-01T00:00:02.500Z" };
  expect(describeEnd(task({ state, attempt: 1, ...times }), recordingPaper({ isTerminal: false }))).toBe(line);
});

test("a task that never ran has nothing of an attempt in its end", () => {
  expect(describeEnd(task({ state: "cancelled" }), recordingPaper({ isTerminal: false }))).toBe("✖ cancelled");
});
