import fc from "fast-check";
import { v5 } from "uuid";
import { describe, expect, it } from "vitest";
import { taskIdOf, WIRE_ID_NAMESPACE, wireIdOf } from "../../runtime/wire/task-id.ts";

const anyText = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ unit: fc.constantFrom("\\", "u0000", "\0", "\ud83d", "\ude00", "a") }),
);

describe("wire ids and row ids", () => {
  it("takes 32 lower-case hex digits as the uuid itself", () => {
    expect(taskIdOf("0190a1b2c3d47e5f8a9b0c1d2e3f4a5b")).toEqual({
      id: "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
      wireId: null,
    });
    expect(wireIdOf("0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", null)).toBe("0190a1b2c3d47e5f8a9b0c1d2e3f4a5b");
  });

  it.each([
    ["a dashed uuid", "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"],
    ["upper-case hex", "0190A1B2C3D47E5F8A9B0C1D2E3F4A5B"],
    ["31 digits", "0190a1b2c3d47e5f8a9b0c1d2e3f4a5"],
    ["33 digits", "0190a1b2c3d47e5f8a9b0c1d2e3f4a5bb"],
    ["32 digits and a line feed", "0190a1b2c3d47e5f8a9b0c1d2e3f4a5b\n"],
    ["any text", "custom id / any text"],
    ["nothing", ""],
  ])("keeps %s as a foreign id, so that its producer finds its result under it", (_what, wire) => {
    const { id, wireId } = taskIdOf(wire);
    expect(id).toBe(v5(wire, WIRE_ID_NAMESPACE));
    expect(wireId).toBe(wire);
    expect(wireIdOf(id, wireId)).toBe(wire);
  });

  it("hashes as Python's uuid5 does, lone surrogates included", () => {
    // uuid.uuid5(namespace, text), and the same over text.encode("utf-8", "surrogatepass").
    expect(taskIdOf("h\u00e9 \u{1f680}").id).toBe("f6930b4c-5cf3-51f9-b469-5d80f46d08df");
    expect(taskIdOf("a\ud800b").id).toBe("fae9f4d6-7fa2-5dc5-a3da-3d23802eb463");
  });

  it("never has its namespace changed", () => {
    expect(WIRE_ID_NAMESPACE).toBe(v5("wire.taskiq-aws", v5.DNS));
  });

  it("keeps ids apart that differ in a lone surrogate only", () => {
    expect(taskIdOf("\ud800").id).not.toBe(taskIdOf("\ud801").id);
    expect(taskIdOf("\ud800").id).not.toBe(taskIdOf("\ufffd").id);
  });

  it("gives back any text from what it stores, and stores only what a text column can hold", () => {
    fc.assert(
      fc.property(anyText, (wire) => {
        const { id, wireId } = taskIdOf(wire);
        expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/);
        expect(wireIdOf(id, wireId)).toBe(wire);
        expect(wireId?.includes("\0")).not.toBe(true);
        expect(wireId?.isWellFormed()).not.toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });
});
