import { describe, expect, test } from "vitest";
import { type Attempt, startAttempt } from "../../runtime/flow/attempt.ts";
import type { ClaimedTask } from "../../runtime/flow/claim.ts";

function claimed(policy: Partial<ClaimedTask["policy"]> = {}): ClaimedTask {
  return {
    id: "0190a5b6-0000-7000-8000-000000000000",
    attempt: 1,
    failures: 0,
    name: "demo",
    queue: "default",
    tenant: "default",
    priority: 0,
    inputText: null,
    inputRef: null,
    labels: {},
    traceContext: null,
    limited: false,
    step: null,
    policy: { timeoutMs: 3_600_000, graceMs: 0, maxAttempts: 3, backoffMs: 0, maxBackoffMs: 0, ...policy },
    createdAt: new Date(0),
    waitMs: 0,
  };
}

function start(policy: Partial<ClaimedTask["policy"]> = {}): Attempt {
  return startAttempt(claimed(policy), 1_000);
}

test("may run until it is aborted: its signal is not, and its lease is proven from the start", () => {
  const attempt = start();
  expect(attempt.abortReason).toBeNull();
  expect(attempt.signal().aborted).toBe(false);
  expect({ startedMs: attempt.startedMs, leaseProvenMs: attempt.leaseProvenMs }).toEqual({
    startedMs: 1_000,
    leaseProvenMs: 1_000,
  });
  attempt.settle();
});

describe.each(["cancelled", "timeout", "shutdown", "lease_lost"] as const)("an abort because of %s", (reason) => {
  test("aborts the signal with its reason, and nobody waits for the handler after the grace time", async () => {
    const attempt = start();
    const signal = attempt.signal();
    attempt.abort(reason);
    expect(attempt.abortReason).toBe(reason);
    expect(signal.aborted).toBe(true);
    expect(signal.reason).toBe(reason);
    await attempt.abandoned;
    attempt.settle();
  });

  test("is seen by a handler that asks for its signal only afterwards", () => {
    const attempt = start();
    attempt.abort(reason);
    expect(attempt.signal().reason).toBe(reason);
    attempt.settle();
  });

  test("is not replaced by a later one", () => {
    const attempt = start();
    const signal = attempt.signal();
    attempt.abort(reason);
    attempt.abort(reason === "shutdown" ? "cancelled" : "shutdown");
    expect(attempt.abortReason).toBe(reason);
    expect(signal.reason).toBe(reason);
    attempt.settle();
  });
});

test("aborts itself when its timeout is over", async () => {
  const attempt = start({ timeoutMs: 5 });
  await attempt.abandoned;
  expect(attempt.abortReason).toBe("timeout");
  attempt.settle();
});

test("hands out one signal", () => {
  const attempt = start();
  expect(attempt.signal()).toBe(attempt.signal());
  attempt.settle();
});

describe("settled", () => {
  test("has no timer left that would keep the process from ending", () => {
    const before = timers();
    const attempts = [start(), start({ graceMs: 600_000 })];
    attempts[1]?.abort("shutdown");
    for (const attempt of attempts) attempt.settle();
    expect(timers()).toBe(before);
  });

  test("sets no timer when it is aborted all the same, while its outcome is being recorded", () => {
    const before = timers();
    const attempt = start({ graceMs: 600_000 });
    attempt.settle();
    attempt.abort("lease_lost");
    const after = timers();
    attempt.settle();
    expect(after).toBe(before);
  });
});

function timers(): number {
  return process.getActiveResourcesInfo().filter((resource) => resource === "Timeout").length;
}
