import { describe, expect, test } from "vitest";
import {
  BUILTIN,
  BUILTIN_POLICY,
  builtin,
  CLOUDWATCH,
  cloudwatch,
  LITERAL,
  TARGET_TRACKING,
} from "../../bench/scaling-drivers.ts";
import { BURST, LOADS, LONG, OUTAGE, RAMP, SAWTOOTH, STEP } from "../../bench/scaling-loads.ts";
import { randomSource } from "../../bench/scaling-random.ts";
import { type Driver, type Fleet, type Load, type Outcome, simulate } from "../../bench/scaling-simulator.ts";
import { VARIABLES } from "../../runtime/config-table.ts";
import { DEFAULT_POLICY } from "../../runtime/model/scaling.ts";

const HOUR = 3_600;
const SEEDS = [1, 2, 3, 4];
const FLEET: Fleet = { slots: 5, startSeconds: 60, initial: 1, protection: { afterSeconds: 1, drainSeconds: 100 } };
const SHIPPED = [CLOUDWATCH, BUILTIN];
const still: Driver = ({ desired }) => desired;
const steady = (rate: number, taskSeconds: number, seconds = HOUR): Load => {
  return { name: `${rate}/s of ${taskSeconds} s`, seconds, taskSeconds, rate: () => rate };
};

function mean(outcomes: readonly Outcome[], of: Exclude<keyof Outcome, "desired">): number {
  return outcomes.reduce((sum, outcome) => sum + outcome[of], 0) / outcomes.length;
}

/** Each pair is run once, however many claims are made of it. */
const runs = new Map<string, readonly Outcome[]>();
function runsOf(load: Load, { name, create }: typeof BUILTIN, fleet: Fleet = FLEET): readonly Outcome[] {
  const key = JSON.stringify([load.name, name, fleet]);
  const known = runs.get(key);
  if (known !== undefined) return known;
  const made = SEEDS.map((seed) => simulate(load, fleet, create(), seed));
  runs.set(key, made);
  return made;
}

describe("the simulator", () => {
  test("gives the same outcome for the same seed, and another for another", () => {
    const one = simulate(STEP, FLEET, CLOUDWATCH.create(), 1);
    expect(simulate(STEP, FLEET, CLOUDWATCH.create(), 1)).toEqual(one);
    expect(simulate(STEP, FLEET, CLOUDWATCH.create(), 2)).not.toEqual(one);
  });

  test("draws arrivals and run times with the means asked for", () => {
    const random = randomSource(7);
    const average = (draw: () => number) => {
      let sum = 0;
      for (let index = 0; index < 100_000; index++) sum += draw();
      return sum / 100_000;
    };
    expect(average(() => random.poisson(4.2))).toBeCloseTo(4.2, 1);
    expect(average(() => random.lognormal(60, 0.8)) / 60).toBeCloseTo(1, 1);
  });

  test("lets no task wait where there are slots enough, and pays for every worker second", () => {
    const outcome = simulate(steady(2, 2), { ...FLEET, initial: 10 }, still, 1);
    expect(outcome).toMatchObject({ p50: 0, p95: 0, max: 0, outs: 0, ins: 0, turns: 0, hits: 0, taskHours: 10 });
  });

  test("drains a burst at the rate of Little's law", () => {
    const burst = { ...steady(0, 10, 2 * HOUR), burst: { second: 0, tasks: 2_000 } };
    const { max } = simulate(burst, { ...FLEET, initial: 8 }, still, 1);
    expect(max).toBeGreaterThan(0.9 * ((2_000 * 10) / 40));
    expect(max).toBeLessThan(1.1 * ((2_000 * 10) / 40));
  });

  test("counts tasks that nobody claimed by the end as waiting", () => {
    const outcome = simulate(steady(1, 2, 600), { ...FLEET, initial: 0 }, still, 1);
    expect(outcome.max).toBeGreaterThan(590);
  });

  test("lets a new worker claim after its start and not before", () => {
    const toOne: Driver = () => 1;
    const outcome = simulate(
      { ...steady(0, 2, 600), burst: { second: 0, tasks: 1 } },
      { ...FLEET, initial: 0 },
      toOne,
      1,
    );
    expect(outcome.max).toBe(60);
  });

  test("stands still in an outage and reports nothing", () => {
    const load: Load = { ...steady(1, 2, 600), outage: (second) => second >= 100 && second < 400 };
    const reported: number[] = [];
    const watch: Driver = ({ second, desired, report }) => {
      if (report !== null) reported.push(second);
      return desired;
    };
    const outcome = simulate(load, FLEET, watch, 1);
    expect(reported).toEqual(Array.from({ length: 600 }, (_, second) => second).filter((s) => s < 100 || s >= 400));
    expect(outcome.max).toBeGreaterThanOrEqual(295);
  });

  test("runs what was cut off again, on the next worker", () => {
    const runningAt: number[] = [];
    const replace: Driver = ({ second, report }) => {
      if (report !== null && report.running > 0) runningAt.push(second);
      return second === 20 ? 0 : 1;
    };
    const load = { ...steady(0, 1_000, 100), burst: { second: 0, tasks: 1 } };
    const outcome = simulate(load, { ...FLEET, protection: "none" }, replace, 1);
    expect(outcome).toMatchObject({ hits: 1, max: 0 });
    expect(runningAt).toEqual([...Array(21).keys(), ...Array.from({ length: 19 }, (_, index) => 81 + index)]);
  });

  test("cuts what runs on a removed worker, unless it drains or is protected", () => {
    const removal: Driver = ({ second }) => (second < 100 ? 4 : 1);
    const load = steady(0.3, 60, 1_000);
    const fleet = { ...FLEET, initial: 4 };
    const bare = simulate(load, { ...fleet, protection: "none" }, removal, 1);
    const protectedAtOnce = { afterSeconds: 0, drainSeconds: 0 };
    expect(bare.hits).toBeGreaterThan(5);
    expect(simulate(load, { ...fleet, protection: protectedAtOnce }, removal, 1).hits).toBe(0);
    const drained = { afterSeconds: 1_000, drainSeconds: 1_000 };
    expect(simulate(load, { ...fleet, protection: drained }, removal, 1).hits).toBe(0);
  });
});

test("the builtin driver and the protection are simulated with the defaults of the runtime's configuration", () => {
  const defaultOf = (name: keyof typeof VARIABLES) => VARIABLES[name].presence;
  const { min, max, perWorker, outAbove, inBelow, outCooldownMs, inCooldownMs } = BUILTIN_POLICY;
  expect(defaultOf("TASKIQ_SCALING_MIN")).toEqual({ default: String(min) });
  expect(defaultOf("TASKIQ_SCALING_MAX")).toEqual({ default: String(max) });
  expect(defaultOf("TASKIQ_SCALING_PER_WORKER")).toEqual({ default: String(perWorker) });
  expect(defaultOf("TASKIQ_SCALING_OUT_ABOVE")).toEqual({ default: String(outAbove) });
  expect(defaultOf("TASKIQ_SCALING_IN_BELOW")).toEqual({ default: String(inBelow) });
  expect(defaultOf("TASKIQ_SCALING_OUT_COOLDOWN_MS")).toEqual({ default: String(outCooldownMs) });
  expect(defaultOf("TASKIQ_SCALING_IN_COOLDOWN_MS")).toEqual({ default: String(inCooldownMs) });
  expect(defaultOf("TASKIQ_SCALING_INTERVAL_MS")).toEqual({ default: "5000" });
  expect(defaultOf("TASKIQ_PROTECT_AFTER_MS")).toEqual({ default: "1000" });
  expect(defaultOf("TASKIQ_DRAIN_WORK_MS")).toEqual({ default: "100000" });
});

describe.each(SHIPPED)("the shipped $name driver", (driver) => {
  test("keeps the 95th percentile of the wait under 120 s when the load grows twentyfold", () => {
    expect(mean(runsOf(STEP, driver), "p95")).toBeLessThanOrEqual(120);
  });

  test("needs at most 2.2 times the 9 task-hours of Little's law for that hour", () => {
    expect(mean(runsOf(STEP, driver), "taskHours")).toBeLessThanOrEqual(2.2 * 9);
  });

  test.each([steady(20, 2, 4 * HOUR), steady(10, 2, 4 * HOUR), steady(0.7, 60, 4 * HOUR)])(
    "turns at most once in ten minutes at a constant load, and settles within 30 % above Little's law: $name",
    (load) => {
      const workers = (load.rate(0) * load.taskSeconds) / 5;
      const outcomes = runsOf(load, driver, { ...FLEET, initial: 20 });
      for (const { turns } of outcomes) expect(turns).toBeLessThanOrEqual(load.seconds / 600);
      const late = outcomes.flatMap(({ desired }) => desired.slice(2 * HOUR));
      const settled = late.reduce((sum, desired) => sum + desired, 0) / late.length;
      expect(settled).toBeGreaterThanOrEqual(0.95 * workers);
      expect(settled).toBeLessThanOrEqual(1.3 * workers);
      // A fleet may not get there by letting the tasks wait.
      expect(mean(outcomes, "p95")).toBeLessThanOrEqual(load.taskSeconds);
    },
  );

  test("goes from the maximum to the minimum within 75 minutes when there is nothing to do", () => {
    const { desired } = simulate(steady(0, 2, 2 * HOUR), { ...FLEET, initial: 20 }, driver.create(), 1);
    expect(desired[0]).toBe(20);
    expect(desired.indexOf(1)).toBeGreaterThan(0);
    expect(desired.indexOf(1)).toBeLessThanOrEqual(75 * 60);
    expect(desired.at(-1)).toBe(1);
  });

  test.each(LOADS)("hits no running work on a protected worker: $name", (load) => {
    const fleet: Fleet = { ...FLEET, protection: { afterSeconds: 0, drainSeconds: 100 } };
    expect(runsOf(load, driver, fleet).map(({ hits }) => hits)).toEqual(SEEDS.map(() => 0));
  });

  test.each([STEP, BURST, RAMP, SAWTOOTH])("hits none with protection from the first second either: $name", (load) => {
    expect(runsOf(load, driver).map(({ hits }) => hits)).toEqual(SEEDS.map(() => 0));
  });

  test("cuts about one attempt an hour of long tasks, those that are younger than that and outlast the drain", () => {
    const unprotected = mean(runsOf(LONG, driver, { ...FLEET, protection: "none" }), "hits");
    expect(unprotected).toBeGreaterThan(20);
    expect(mean(runsOf(LONG, driver), "hits")).toBeLessThanOrEqual((1 * LONG.seconds) / HOUR);
  });

  test("removes nobody while nobody reports", () => {
    for (const { desired } of runsOf(OUTAGE, driver)) {
      // The last periods before the silence reach CloudWatch within two minutes.
      const silent = desired.slice(32 * 60, 35 * 60);
      expect(silent).toEqual([...silent].sort((one, other) => one - other));
    }
  });

  test.each(LOADS)("keeps tasks waiting for less than half as long as +1/−1: $name", (load) => {
    expect(mean(runsOf(load, driver), "p95")).toBeLessThan(0.5 * mean(runsOf(load, LITERAL), "p95"));
  });

  test.each([STEP, BURST, OUTAGE])("waits no longer than target tracking, and costs less: $name", (load) => {
    expect(mean(runsOf(load, driver), "p95")).toBeLessThanOrEqual(mean(runsOf(load, TARGET_TRACKING), "p95"));
    expect(mean(runsOf(load, driver), "taskHours")).toBeLessThan(mean(runsOf(load, TARGET_TRACKING), "taskHours"));
  });
});

test.each(LOADS)("the builtin driver keeps tasks waiting for less long than CloudWatch: $name", (load) => {
  expect(mean(runsOf(load, BUILTIN), "p95")).toBeLessThan(mean(runsOf(load, CLOUDWATCH), "p95"));
});

describe.each([
  { name: "cloudwatch", create: () => cloudwatch({ ...DEFAULT_POLICY, min: 0 }), wakeSeconds: 240 },
  { name: "builtin", create: () => builtin({ ...BUILTIN_POLICY, min: 0 }), wakeSeconds: 65 },
])("the $name driver of a fleet that may sleep", ({ create, wakeSeconds }) => {
  const load: Load = { ...steady(0, 30, 3 * HOUR), burst: { second: 2 * HOUR, tasks: 3 } };

  test("goes to sleep, wakes to three tasks, and sleeps again", () => {
    const outcome = simulate(load, { ...FLEET, initial: 2 }, create(), 1);
    expect(outcome.desired[2 * HOUR - 1]).toBe(0);
    expect(outcome.max).toBeLessThanOrEqual(wakeSeconds);
    expect(outcome.hits).toBe(0);
    expect(outcome.desired.at(-1)).toBe(0);
    expect(outcome).toMatchObject({ outs: 1, ins: 3, turns: 2 });
  });

  test("does not doze off over a few tasks a minute", () => {
    const few = steady(0.05, 60, 2 * HOUR);
    const outcome = simulate(few, FLEET, create(), 1);
    expect(Math.min(...outcome.desired.slice(600))).toBeGreaterThanOrEqual(1);
    expect(outcome.hits).toBe(0);
  });
});
