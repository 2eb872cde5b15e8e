import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import type { ClaimedTask } from "../../runtime/flow/claim.ts";
import type { MetricValues } from "../../runtime/metrics/emf.ts";
import { createMeters } from "../../runtime/metrics/meters.ts";
import { withLines } from "../../runtime/metrics/worker-lines.ts";
import { createWorkerMetrics } from "../../runtime/metrics/worker-metrics.ts";
import type { WorkerObserver } from "../../runtime/worker/observer.ts";
import { createManualClock, type ManualClock } from "../support/manual-clock.ts";
import { until } from "../support/until.ts";

const INTERVAL_MS = 20_000;
const IDLE = { running: 0, slots: 5, leakedSlots: 0, draining: false, tasks: [] };
const TASK = { queue: "default", name: "echo", attempt: 1 } as ClaimedTask; // What is counted of it.

let clock: ManualClock;
let lines: { readonly values: MetricValues; readonly atMs: number }[];
let state: typeof IDLE;
let metrics: WorkerObserver;

beforeEach(() => {
  [lines, state] = [[], IDLE];
  create(createManualClock());
});

afterEach(() => metrics.stopped());

function create(on: ManualClock): void {
  clock = on;
  const emf = { put: (values: MetricValues) => lines.push({ values, atMs: clock.wallMs() }) };
  const meters = createMeters(["worker"]);
  metrics = withLines({ metrics: createWorkerMetrics(meters), meters, emf, clock, intervalMs: INTERVAL_MS });
}

const last = () => lines.at(-1)?.values;
const NOTHING = { Started: 0, Succeeded: 0, Failed: 0, Retried: 0, LeasesLost: 0 };

test("writes how full the worker is and what happened since the line before", async () => {
  metrics.started(() => state);
  state = { ...IDLE, running: 3, leakedSlots: 1 };
  for (let nth = 0; nth < 9; nth++) metrics.attemptStarted(TASK);
  metrics.attemptEnded(TASK, "succeeded", "succeeded");
  metrics.attemptEnded(TASK, "succeeded", "succeeded");
  metrics.attemptEnded(TASK, "failed", "failed");
  metrics.attemptEnded(TASK, "failed", "queued");
  metrics.attemptEnded(TASK, "lost", "nothing");
  metrics.attemptEnded(TASK, "succeeded", "refused");
  await clock.advance(INTERVAL_MS);
  const counted = { Started: 9, Succeeded: 2, Failed: 1, Retried: 1, LeasesLost: 2 };
  expect(last()).toMatchObject({ Running: 3, Slots: 5, LeakedSlots: 1, ...counted });
  state = IDLE;
  await clock.advance(INTERVAL_MS);
  expect(last()).toMatchObject({ Running: 0, Slots: 5, LeakedSlots: 0, ...NOTHING });
});

test("counts no retry where a task was given back, and nothing where it was cancelled", async () => {
  metrics.started(() => state);
  metrics.attemptEnded(TASK, "released", "queued");
  metrics.attemptEnded(TASK, "cancelled", "cancelled");
  metrics.attemptEnded(TASK, "failed", "cancelled");
  await clock.advance(INTERVAL_MS);
  expect(last()).toMatchObject(NOTHING);
});

test.each([0, 1, 9_999.7, 10_000, 19_999, 1_795_267_927_123])(
  "writes one line in every interval of the wall clock, in its middle (started at %d)",
  async (wallMs) => {
    create(createManualClock({ wallMs }));
    metrics.started(() => state);
    await clock.advance(10 * INTERVAL_MS);
    const periods = lines.map(({ atMs }) => Math.floor(atMs / INTERVAL_MS));
    expect(lines.length).toBeGreaterThanOrEqual(10);
    expect(periods).toEqual(lines.map((_, nth) => (periods[0] ?? 0) + nth));
    for (const { atMs } of lines) expect(Math.abs((atMs % INTERVAL_MS) - INTERVAL_MS / 2)).toBeLessThan(1);
  },
);

test("writes no second line for a timer that fired a moment early by the wall clock", async () => {
  const timers = createManualClock();
  create({ ...timers, wallMs: () => timers.wallMs() * 0.9999 });
  metrics.started(() => state);
  for (let nth = 1; nth <= 10; nth++) {
    await timers.advance(INTERVAL_MS);
    expect(lines).toHaveLength(nth);
  }
});

test("writes one line for a time in which the process did not run", async () => {
  const frozen = createManualClock();
  let missedMs = 0;
  create({
    ...frozen,
    wallMs: () => frozen.wallMs() + missedMs,
    get waits() {
      return frozen.waits;
    },
  });
  metrics.started(() => state);
  missedMs = 5 * INTERVAL_MS + 3_000;
  await frozen.advance(INTERVAL_MS);
  expect(lines).toHaveLength(1);
  await frozen.advance(INTERVAL_MS);
  expect(lines).toHaveLength(2);
});

test("counts no free slots of a worker that drains: nothing will use them", async () => {
  metrics.started(() => state);
  state = { ...IDLE, running: 2, draining: true };
  await clock.advance(INTERVAL_MS);
  expect(last()).toMatchObject({ Running: 2, Slots: 2 });
});

describe("when the worker stops", () => {
  test("one more line says what was counted, and nothing of slots, so that it is neither busy nor idle", async () => {
    metrics.started(() => state);
    await clock.advance(INTERVAL_MS);
    metrics.attemptStarted(TASK);
    metrics.attemptEnded(TASK, "succeeded", "succeeded");
    const before = lines.length;
    metrics.stopped();
    expect(lines).toHaveLength(before + 1);
    expect(last()).toMatchObject({ ...NOTHING, Started: 1, Succeeded: 1 });
    for (const gauge of ["Running", "Slots", "LeakedSlots"]) expect(last()).not.toHaveProperty(gauge);
  });

  test("it was the last", async () => {
    metrics.started(() => state);
    metrics.stopped();
    metrics.stopped();
    await clock.advance(5 * INTERVAL_MS);
    expect([lines.length, clock.waits]).toEqual([1, []]);
  });
});

describe("the event loop's delay", () => {
  test("has no value before it was measured", () => {
    metrics.started(() => state);
    metrics.stopped();
    expect(last()?.EventLoopDelayMs).toBeUndefined();
  });

  test("is how long a handler that computes held up the others, once", async () => {
    const measured = async (enough: (ms: number) => boolean) => {
      await clock.advance(INTERVAL_MS);
      const ms = last()?.EventLoopDelayMs;
      return typeof ms === "number" && enough(ms);
    };
    metrics.started(() => state);
    await until(() => measured(() => true));
    // A block that begins with the histogram, after a line, is not seen: only its own timers tell it the time.
    await until(async () => {
      const untilMs = systemClock.nowMs() + 150;
      while (systemClock.nowMs() < untilMs);
      // The timers that are late fire before this one.
      await systemClock.after(0);
      return measured((ms) => ms > 100);
    });
    await until(() => measured((ms) => ms < 100));
  });
});
