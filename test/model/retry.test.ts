import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { backoffCeilingMs, retryDelayMs } from "../../runtime/model/retry.ts";
import { POLICY_LIMITS } from "../../runtime/model/task.ts";

const POLICY = { backoffMs: 1_000, maxBackoffMs: 60_000, maxAttempts: 10 };
const ALMOST_ONE = 1 - Number.EPSILON / 2;

describe("the ceiling", () => {
  test.each([
    [1, 1_000],
    [2, 2_000],
    [3, 4_000],
    [6, 32_000],
    [7, 60_000],
    [1_000, 60_000],
  ])("after failure %i is %i ms", (failures, ceilingMs) => {
    expect(backoffCeilingMs(POLICY, failures)).toBe(ceilingMs);
  });

  test("is never above the maximum, also where the backoff itself is", () => {
    expect(backoffCeilingMs({ backoffMs: 5_000, maxBackoffMs: 100 }, 1)).toBe(100);
  });

  test("is nothing where there is no backoff", () => {
    expect(backoffCeilingMs({ backoffMs: 0, maxBackoffMs: 60_000 }, 5)).toBe(0);
  });
});

describe("the budget", () => {
  test.each([
    [1, 1, null],
    [1, 3, 500],
    [2, 3, 1_000],
    [3, 3, null],
    [4, 3, null],
  ])("after failure %i of %i attempts the wait is %s", (failures, maxAttempts, waitMs) => {
    expect(retryDelayMs({ ...POLICY, maxAttempts }, failures, 0.5)).toBe(waitMs);
  });

  test("gives as many attempts as the policy says", () => {
    let attempts = 1;
    while (retryDelayMs(POLICY, attempts, 0.5) !== null) attempts++;
    expect(attempts).toBe(POLICY.maxAttempts);
  });
});

describe("full jitter", () => {
  test("reaches from nothing to the whole ceiling", () => {
    expect(retryDelayMs(POLICY, 3, 0)).toBe(0);
    expect(retryDelayMs(POLICY, 3, ALMOST_ONE)).toBe(4_000);
  });

  test("is spread evenly: the tenth of the random numbers is the tenth of the waits", () => {
    const waits = Array.from({ length: 10 }, (_, index) => retryDelayMs(POLICY, 4, index / 10));
    expect(waits).toEqual([0, 800, 1_600, 2_400, 3_200, 4_000, 4_800, 5_600, 6_400, 7_200]);
  });
});

const limits = (name: "backoffMs" | "maxBackoffMs" | "maxAttempts") => fc.integer(POLICY_LIMITS[name]);
const policies = fc.record({
  backoffMs: limits("backoffMs"),
  maxBackoffMs: limits("maxBackoffMs"),
  maxAttempts: limits("maxAttempts"),
});
const randoms = fc.double({ min: 0, max: ALMOST_ONE, noNaN: true });

test("for every policy, number of failures and random number: whole, from 0 to the ceiling, null only when the budget is spent", () => {
  fc.assert(
    fc.property(policies, fc.integer({ min: 1, max: 2_000 }), randoms, (policy, failures, random) => {
      const waitMs = retryDelayMs(policy, failures, random);
      expect(waitMs === null).toBe(failures >= policy.maxAttempts);
      if (waitMs === null) return;
      expect(Number.isSafeInteger(waitMs)).toBe(true);
      expect(waitMs).toBeGreaterThanOrEqual(0);
      expect(waitMs).toBeLessThanOrEqual(policy.maxBackoffMs);
      expect(waitMs).toBeLessThanOrEqual(backoffCeilingMs(policy, failures));
    }),
  );
});

test("the ceiling never falls from one failure to the next", () => {
  fc.assert(
    fc.property(policies, fc.integer({ min: 1, max: 2_000 }), (policy, failures) => {
      expect(backoffCeilingMs(policy, failures + 1)).toBeGreaterThanOrEqual(backoffCeilingMs(policy, failures));
    }),
  );
});
