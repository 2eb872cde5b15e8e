import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ackOf,
  DEFAULT_QUEUE_OPTIONS,
  delayOfPriorityMs,
  EXCLUSIONS,
  type QueueOptions,
} from "../../runtime/model/queue.ts";
import { groupKeyOf, sqsGroupOf } from "../../runtime/wire/group.ts";

const conflicts = (options: Partial<QueueOptions>) =>
  EXCLUSIONS.filter(({ applies }) => applies({ ...DEFAULT_QUEUE_OPTIONS, ...options })).map(({ option }) => option);

describe("options that exclude each other", () => {
  test.each([
    [{ type: "fifo", fair: true }, ["fair"]],
    [{ type: "fifo", order: "priority" }, ["order"]],
    [{ type: "fifo", delayByPriority: true }, ["delayByPriority"]],
    [{ fair: true, order: "priority" }, ["order"]],
    [{ order: "priority", delayByPriority: true }, ["delayByPriority"]],
    [{}, []],
    [{ fair: true, delayByPriority: true, weight: 3, maxSlots: 2 }, []],
    [{ type: "fifo", weight: 3, maxSlots: 2 }, []],
  ] as const)("%o", (options, expected) => {
    expect(conflicts(options)).toEqual(expected);
  });
});

test("messages of FIFO and fair queues are kept until the attempt is over, others until it is claimed", () => {
  expect(ackOf({ type: "standard", fair: false })).toBe("claimed");
  expect(ackOf({ type: "standard", fair: true })).toBe("finished");
  expect(ackOf({ type: "fifo", fair: false })).toBe("finished");
});

describe("the delay of a priority", () => {
  test.each([
    [100, 0],
    [1, 0],
    [0, 0],
    [-1, 9_000],
    [-50, 450_000],
    [-100, 900_000],
    [-1_000, 900_000],
  ])("%i waits %i ms", (priority, delayMs) => {
    expect(delayOfPriorityMs(priority)).toBe(delayMs);
  });

  test("a higher priority never waits longer than a lower one", () => {
    fc.assert(
      fc.property(fc.integer({ min: -100, max: 100 }), fc.integer({ min: -100, max: 100 }), (a, b) => {
        const [low, high] = a < b ? [a, b] : [b, a];
        expect(delayOfPriorityMs(high)).toBeLessThanOrEqual(delayOfPriorityMs(low));
      }),
    );
  });
});

describe("a group for SQS", () => {
  test("is the text itself where SQS takes it", () => {
    expect(groupKeyOf("acme", "order-17")).toBe("acme/order-17");
    expect(sqsGroupOf("tenant:a@b.c")).toBe("tenant:a@b.c");
  });

  test.each(["", "with space", "ümlaut", "x".repeat(129), "\0"])("is a digest for %j", (text) => {
    expect(sqsGroupOf(text)).toMatch(/^sha256:[0-9a-f]{64}$/);
  });

  test("differs for different tenants and keys", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        expect(groupKeyOf("t", a) === groupKeyOf("t", b)).toBe(a === b);
      }),
    );
  });
});
