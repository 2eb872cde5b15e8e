import { afterEach, expect, test, vi } from "vitest";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import { type Attempt, startAttempt } from "../../runtime/flow/attempt.ts";
import { openLog } from "../../runtime/log.ts";
import { watchEventLoop } from "../../runtime/worker/event-loop.ts";
import { until } from "../support/until.ts";
import type { LogLine } from "./rig.ts";

let lines: LogLine[] = [];
let ends: (() => void)[] = [];
const log = openLog({ level: "debug", format: "json", service: "test", write: (line) => lines.push(JSON.parse(line)) });

afterEach(() => {
  for (const end of ends) end();
  [ends, lines] = [[], []];
  vi.useRealTimers();
});

function watch(names: readonly string[], clock: Clock = systemClock): void {
  const attempts = new Map<string, Attempt>();
  for (const [nth, name] of names.entries()) {
    const attempt = startAttempt(
      {
        id: `${nth}`,
        attempt: 1,
        failures: 0,
        name,
        queue: "default",
        tenant: "default",
        priority: 0,
        inputText: null,
        inputRef: null,
        labels: {},
        traceContext: null,
        limited: false,
        step: null,
        policy: { timeoutMs: 600_000, graceMs: 0, maxAttempts: 1, backoffMs: 0, maxBackoffMs: 0 },
        createdAt: new Date(),
        waitMs: 0,
      },
      0,
    );
    attempts.set(attempt.task.id, attempt);
    ends.push(attempt.settle);
  }
  ends.push(watchEventLoop({ attempts, log, clock }).stop);
}

/** Passes while this process computes, so that a busy machine does not make a block look like a freeze. */
const cpuClock: Clock = {
  ...systemClock,
  nowMs() {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1_000;
  },
};

test("names the tasks of a process whose event loop was blocked for 5 s, each name once", async () => {
  watch(["resize", "resize", "report"], cpuClock);
  const endMs = cpuClock.nowMs() + 5_100;
  while (cpuClock.nowMs() < endMs);
  await until(() => lines.length > 0, { deadlineMs: 5_000, what: "a warning" });
  expect(lines).toMatchObject([{ level: "warn", event: "eventloop.blocked", tasks: ["resize", "report"] }]);
  expect(lines[0]?.blockedMs).toBeGreaterThanOrEqual(5_000);
  expect(lines[0]?.blockedMs).toBeLessThan(7_000);
  // Seconds of the processor take longer where others use it too.
}, 60_000);

/** A second passes on the timers, and `lateMs` more on the clock, while the process uses no CPU to speak of. */
function stepper(): { clock: Clock; step(lateMs: number): void } {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  let nowMs = 0;
  return {
    clock: { ...systemClock, nowMs: () => nowMs },
    step(lateMs) {
      nowMs += 1_000 + lateMs;
      vi.advanceTimersByTime(1_000);
    },
  };
}

test("says nothing of a process that was frozen: nobody in it computed", () => {
  const { clock, step } = stepper();
  watch(["resize"], clock);
  for (const lateMs of [0, 60_000, 0]) step(lateMs);
  expect(lines).toEqual([]);
});

test("says nothing while the loop turns", () => {
  const { clock, step } = stepper();
  watch(["resize"], clock);
  for (let turn = 0; turn < 10; turn++) step(turn * 10);
  expect(lines).toEqual([]);
});
