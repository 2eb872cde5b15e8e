import { describe, expect, test } from "vitest";
import { RetryableError, TerminalError } from "../../runtime/define/errors.ts";

test("TerminalError is an error with its own name and a cause", () => {
  const cause = new Error("why");
  const error = new TerminalError("no such image", { cause });
  expect(error).toBeInstanceOf(Error);
  expect({ name: error.name, message: error.message, cause: error.cause }).toEqual({
    name: "TerminalError",
    message: "no such image",
    cause,
  });
});

describe("RetryableError", () => {
  test.each([0, 1.5, 86_400_000])("takes a wait of %d ms", (retryAfterMs) => {
    const error = new RetryableError("busy", { retryAfterMs });
    expect(error.retryAfterMs).toBe(retryAfterMs);
    expect(error.name).toBe("RetryableError");
    expect("cause" in error).toBe(false);
  });

  test("keeps its cause", () => {
    const cause = new Error("why");
    expect(new RetryableError("busy", { retryAfterMs: 1, cause }).cause).toBe(cause);
  });

  test.each([-1, 86_400_001, Number.NaN, Number.POSITIVE_INFINITY])(
    "refuses a wait of %d ms and says what it got",
    (retryAfterMs) => {
      expect(() => new RetryableError("busy", { retryAfterMs })).toThrow(`from 0 to 86400000, got ${retryAfterMs}`);
    },
  );
});
