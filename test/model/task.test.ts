import { describe, expect, expectTypeOf, test } from "vitest";
import {
  isTerminal,
  POLICY_LIMITS,
  PRIORITY_LIMITS,
  TASK_STATES,
  type TaskState,
  type TerminalState,
  TRANSITIONS,
} from "../../runtime/model/task.ts";

const LONGEST_IN_FLIGHT_MS = 12 * 3_600_000;

describe("transitions", () => {
  test("are said for every state, and lead to states", () => {
    expect(Object.keys(TRANSITIONS).sort()).toEqual([...TASK_STATES].sort());
    const targets: TaskState[] = TASK_STATES.flatMap((state) => TRANSITIONS[state]);
    expect(targets.filter((state) => !TASK_STATES.includes(state))).toEqual([]);
  });

  test("never lead from a state to itself, and name each target once", () => {
    for (const state of TASK_STATES) {
      const targets: readonly TaskState[] = TRANSITIONS[state];
      expect(targets).not.toContain(state);
      expect(new Set(targets).size).toBe(targets.length);
    }
  });

  test("leave a terminal state only back to queued, and success and skipping never", () => {
    for (const state of TASK_STATES.filter(isTerminal)) {
      const targets: readonly TaskState[] = TRANSITIONS[state];
      expect(targets).toEqual(state === "failed" || state === "cancelled" ? ["queued"] : []);
    }
  });

  test("lead to running only by a claim: from queued, and from blocked in the transaction that ends the last parent", () => {
    const sources = TASK_STATES.filter((state) => (TRANSITIONS[state] as readonly TaskState[]).includes("running"));
    expect(sources).toEqual(["blocked", "queued"]);
  });

  test("reach a terminal state from every other one", () => {
    for (const state of TASK_STATES.filter((each) => !isTerminal(each))) {
      expect((TRANSITIONS[state] as readonly TaskState[]).some(isTerminal)).toBe(true);
    }
  });
});

test("the terminal states are the four that a task ends in", () => {
  expect(TASK_STATES.filter(isTerminal)).toEqual(["succeeded", "failed", "cancelled", "skipped"]);
  const state: TaskState = "failed" as TaskState;
  if (isTerminal(state)) expectTypeOf(state).toEqualTypeOf<TerminalState>();
});

test("every default lies within its limits", () => {
  for (const [name, { min, max, default: value }] of Object.entries({ ...POLICY_LIMITS, priority: PRIORITY_LIMITS })) {
    expect(value, name).toBeGreaterThanOrEqual(min);
    expect(value, name).toBeLessThanOrEqual(max);
  }
});

test("the longest attempt with its grace time ends before SQS gives a message to somebody else", () => {
  expect(POLICY_LIMITS.timeoutMs.max + POLICY_LIMITS.graceMs.max).toBeLessThan(LONGEST_IN_FLIGHT_MS);
});
