import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { describeError } from "../runtime/describe-error.ts";

describe("describeError", () => {
  it("keeps type, message, system code and stack of an error", () => {
    class NoRoute extends RangeError {
      override name = "NoRoute";
      code = "EHOSTUNREACH";
    }
    const described = describeError(new NoRoute("no route to host"));
    expect(described).toMatchObject({ type: "NoRoute", message: "no route to host", code: "EHOSTUNREACH" });
    expect(described.stack).toContain("describe-error.test.ts");
  });

  it("says what the causes were", () => {
    const root = new Error("password expired");
    const { stack } = describeError(
      new Error("cannot connect", { cause: new Error("handshake failed", { cause: root }) }),
    );
    expect(stack).toMatch(
      /cannot connect[\s\S]*caused by: Error: handshake failed[\s\S]*caused by: Error: password expired/,
    );
  });

  it("ends with a chain of causes that ends in itself", () => {
    const error = new Error("snake");
    error.cause = error;
    expect(describeError(error).message).toBe("snake");
  });

  it("finds the message of a connection refused on every address", () => {
    const refused = new AggregateError([new Error("connect ECONNREFUSED ::1:5432"), new Error("connect ECONNREFUSED")]);
    expect(describeError(refused)).toMatchObject({ type: "AggregateError", message: "connect ECONNREFUSED ::1:5432" });
  });

  it("describes errors of another realm by their shape", () => {
    expect(describeError({ name: "Remote", message: "far away", code: "E1", stack: "s" })).toEqual({
      type: "Remote",
      message: "far away",
      code: "E1",
      stack: "s",
    });
  });

  it.each([
    [null, { type: "null", message: "null" }],
    [undefined, { type: "undefined", message: "undefined" }],
    ["only text", { type: "string", message: "only text" }],
    [42n, { type: "bigint", message: "42n" }],
    [Symbol("s"), { type: "symbol", message: "Symbol(s)" }],
    [
      { reason: "none", at: [1, 2] },
      { type: "Object", message: "{ reason: 'none', at: [ 1, 2 ] }" },
    ],
    [Object.create(null), { type: "unknown", message: "[Object: null prototype] {}" }],
    [new Error(""), { type: "Error", message: "Error" }],
  ])("describes a thrown %s", (thrown, expected) => {
    expect(describeError(thrown)).toMatchObject(expected);
  });

  it("leaves out numeric codes, which mean nothing by themselves", () => {
    expect(describeError(new DOMException("stop", "AbortError"))).not.toHaveProperty("code");
  });

  const throwing = () => {
    throw new Error("trap");
  };
  const traps = new Proxy({}, { get: throwing, getPrototypeOf: throwing, ownKeys: throwing, has: throwing });
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  const getters = Object.defineProperties(
    {},
    {
      name: { get: throwing },
      message: { get: throwing, enumerable: true },
      stack: { get: throwing },
      cause: { get: throwing },
      code: { get: throwing },
      constructor: { get: throwing },
      [Symbol.toStringTag]: { get: throwing },
      [inspect.custom]: { value: throwing },
    },
  );

  it.each([
    ["a proxy whose traps throw", traps],
    ["a revoked proxy", revoked.proxy],
    ["an object whose getters throw", getters],
    ["an error whose cause throws when read", new Error("outer", { cause: traps })],
    ["an aggregate of them", Object.assign(new AggregateError([traps]), { errors: traps })],
    ["a class", class Thrown {}],
  ])("does not throw for %s", (_name, thrown) => {
    const described = describeError(thrown);
    expect(described.type).not.toBe("");
    expect(described.message).not.toBe("");
  });

  it("bounds message and stack in bytes of UTF-8, without U+0000 and half characters, whatever was thrown", () => {
    const text = fc
      .tuple(fc.string({ unit: "binary", maxLength: 50 }), fc.nat(400))
      .map(([unit, times]) => `${unit}\u0000\ud83d${unit}`.repeat(times));
    fc.assert(
      fc.property(text, text, (message, stack) => {
        const error = Object.assign(new Error(message), { stack });
        for (const described of [describeError(error), describeError(message), describeError({ [message]: stack })]) {
          expect(Buffer.byteLength(described.type)).toBeLessThanOrEqual(200);
          expect(Buffer.byteLength(described.message)).toBeLessThanOrEqual(4_096);
          expect(Buffer.byteLength(described.stack ?? "")).toBeLessThanOrEqual(8_192);
          for (const kept of Object.values(described)) {
            expect(kept).not.toContain("\u0000");
            expect(kept.isWellFormed()).toBe(true);
            // A character cut in half would have become this one.
            if (!`${message}${stack}`.includes("\ufffd") && `${message}${stack}`.isWellFormed())
              expect(kept).not.toContain("\ufffd");
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  it("keeps a short message as it is, and marks one that was cut", () => {
    expect(describeError(new Error("grüße 😀")).message).toBe("grüße 😀");
    expect(describeError(new Error("😀".repeat(5_000))).message).toMatch(/^(😀){1023}…$/u);
  });
});
