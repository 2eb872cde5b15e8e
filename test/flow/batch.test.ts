import { describe, expect, test } from "vitest";
import { type BatcherOptions, createBatcher } from "../../runtime/flow/batch.ts";

type Run = { items: readonly number[]; answer(results: readonly string[]): void; fail(error: Error): void };

/** A batcher whose runs the test ends itself. */
function manualBatcher(options: Partial<BatcherOptions<number, string>> = {}) {
  const runs: Run[] = [];
  let started = Promise.withResolvers<void>();
  const batcher = createBatcher<number, string>({
    maxItems: 3,
    lingerMs: 0,
    maxInFlight: 1,
    run(items) {
      const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>();
      runs.push({ items, answer: resolve, fail: reject });
      started.resolve();
      started = Promise.withResolvers();
      return promise;
    },
    ...options,
  });
  /** The n-th run, once it has begun. */
  async function run(index: number): Promise<Run> {
    while (runs[index] === undefined) await started.promise;
    return runs[index];
  }
  return { batcher, runs, run };
}

const told = (items: readonly number[]) => items.map((item) => `r${item}`);

test("what is asked for in one turn shares one run, and each gets its own result", async () => {
  const { batcher, run } = manualBatcher();
  const answers = [batcher.add(1), batcher.add(2)];
  const first = await run(0);
  expect(first.items).toEqual([1, 2]);
  first.answer(told(first.items));
  expect(await Promise.all(answers)).toEqual(["r1", "r2"]);
});

test("a full run does not wait for its linger time", async () => {
  const { batcher, runs } = manualBatcher({ lingerMs: 3_600_000 });
  const answers = [batcher.add(1), batcher.add(2), batcher.add(3)];
  expect(runs.map((each) => each.items)).toEqual([[1, 2, 3]]);
  runs[0]?.answer(told([1, 2, 3]));
  await Promise.all(answers);
});

test("waits its linger time for company", async () => {
  const { batcher, run } = manualBatcher({ lingerMs: 50 });
  const answers = [batcher.add(1)];
  await new Promise((resolve) => setImmediate(resolve));
  answers.push(batcher.add(2));
  const first = await run(0);
  expect(first.items).toEqual([1, 2]);
  first.answer(told(first.items));
  await Promise.all(answers);
});

test("what arrives while runs go on waits, and goes together", async () => {
  const { batcher, runs, run } = manualBatcher({ maxItems: 10 });
  const before = batcher.add(1);
  const first = await run(0);
  const after = [batcher.add(2), batcher.add(3), batcher.add(4)];
  await new Promise((resolve) => setImmediate(resolve));
  expect(runs).toHaveLength(1);
  first.answer(["r1"]);
  await before;
  const second = await run(1);
  expect(second.items).toEqual([2, 3, 4]);
  second.answer(told(second.items));
  expect(await Promise.all(after)).toEqual(["r2", "r3", "r4"]);
});

test("never has more runs at once than it may, nor larger ones", async () => {
  let inFlight = 0;
  let most = 0;
  let largest = 0;
  const batcher = createBatcher<number, number>({
    maxItems: 7,
    lingerMs: 0,
    maxInFlight: 2,
    async run(items) {
      inFlight++;
      most = Math.max(most, inFlight);
      largest = Math.max(largest, items.length);
      await new Promise((resolve) => setImmediate(resolve));
      inFlight--;
      return items.map((item) => item * 2);
    },
  });
  const results = await Promise.all(Array.from({ length: 500 }, (_, item) => batcher.add(item)));
  expect(results).toEqual(Array.from({ length: 500 }, (_, item) => item * 2));
  expect({ most, largest }).toEqual({ most: 2, largest: 7 });
});

describe("a run that fails", () => {
  test("fails its own items, and the next ones go on", async () => {
    const { batcher, run } = manualBatcher({ maxItems: 2 });
    const answers = [1, 2, 3].map((item) => batcher.add(item));
    const outcomes = Promise.allSettled(answers);
    (await run(0)).fail(new Error("broken"));
    const second = await run(1);
    second.answer(told(second.items));
    expect((await outcomes).map((outcome) => outcome.status)).toEqual(["rejected", "rejected", "fulfilled"]);
  });

  test("by throwing at once fails its items too", async () => {
    const batcher = createBatcher<number, string>({
      maxItems: 2,
      lingerMs: 0,
      maxInFlight: 1,
      run() {
        throw new Error("at once");
      },
    });
    await expect(batcher.add(1)).rejects.toThrow("at once");
    await batcher.idle();
  });

  test.each([0, 1, 3])("is one that gives %i results for 2 items", async (count) => {
    const { batcher, run } = manualBatcher();
    const outcomes = Promise.allSettled([batcher.add(1), batcher.add(2)]);
    (await run(0)).answer(Array.from({ length: count }, () => "r"));
    expect((await outcomes).map((outcome) => outcome.status)).toEqual(["rejected", "rejected"]);
  });
});

describe("idle", () => {
  test("resolves at once when nothing was asked for", async () => {
    await manualBatcher().batcher.idle();
  });

  test("resolves when everything is answered, failures included", async () => {
    const { batcher, run } = manualBatcher({ maxItems: 1 });
    const outcomes = Promise.allSettled([batcher.add(1), batcher.add(2)]);
    let idle = false;
    const waiting = batcher.idle().then(() => {
      idle = true;
    });
    (await run(0)).answer(["r1"]);
    const second = await run(1);
    expect(idle).toBe(false);
    second.fail(new Error("broken"));
    await waiting;
    expect((await outcomes).map((outcome) => outcome.status)).toEqual(["fulfilled", "rejected"]);
  });
});
