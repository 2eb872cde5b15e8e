import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { allocate, type Contender, type LimitKey } from "../../runtime/model/limits.ts";

const limit = (key: string, running: number, max: number | null, more: Partial<LimitKey> = {}): LimitKey => ({
  key,
  running,
  max,
  intervalMs: null,
  waitMs: 0,
  ...more,
});
const task = (id: string, ...keys: string[]): Contender => ({ id, keys, hasToken: false });

describe("room", () => {
  test("is given in the order of the tasks, and the others wait at the key", () => {
    const { start, park } = allocate([task("a", "k"), task("b", "k"), task("c", "k")], [limit("k", 1, 3)]);
    expect({ start, park }).toEqual({ start: ["a", "b"], park: [{ id: "c", key: "k" }] });
  });

  test("is taken at all keys or at none", () => {
    const keys = [limit("k", 0, 1), limit("full", 2, 2)];
    const { start, park } = allocate([task("a", "k", "full"), task("b", "k")], keys);
    expect({ start, park }).toEqual({ start: ["b"], park: [{ id: "a", key: "full" }] });
  });

  test("has no end at a key without a maximum", () => {
    expect(allocate([task("a", "k")], [limit("k", 1_000_000, null)]).start).toEqual(["a"]);
  });
});

describe("a rate", () => {
  test("lets one start now and gives the others their turns, one interval after the other", () => {
    const { start, later, nextMs } = allocate(
      [task("a", "r"), task("b", "r"), task("c", "r")],
      [limit("r", 0, null, { intervalMs: 100 })],
    );
    expect({ start, later }).toEqual({
      start: ["a"],
      later: [
        { id: "b", inMs: 100 },
        { id: "c", inMs: 200 },
      ],
    });
    expect([...nextMs]).toEqual([["r", 300]]);
  });

  test("goes on from where it was", () => {
    const { start, later } = allocate([task("a", "r")], [limit("r", 0, null, { intervalMs: 100, waitMs: 40 })]);
    expect({ start, later }).toEqual({ start: [], later: [{ id: "a", inMs: 40 }] });
  });

  test("is not asked again by a task whose turn it is", () => {
    const keys = [limit("r", 0, null, { intervalMs: 100, waitMs: 500 })];
    const { start, nextMs } = allocate([{ ...task("a", "r"), hasToken: true }], keys);
    expect(start).toEqual(["a"]);
    expect(nextMs.size).toBe(0);
  });

  test("gives no turn to a task that has no room", () => {
    const keys = [limit("k", 1, 1), limit("r", 0, null, { intervalMs: 100 })];
    const { park, nextMs } = allocate([task("a", "k", "r")], keys);
    expect(park).toEqual([{ id: "a", key: "k" }]);
    expect(nextMs.size).toBe(0);
  });
});

test("every task starts, waits or has its turn, once, and no key is ever over its maximum", () => {
  const names = ["a", "b", "c"];
  fc.assert(
    fc.property(
      fc.array(
        fc.record({ keys: fc.uniqueArray(fc.constantFrom(...names), { minLength: 1 }), hasToken: fc.boolean() }),
        {
          maxLength: 30,
        },
      ),
      fc.tuple(
        ...names.map((key) =>
          fc.record({
            key: fc.constant(key),
            max: fc.option(fc.nat(5), { nil: null }),
            intervalMs: fc.option(fc.integer({ min: 1, max: 1_000 }), { nil: null }),
            waitMs: fc.nat(500),
          }),
        ),
      ),
      (wishes, settings) => {
        const keys = settings.map((one) => ({ ...one, running: Math.min(one.max ?? 0, 1) }));
        const contenders = wishes.map((wish, index) => ({ ...wish, id: `${index}` }));
        const { start, park, later } = allocate(contenders, keys);
        const all = [...start, ...park.map(({ id }) => id), ...later.map(({ id }) => id)];
        expect(all.toSorted()).toEqual(contenders.map(({ id }) => id).toSorted());
        for (const { key, running, max } of keys) {
          const started = start.filter((id) => contenders[Number(id)]?.keys.includes(key)).length;
          expect(running + started).toBeLessThanOrEqual(max ?? Number.POSITIVE_INFINITY);
        }
      },
    ),
  );
});
