import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import { inParallel, packBatches, settleBatch } from "../../runtime/queue/batches.ts";
import { MAX_BATCH_ENTRIES, MAX_MESSAGE_BYTES, messageBytes, refusalOf } from "../../runtime/queue/limits.ts";

describe("packing", () => {
  it("keeps every entry, the order and both limits, and no two batches that would fit in one", () => {
    const entry = fc.record({ bytes: fc.integer({ min: 0, max: MAX_MESSAGE_BYTES }) });
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 60 }), (entries) => {
        const batches = packBatches(entries);
        expect(batches.flat()).toEqual(entries);
        for (const [index, batch] of batches.entries()) {
          expect(batch.length).toBeGreaterThan(0);
          expect(batch.length).toBeLessThanOrEqual(MAX_BATCH_ENTRIES);
          expect(total(batch)).toBeLessThanOrEqual(MAX_MESSAGE_BYTES);
          const next = batches[index + 1]?.[0];
          if (next === undefined || batch.length === MAX_BATCH_ENTRIES) continue;
          expect(total(batch) + next.bytes).toBeGreaterThan(MAX_MESSAGE_BYTES);
        }
      }),
    );
  });
});

describe("the size of a message", () => {
  it("is counted in UTF-8, with names, types and values of attributes", () => {
    expect(messageBytes({ body: "é🚀" })).toBe(2 + 4);
    expect(messageBytes({ body: "", attributes: { né: "ü" } })).toBe(3 + "String".length + 2);
  });

  it("refuses one byte more than SQS takes, and no byte less", () => {
    expect(refusalOf({ body: "" }, MAX_MESSAGE_BYTES)).toBeNull();
    expect(refusalOf({ body: "" }, MAX_MESSAGE_BYTES + 1)).toMatchObject({ code: "message_too_large" });
  });
});

describe("settling a batch", () => {
  it("asks only again for entries that may succeed, and reports each fault at its entry's place", async () => {
    const asked: string[][] = [];
    const faults = await settleBatch(
      ["fine", "flaky", "refused", "down"],
      async (entries) => {
        asked.push([...entries]);
        const failed = entries.filter((entry) => entry !== "fine" && !(entry === "flaky" && asked.length > 1));
        const id = (entry: string): string => String(entries.indexOf(entry));
        return {
          Successful: entries.filter((entry) => !failed.includes(entry)).map((entry) => ({ Id: id(entry) })),
          Failed: failed.map((entry) => ({ Id: id(entry), Code: entry, SenderFault: entry === "refused" })),
        };
      },
      { attempts: 3, clock: systemClock },
    );
    expect(asked).toEqual([["fine", "flaky", "refused", "down"], ["flaky", "down"], ["down"]]);
    expect(faults).toMatchObject([null, null, { code: "refused" }, { code: "down", senderFault: false }]);
  });

  it("does not repeat a request that failed as a whole", async () => {
    let requests = 0;
    const faults = await settleBatch(
      [1, 2],
      async () => {
        requests++;
        throw Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
      },
      { attempts: 3, clock: systemClock },
    );
    expect(requests).toBe(1);
    expect(faults).toMatchObject([{ code: "ECONNREFUSED" }, { code: "ECONNREFUSED" }]);
  });
});

describe("work in parallel", () => {
  it("never has more items at work than allowed, and takes every item once, in order", async () => {
    const items = Array.from({ length: 20 }, (_, index) => index);
    const started: number[] = [];
    let atWork = 0;
    let most = 0;
    await inParallel(items, 3, async (item) => {
      started.push(item);
      most = Math.max(most, ++atWork);
      await Promise.resolve();
      atWork--;
    });
    expect(started).toEqual(items);
    expect(most).toBe(3);
  });
});

function total(batch: readonly { bytes: number }[]): number {
  return batch.reduce((sum, { bytes }) => sum + bytes, 0);
}
