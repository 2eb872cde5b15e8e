import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ON_TIME_MS, planFirings, type SchedulePolicy, type Times } from "../../runtime/model/schedule.ts";

/** Every `step` ms, without an end or with one; `before` is as vague as it may be. */
function every(step: number, until = Number.POSITIVE_INFINITY): Times {
  return {
    after(ms) {
      const next = (Math.floor(ms / step) + 1) * step;
      return next <= until ? next : null;
    },
    before: (ms, count) => ms - count * step + 1,
  };
}

const MINUTE = 60_000;
const NOW = 100 * MINUTE + 200;
const policy = (policy: Partial<SchedulePolicy>): SchedulePolicy => ({
  catchUp: "one",
  catchUpLimit: 100,
  overlap: "allow",
  ...policy,
});
const minutes = (ms: readonly number[]) => ms.map((one) => one / MINUTE);

describe("a time that has just come", () => {
  test.each(["skip", "one", "all"] as const)("fires with catch-up %s", (catchUp) => {
    const plan = planFirings(every(MINUTE), 100 * MINUTE, NOW, policy({ catchUp }));
    expect(plan).toEqual({ fire: [100 * MINUTE], nextAtMs: 101 * MINUTE, leftOut: false });
  });

  test("fires with those right before it, where several came between two looks", () => {
    const plan = planFirings(every(1_000), NOW - 2_200, NOW, policy({ catchUp: "skip" }));
    expect(plan.fire).toEqual([NOW - 2_200, NOW - 1_200, NOW - 200]);
    expect(plan.leftOut).toBe(false);
  });
});

describe("times that were missed", () => {
  const nextAt = 90 * MINUTE;

  test("are left out with skip, except for what is on time", () => {
    const plan = planFirings(every(MINUTE), nextAt, NOW, policy({ catchUp: "skip" }));
    expect(minutes(plan.fire)).toEqual([100]);
    expect(plan).toMatchObject({ nextAtMs: 101 * MINUTE, leftOut: true });
  });

  test("are nothing at all with skip, where none is on time", () => {
    const plan = planFirings(every(30 * MINUTE), nextAt, NOW, policy({ catchUp: "skip" }));
    expect(plan).toEqual({ fire: [], nextAtMs: 120 * MINUTE, leftOut: true });
  });

  test("become one task with one, for the latest", () => {
    const plan = planFirings(every(MINUTE), nextAt, NOW, policy({ catchUp: "one" }));
    expect(minutes(plan.fire)).toEqual([100]);
    expect(plan.leftOut).toBe(true);
  });

  test("are no loss with one, where it was one", () => {
    const plan = planFirings(every(30 * MINUTE), nextAt, NOW, policy({ catchUp: "one" }));
    expect(plan).toEqual({ fire: [nextAt], nextAtMs: 120 * MINUTE, leftOut: false });
  });

  test("become a task each with all, earliest first", () => {
    const plan = planFirings(every(MINUTE), nextAt, NOW, policy({ catchUp: "all" }));
    expect(minutes(plan.fire)).toEqual([90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100]);
    expect(plan.leftOut).toBe(false);
  });

  test("are the latest up to the limit with all", () => {
    const plan = planFirings(every(MINUTE), nextAt, NOW, policy({ catchUp: "all", catchUpLimit: 3 }));
    expect(minutes(plan.fire)).toEqual([98, 99, 100]);
    expect(plan.leftOut).toBe(true);
  });

  test("make one task where overlaps are skipped, whatever is caught up", () => {
    const plan = planFirings(every(MINUTE), nextAt, NOW, policy({ catchUp: "all", overlap: "skip" }));
    expect(minutes(plan.fire)).toEqual([100]);
    expect(plan.leftOut).toBe(true);
  });
});

test("a year of seconds is looked at from its end", () => {
  let asked = 0;
  const times = every(1_000);
  const counting: Times = {
    ...times,
    after(ms) {
      asked++;
      return times.after(ms);
    },
  };
  const plan = planFirings(counting, 1_000, 31_536_000_000, policy({ catchUp: "all" }));
  expect(plan.fire).toHaveLength(100);
  expect(asked).toBeLessThan(1_000);
});

test("the last time of all fires, and nothing follows", () => {
  const plan = planFirings(every(MINUTE, 100 * MINUTE), 100 * MINUTE, NOW, policy({}));
  expect(plan).toMatchObject({ fire: [100 * MINUTE], nextAtMs: null });
});

test("whatever the policy, times fire in order, once, none early and none before its turn, and the next one is to come", () => {
  const policies = fc.record({
    catchUp: fc.constantFrom("skip", "one", "all"),
    catchUpLimit: fc.integer({ min: 1, max: 100 }),
    overlap: fc.constantFrom("allow", "skip"),
  });
  fc.assert(
    fc.property(
      policies,
      fc.integer({ min: 1, max: 5_000 }),
      fc.nat(2_000),
      fc.nat(10_000_000),
      (chosen, step, index, late) => {
        // The types of constants are lost in the record.
        const plan = planFirings(every(step), index * step, index * step + late, chosen as SchedulePolicy);
        const nowMs = index * step + late;
        expect(plan.nextAtMs).toBe((Math.floor(nowMs / step) + 1) * step);
        expect(plan.fire).toEqual([...new Set(plan.fire)].sort((a, b) => a - b));
        for (const ms of plan.fire) {
          expect(ms % step).toBe(0);
          expect(ms).toBeGreaterThanOrEqual(index * step);
          expect(ms).toBeLessThanOrEqual(nowMs);
          if (chosen.catchUp === "skip")
            expect(ms).toBeGreaterThanOrEqual(nowMs - Math.max(ON_TIME_MS, late <= ON_TIME_MS ? late : 0));
        }
        // Nothing is lost of what is on time, up to the bound.
        if (late <= ON_TIME_MS && chosen.overlap === "allow") {
          expect(plan.fire).toHaveLength(Math.min(chosen.catchUpLimit, Math.floor(late / step) + 1));
        }
        if (chosen.catchUp !== "skip") expect(plan.fire.length).toBeGreaterThan(0);
      },
    ),
  );
});
