import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  DEFAULT_POLICY,
  decide,
  NO_MEMORY,
  type Observation,
  type ScalingMemory,
  type ScalingPolicy,
  scaleOutTable,
  stepIn,
} from "../../runtime/model/scaling.ts";

const NOW = 10_000_000;
const QUIET: ScalingMemory = { ...NO_MEMORY, quietSinceMs: NOW - DEFAULT_POLICY.quietMs };

/** Ten workers that have nothing to do. */
function seen(changes: Partial<Observation> = {}): Observation {
  return {
    nowMs: NOW,
    desired: 10,
    backlog: 0,
    oldestAgeMs: null,
    running: 0,
    slots: 50,
    busyWorkers: 0,
    ...changes,
  };
}

const policyOf = (changes: Partial<ScalingPolicy>): ScalingPolicy => ({ ...DEFAULT_POLICY, ...changes });

describe("scale-out", () => {
  test.each([
    [50, 0],
    [51, 2],
    [99, 2],
    [100, 5],
    [249, 5],
    [250, 10],
    [499, 10],
    [500, 20],
    [1_000_000, 20],
  ])("a backlog of %i adds %i workers", (backlog, add) => {
    const decision = decide(policyOf({ max: 100 }), seen({ backlog }), NO_MEMORY);
    expect(decision.desired).toBe(10 + add);
    expect(decision.change).toBe(add > 0 ? "out" : "none");
    expect(decision.memory.lastOutAtMs).toBe(add > 0 ? NOW : null);
  });

  test("stops at the maximum", () => {
    expect(decide(DEFAULT_POLICY, seen({ backlog: 5_000 }), NO_MEMORY).desired).toBe(20);
    const full = decide(DEFAULT_POLICY, seen({ desired: 20, backlog: 5_000 }), NO_MEMORY);
    expect(full).toMatchObject({
      desired: 20,
      change: "none",
      reason: "backlog 5000 is above 50, at the maximum of 20",
    });
    expect(full.memory.lastOutAtMs).toBeNull();
  });

  test("never adds more workers than the backlog at a step's beginning is meant for", () => {
    const table = scaleOutTable(policyOf({ perWorker: 60 }));
    expect(table).toEqual([
      { above: 50, add: 1 },
      { above: 100, add: 2 },
      { above: 250, add: 5 },
      { above: 500, add: 9 },
    ]);
  });

  test("adds one worker at least, also where the limit is 0", () => {
    const policy = policyOf({ outAbove: 0, inBelow: 0, perWorker: 1_000 });
    expect(decide(policy, seen({ backlog: 1 }), NO_MEMORY).desired).toBe(11);
  });

  test("goes on while a task waits too long behind busy slots, however few wait", () => {
    const old = { backlog: 3, oldestAgeMs: DEFAULT_POLICY.oldestAgeMs + 1 };
    const busy = decide(DEFAULT_POLICY, seen({ ...old, running: 40, busyWorkers: 10 }), NO_MEMORY);
    expect(busy).toMatchObject({ desired: 20, change: "out", reason: "a task has waited for 300 s" });
    const idle = decide(DEFAULT_POLICY, seen({ ...old, running: 39, busyWorkers: 10 }), NO_MEMORY);
    expect(idle.change).toBe("none");
  });

  test("takes the larger of what backlog and age ask for", () => {
    const policy = policyOf({ max: 100 });
    const old = { oldestAgeMs: 400_000, running: 50, busyWorkers: 10 };
    expect(decide(policy, seen({ ...old, backlog: 60 }), NO_MEMORY).desired).toBe(20);
    expect(decide(policy, seen({ ...old, backlog: 600 }), NO_MEMORY).desired).toBe(30);
  });

  test("waits for its cooldown, to the millisecond", () => {
    const memory = { ...NO_MEMORY, lastOutAtMs: NOW - DEFAULT_POLICY.outCooldownMs };
    expect(decide(DEFAULT_POLICY, seen({ backlog: 60 }), memory).desired).toBe(12);
    const early = { ...NO_MEMORY, lastOutAtMs: NOW - DEFAULT_POLICY.outCooldownMs + 1 };
    const refused = decide(DEFAULT_POLICY, seen({ backlog: 60 }), early);
    expect(refused).toMatchObject({ desired: 10, change: "none", reason: "backlog 60 is above 50, in the cooldown" });
    expect(refused.memory.lastOutAtMs).toBe(early.lastOutAtMs);
  });

  test("is not held up by the cooldown of a scale-in", () => {
    const memory = { ...NO_MEMORY, lastInAtMs: NOW };
    expect(decide(DEFAULT_POLICY, seen({ backlog: 60 }), memory).desired).toBe(12);
  });
});

describe("scale-in", () => {
  test("removes a fifth, rounded down and one at least", () => {
    const sizes = [20, 16, 13, 11, 9, 8, 7, 6, 5, 4, 3, 2, 1];
    for (const [index, desired] of sizes.slice(0, -1).entries()) {
      const decision = decide(DEFAULT_POLICY, seen({ desired }), QUIET);
      expect(decision).toMatchObject({ desired: sizes[index + 1], change: "in" });
      expect(decision.memory.lastInAtMs).toBe(NOW);
    }
  });

  test("is not off by one where the share has no exact binary form", () => {
    expect(stepIn(policyOf({ inShare: 0.29 }), 100)).toBe(29);
  });

  test("comes only after the whole quiet time", () => {
    const first = decide(DEFAULT_POLICY, seen(), NO_MEMORY);
    expect(first).toMatchObject({ change: "none", memory: { quietSinceMs: NOW } });
    const almost = decide(DEFAULT_POLICY, seen({ nowMs: NOW + 299_999 }), first.memory);
    expect(almost).toMatchObject({ change: "none", memory: { quietSinceMs: NOW } });
    expect(decide(DEFAULT_POLICY, seen({ nowMs: NOW + 300_000 }), almost.memory)).toMatchObject({ change: "in" });
  });

  test.each<[string, Partial<Observation>]>([
    ["backlog", { backlog: 10 }],
    ["an unknown backlog", { backlog: null }],
    ["unknown running work", { running: null }],
    ["unknown slots", { slots: null }],
  ])("%s makes the quiet time begin again", (_, changes) => {
    const decision = decide(DEFAULT_POLICY, seen(changes), QUIET);
    expect(decision).toMatchObject({ change: "none", memory: { quietSinceMs: null } });
  });

  test("does not come while the slots are busy on average over a minute", () => {
    const busy = seen({ running: 40, busyWorkers: 8 });
    expect(decide(DEFAULT_POLICY, busy, QUIET)).toMatchObject({ change: "none", reason: "slots are busy" });
    const workedHard = { ...QUIET, busyMean: { share: 1, atMs: NOW - 5_000 } };
    expect(decide(DEFAULT_POLICY, seen(), workedHard)).toMatchObject({
      change: "none",
      memory: { quietSinceMs: null },
    });
  });

  test("is not put off by slots that are full for a moment", () => {
    const calm = { ...QUIET, busyMean: { share: 0.5, atMs: NOW - 5_000 } };
    const moment = decide(DEFAULT_POLICY, seen({ running: 50, busyWorkers: 9 }), calm);
    expect(moment).toMatchObject({ desired: 9, change: "in" });
  });

  test("takes a fleet without slots for a busy one", () => {
    expect(decide(DEFAULT_POLICY, seen({ slots: 0 }), QUIET)).toMatchObject({
      change: "none",
      reason: "slots are busy",
    });
  });

  test("leaves as many workers as are busy", () => {
    expect(decide(DEFAULT_POLICY, seen({ busyWorkers: 9, running: 9 }), QUIET).desired).toBe(9);
    const all = decide(DEFAULT_POLICY, seen({ busyWorkers: 10, running: 10 }), QUIET);
    expect(all).toMatchObject({ desired: 10, change: "none", reason: "quiet, but all workers are busy" });
  });

  test.each<[string, Partial<ScalingMemory>]>([
    ["a scale-in", { lastInAtMs: NOW - DEFAULT_POLICY.inCooldownMs + 1 }],
    ["a scale-out", { lastOutAtMs: NOW - DEFAULT_POLICY.inCooldownMs + 1 }],
  ])("waits for its cooldown after %s", (_, last) => {
    const waiting = { ...QUIET, ...last };
    expect(decide(DEFAULT_POLICY, seen(), waiting)).toMatchObject({ change: "none", reason: "quiet, in the cooldown" });
    expect(decide(DEFAULT_POLICY, seen({ nowMs: NOW + 1 }), waiting)).toMatchObject({ change: "in" });
  });
});

describe("zero workers", () => {
  const sleepy = policyOf({ min: 0 });
  const one = { desired: 1, slots: 5 };

  test("are woken by the first task, whatever the limit for scale-out is", () => {
    const decision = decide(sleepy, seen({ desired: 0, slots: 0, backlog: 1 }), QUIET);
    expect(decision).toMatchObject({ desired: 1, change: "out", reason: "backlog 1, and no worker" });
  });

  test("get a whole step where the backlog is worth one", () => {
    expect(decide(sleepy, seen({ desired: 0, slots: 0, backlog: 300 }), NO_MEMORY).desired).toBe(10);
  });

  test("stay asleep with nothing to do, and while the backlog is not known", () => {
    expect(decide(sleepy, seen({ desired: 0, slots: 0 }), QUIET).desired).toBe(0);
    expect(decide(sleepy, seen({ desired: 0, slots: 0, backlog: null }), QUIET).desired).toBe(0);
  });

  test.each<[string, Partial<Observation>]>([
    ["waits", { backlog: 1 }],
    ["runs", { running: 1, busyWorkers: 1 }],
  ])("are reached only after a quiet time in which nothing %s", (_, little) => {
    expect(decide(sleepy, seen(one), QUIET)).toMatchObject({ desired: 0, change: "in" });
    const decision = decide(sleepy, seen({ ...one, ...little }), QUIET);
    expect(decision).toMatchObject({ desired: 1, change: "none", memory: { quietSinceMs: null } });
    expect(decision.reason).toBe("the last worker has work");
  });

  test("are not reached from more than one at once", () => {
    expect(decide({ ...sleepy, inShare: 1 }, seen({ desired: 5 }), QUIET).desired).toBe(1);
  });
});

describe("the bounds", () => {
  test("are restored at once, whatever the cooldown", () => {
    const hot = { ...NO_MEMORY, lastOutAtMs: NOW, lastInAtMs: NOW };
    expect(decide(policyOf({ min: 12 }), seen(), hot)).toMatchObject({ desired: 12, change: "out" });
    expect(decide(policyOf({ max: 6 }), seen(), hot)).toMatchObject({ desired: 6, change: "in" });
  });

  test("wait for busy workers and for what is not known", () => {
    expect(decide(policyOf({ max: 6 }), seen({ busyWorkers: 8, running: 8 }), NO_MEMORY).desired).toBe(8);
    expect(decide(policyOf({ max: 6 }), seen({ busyWorkers: null }), NO_MEMORY).desired).toBe(10);
  });
});

const counts = fc.integer({ min: 0, max: 2_000 });
const orUnknown = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: null, freq: 8 });
const policies = fc
  .record({ min: fc.integer({ min: 0, max: 30 }), room: counts, inBelow: counts, between: counts, perWorker: counts })
  .chain(({ min, room, inBelow, between, perWorker }) =>
    fc.record({
      min: fc.constant(min),
      max: fc.constant(Math.max(1, min + room)),
      inBelow: fc.constant(inBelow),
      outAbove: fc.constant(inBelow + between),
      perWorker: fc.constant(perWorker + 1),
      outCooldownMs: fc.integer({ min: 0, max: 600_000 }),
      inCooldownMs: fc.integer({ min: 0, max: 600_000 }),
    }),
  )
  .map(policyOf);
const observations = fc
  .record({ desired: fc.integer({ min: 0, max: 60 }), running: counts, slots: counts, backlog: counts, age: counts })
  .chain(({ desired, running, slots, backlog, age }) =>
    fc.record({
      nowMs: fc.constant(NOW),
      desired: fc.constant(desired),
      backlog: orUnknown(fc.constant(backlog)),
      oldestAgeMs: orUnknown(fc.constant(age * 1_000)),
      running: orUnknown(fc.constant(running)),
      slots: orUnknown(fc.constant(slots)),
      busyWorkers: orUnknown(fc.integer({ min: 0, max: 60 })),
    }),
  );
const earlier = orUnknown(fc.integer({ min: NOW - 700_000, max: NOW }));
const memories = fc.record({
  lastOutAtMs: earlier,
  lastInAtMs: earlier,
  quietSinceMs: earlier,
  busyMean: orUnknown(fc.record({ share: fc.double({ min: 0, max: 1, noNaN: true }), atMs: fc.constant(NOW - 5_000) })),
});

describe("for every policy, observation and memory", () => {
  test("the answer is within the bounds, or between them and where the service was", () => {
    fc.assert(
      fc.property(policies, observations, memories, (policy, observation, memory) => {
        const { desired, change } = decide(policy, observation, memory);
        expect(Number.isSafeInteger(desired)).toBe(true);
        expect(desired).toBeGreaterThanOrEqual(policy.min);
        expect(desired).toBeLessThanOrEqual(Math.max(policy.max, observation.desired));
        expect(Math.sign(desired - observation.desired)).toBe(change === "out" ? 1 : change === "in" ? -1 : 0);
      }),
    );
  });

  test("no scale-in goes below the busy workers, and none happens while anything is unknown", () => {
    fc.assert(
      fc.property(policies, observations, memories, (policy, observation, memory) => {
        const { desired, change } = decide(policy, observation, memory);
        if (change !== "in") return;
        const { backlog, running, slots, busyWorkers } = observation;
        expect([backlog, running, slots, busyWorkers]).not.toContain(null);
        expect(desired).toBeGreaterThanOrEqual(busyWorkers ?? Number.POSITIVE_INFINITY);
      }),
    );
  });

  test("a larger backlog never gets fewer workers", () => {
    fc.assert(
      fc.property(policies, observations, memories, counts, counts, (policy, observation, memory, one, other) => {
        const wanted = (backlog: number) => decide(policy, { ...observation, backlog }, memory).desired;
        expect(wanted(Math.max(one, other))).toBeGreaterThanOrEqual(wanted(Math.min(one, other)));
      }),
    );
  });

  test("the cooldowns hold, except for the bounds", () => {
    fc.assert(
      fc.property(policies, observations, memories, (policy, observation, memory) => {
        if (observation.desired < policy.min || observation.desired > policy.max) return;
        const { change } = decide(policy, observation, memory);
        const since = (atMs: number | null) => (atMs === null ? Number.POSITIVE_INFINITY : NOW - atMs);
        if (change === "out") expect(since(memory.lastOutAtMs)).toBeGreaterThanOrEqual(policy.outCooldownMs);
        if (change !== "in") return;
        expect(since(memory.lastInAtMs)).toBeGreaterThanOrEqual(policy.inCooldownMs);
        expect(since(memory.lastOutAtMs)).toBeGreaterThanOrEqual(policy.inCooldownMs);
        expect(since(memory.quietSinceMs)).toBeGreaterThanOrEqual(policy.quietMs);
      }),
    );
  });

  test("the properties above meet scale-outs and scale-ins alike", () => {
    const changes = fc
      .sample(fc.tuple(policies, observations, memories), { numRuns: 1_000, seed: 1 })
      .map(([policy, observation, memory]) => decide(policy, observation, memory))
      .map(({ change }) => change);
    for (const change of ["out", "in", "none"])
      expect(changes.filter((one) => one === change).length).toBeGreaterThan(20);
  });
});

test("a fleet left alone sleeps, and wakes to the first task", () => {
  const policy = policyOf({ min: 0 });
  let desired = 20;
  let memory = NO_MEMORY;
  let nowMs = NOW;
  const look = (backlog: number) => {
    nowMs += 5_000;
    const decision = decide(policy, seen({ nowMs, desired, backlog, slots: desired * 5 }), memory);
    ({ desired, memory } = decision);
  };
  for (let seconds = 0; desired > 0 && seconds < 7_200; seconds += 5) look(0);
  expect(desired).toBe(0);
  look(1);
  expect(desired).toBe(1);
});
