import { expect, test } from "vitest";
import { noteOf } from "../../../runtime/web/start/schema-note.ts";
import { initialOf } from "../../../runtime/web/start/start-initial.ts";

test("a field says what it takes", () => {
  expect(noteOf({ type: "integer", minimum: 0, maximum: 10_000 })).toBe("integer, 0 to 10,000");
  expect(noteOf({ type: "string", minLength: 1 })).toBe("text, at least 1 character");
  expect(noteOf({ type: ["string", "null"], format: "uri" })).toBe("text or null, uri");
  expect(noteOf({ type: "number", maximum: 3 })).toBe("number, at most 3");
});

test("a field whose choices can be seen says nothing", () => {
  expect(noteOf({ type: "boolean" })).toBeNull();
  expect(noteOf({ type: "string", enum: ["a"] })).toBeNull();
  expect(noteOf({})).toBeNull();
});

test("an address brings its input along, where that is JSON", () => {
  expect(initialOf('{"files":3}')).toEqual({ files: 3 });
  expect(initialOf("{")).toBeUndefined();
  expect(initialOf(null)).toBeUndefined();
});
