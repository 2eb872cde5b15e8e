import { afterEach, expect, test } from "vitest";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import { type LoopParts, runLoop } from "../../runtime/executor/loop.ts";
import { openLog } from "../../runtime/log.ts";
import { until } from "../support/until.ts";

type Line = { level: string; event: string; loop?: string; retryInMs?: number; error?: { message: string } };

let lines: Line[] = [];
let stopping = new AbortController();
let over: Promise<void> = Promise.resolve();
const log = openLog({ level: "debug", format: "json", service: "test", write: (line) => lines.push(JSON.parse(line)) });

afterEach(async () => {
  stopping.abort();
  await over;
  [stopping, lines] = [new AbortController(), []];
});

/** Runs a loop whose pauses are over at once, and known. */
function run(step: LoopParts["step"], clock?: Clock): { pauses: number[] } {
  const pauses: number[] = [];
  const hasty: Clock = {
    ...systemClock,
    async after(ms, signal) {
      pauses.push(ms);
      await systemClock.after(0, signal);
    },
  };
  over = runLoop({ name: "reap", intervalMs: 1_000, log, clock: clock ?? hasty, stopping: stopping.signal, step });
  return { pauses };
}

test("takes its step again after each interval, and at once while there is more to do", async () => {
  let steps = 0;
  const { pauses } = run(async () => ++steps % 3 !== 0);
  await until(() => steps >= 6);
  expect(pauses.slice(0, 5)).toEqual([0, 0, 1_000, 0, 0]);
  expect(lines).toEqual([]);
});

test("survives a step that fails, with a pause that doubles to ten seconds, and forgets it with the first success", async () => {
  let steps = 0;
  const { pauses } = run(async () => {
    steps++;
    if (steps !== 9) throw new Error("no answer");
    return false;
  });
  await until(() => steps >= 11);
  const ceilings = [1_000, 1_000, 1_600, 3_200, 6_400, 10_000, 10_000, 10_000];
  for (const [nth, ceiling] of ceilings.entries()) {
    expect(pauses[nth]).toBeGreaterThanOrEqual(ceiling / 2);
    expect(pauses[nth]).toBeLessThanOrEqual(ceiling);
  }
  expect(pauses[8]).toBe(1_000);
  expect(pauses[9]).toBeLessThanOrEqual(1_000);
  expect(lines[7]).toMatchObject({
    level: "warn",
    event: "loop.failed",
    loop: "reap",
    error: { message: "no answer" },
  });
  expect(lines[7]?.retryInMs).toBe(Math.round(pauses[7] ?? 0));
});

test("survives a step that throws before it is asynchronous", async () => {
  let steps = 0;
  run(() => {
    steps++;
    throw new Error("at once");
  });
  await until(() => steps >= 3);
});

test("ends when it is stopped, in the middle of a pause as well", async () => {
  let steps = 0;
  run(async () => {
    steps++;
    return false;
  }, systemClock);
  await until(() => steps === 1);
  stopping.abort();
  await over;
  expect(steps).toBe(1);
});

test("lets the step under way end when it is stopped", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  let ended = false;
  let steps = 0;
  run(async () => {
    steps++;
    await promise;
    return true;
  });
  void over.then(() => {
    ended = true;
  });
  await until(() => steps === 1);
  stopping.abort();
  await new Promise(setImmediate);
  expect(ended).toBe(false);
  resolve();
  await over;
  expect(steps).toBe(1);
});

test("takes no step when it is stopped before it began", async () => {
  stopping.abort();
  let steps = 0;
  run(async () => {
    steps++;
    return false;
  });
  await over;
  expect(steps).toBe(0);
});
