import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MAX_DETAIL_LENGTH, mismatch } from "../../runtime/wire/mismatch.ts";

describe("what was expected and what came", () => {
  it("names the place, the expectation and the value", () => {
    expect(mismatch("task_id", "a string", 5)).toBe("task_id: expected a string, got 5");
    expect(mismatch("args", "an array", undefined)).toBe("args: expected an array, got nothing");
    expect(mismatch("args", "an array", null)).toBe("args: expected an array, got null");
    expect(mismatch("args", "an array", { secret: 1 })).toBe("args: expected an array, got an object");
    expect(mismatch("label n", "an int", "7.0")).toBe('label n: expected an int, got "7.0"');
  });

  it("is short printable ASCII whatever the value is", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 500 }), fc.anything(), (text, value) => {
        for (const sentence of [mismatch(text, text, text), mismatch("x", "y", text)]) {
          expect(sentence).toMatch(/^[\x20-\x7e]*$/);
          expect(sentence.length).toBeLessThanOrEqual(MAX_DETAIL_LENGTH);
        }
        if (typeof value !== "symbol") expect(mismatch("x", "y", value)).toMatch(/^x: expected y, got /);
      }),
    );
  });
});
