import { describe, expect, it } from "vitest";
import { describeError } from "../runtime/describe-error.ts";
import { ERROR_CODES, TaskiqError } from "../runtime/errors.ts";

describe("ERROR_CODES", () => {
  it("names codes in snake_case, with an HTTP error status and a title without full stop", () => {
    for (const [code, { status, title }] of Object.entries(ERROR_CODES)) {
      expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/);
      expect(status).toSatisfy((value: number) => value >= 400 && value <= 503);
      expect(title).toMatch(/^[A-Z].*[^.]$/);
    }
  });

  it("gives every code a title of its own", () => {
    const titles = Object.values(ERROR_CODES).map(({ title }) => title);
    expect(new Set(titles).size).toBe(titles.length);
  });
});

describe("TaskiqError", () => {
  it("carries code, details and cause", () => {
    const cause = new Error("socket closed");
    const error = new TaskiqError("database_unavailable", "expected an answer", { cause, details: { retry: true } });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name: "TaskiqError", code: "database_unavailable", details: { retry: true }, cause });
    expect(describeError(error)).toMatchObject({ type: "TaskiqError", code: "database_unavailable" });
  });

  it("has no cause when none was given", () => {
    expect("cause" in new TaskiqError("internal", "oops")).toBe(false);
  });
});
