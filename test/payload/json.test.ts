import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TaskiqError } from "../../runtime/errors.ts";
import { checkJsonText, encodeJson, MAX_JSON_DEPTH } from "../../runtime/payload/json.ts";

/** Every value that JSON can hold, with what JSON.stringify would lose or escape. */
const { value: anyJson } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 6, withCrossShrink: true },
    fc.constantFrom(null, true, false, 0, -0, 1e21, -1.5e-7, 2 ** 53, Number.MIN_VALUE, Number.MAX_VALUE),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    anyText(),
    fc.array(tie("value"), { maxLength: 5 }),
    fc.dictionary(anyText(), tie("value"), { maxKeys: 5, noNullPrototype: true }),
  ),
}));

function anyText(): fc.Arbitrary<string> {
  const awkward = fc.constantFrom(
    "\u0000",
    "\ud800",
    "\udfff",
    "🚀",
    "\u2028",
    "\uffff",
    '"',
    "\\",
    "__proto__",
    "toString",
  );
  return fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(awkward).map((parts) => parts.join("")),
  );
}

describe("encoding", () => {
  it("gives text that parses to an equal value, -0 included", () => {
    fc.assert(
      fc.property(anyJson, (value) => {
        const text = encodeJson(value);
        // toStrictEqual tells -0 from 0.
        expect(JSON.parse(text)).toStrictEqual(value);
        expect(checkJsonText(text)).toEqual({ ok: true });
      }),
      { numRuns: 1_000 },
    );
  });

  it("gives the text of JSON.stringify wherever that keeps the value", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        const text = JSON.stringify(value);
        fc.pre(!hasNegativeZero(value));
        expect(encodeJson(value)).toBe(text);
      }),
    );
  });

  it("writes text that UTF-8 carries unchanged", () => {
    const text = encodeJson({ text: "\u0000 \ud800 \udc00\ud800 🚀" });
    expect(text.isWellFormed()).toBe(true);
    expect(text).not.toContain("\u0000");
    expect(Buffer.from(text).toString("utf8")).toBe(text);
  });

  it("keeps a key named __proto__ as a key", () => {
    const value: unknown = JSON.parse('{"__proto__": {"admin": true}, "a": 1}');
    expect(encodeJson(value)).toBe('{"__proto__":{"admin":true},"a":1}');
  });

  it("treats what is not there as JSON.stringify does", () => {
    expect(encodeJson(undefined)).toBe("null");
    expect(encodeJson({ a: undefined, b: () => 1, c: Symbol("s"), d: 1 })).toBe('{"d":1}');
    expect(encodeJson({ [Symbol("s")]: 1 })).toBe("{}");
    expect(encodeJson(Object.create({ inherited: 1 }))).toBe("{}");
    expect(encodeJson(Object.defineProperty({ a: 1 }, "hidden", { value: 2 }))).toBe('{"a":1}');
  });

  it("takes what toJSON says, at every place, with its key", () => {
    const keyed = { toJSON: (key: string) => `key ${key}` };
    expect(encodeJson(new Date(0))).toBe('"1970-01-01T00:00:00.000Z"');
    expect(encodeJson({ a: keyed, list: [keyed] })).toBe('{"a":"key a","list":["key 0"]}');
    expect(encodeJson({ a: { toJSON: () => undefined } })).toBe("{}");
    expect(encodeJson({ toJSON: () => undefined })).toBe("null");
    expect(encodeJson(Buffer.from("a"))).toBe('{"type":"Buffer","data":[97]}');
  });

  it("takes class instances and objects without prototype by their own fields", () => {
    class Point {
      x = 1;
      #y = 2;
      get sum(): number {
        return this.x + this.#y;
      }
    }
    expect(encodeJson(new Point())).toBe('{"x":1}');
    expect(encodeJson(Object.assign(Object.create(null), { a: 1 }))).toBe('{"a":1}');
    expect(encodeJson([Object(1), Object("a"), Object(false), Object(-0)])).toBe('[1,"a",false,-0.0]');
  });

  it("allows one object at two places, which is no cycle", () => {
    const shared = { a: 1 };
    expect(encodeJson({ one: shared, two: [shared, shared] })).toBe('{"one":{"a":1},"two":[{"a":1},{"a":1}]}');
  });

  const culprits: readonly [string, unknown, RegExp, string][] = [
    ["NaN", { a: [1, Number.NaN] }, /NaN/, "$.a[1]"],
    ["an infinity", { a: Number.NEGATIVE_INFINITY }, /-Infinity/, "$.a"],
    ["a bigint", { a: { b: 2n ** 64n } }, /bigint 18446744073709551616 .*String\(\)/, "$.a.b"],
    ["a boxed bigint", [Object(1n)], /bigint/, "$[0]"],
    ["undefined in an array", [1, undefined], /undefined in an array/, "$[1]"],
    ["a hole in an array", new Array(1), /undefined in an array/, "$[0]"],
    ["a function in an array", [() => 1], /function/, "$[0]"],
    ["a function", () => 1, /function/, "$"],
    ["a symbol", Symbol("mark"), /Symbol\(mark\)/, "$"],
    ["a symbol in an array", [Symbol("mark")], /Symbol\(mark\)/, "$[0]"],
    ["an invalid date", { at: new Date(Number.NaN) }, /invalid date/, "$.at"],
    ["a Map", { "odd key": new Map([[1, 2]]) }, /Map.*Object\.fromEntries/, '$["odd key"]'],
    ["a Set", new Set([1]), /Set.*\[\.\.\.set\]/, "$"],
    ["a Map of another realm", runInNewContext("new Map()"), /Map/, "$"],
    ["a promise", { result: Promise.resolve(1) }, /Promise.*Await it/, "$.result"],
    ["an error", new RangeError("no"), /Error.*message/, "$"],
    ["a regular expression", /a/, /RegExp/, "$"],
    ["binary data", new Uint8Array(2), /Uint8Array.*base64/, "$"],
    ["an array buffer", new ArrayBuffer(2), /ArrayBuffer.*base64/, "$"],
    ["a generator", (function* () {})(), /Generator/, "$"],
    [
      "a getter that throws",
      {
        get a() {
          throw new Error("secret getter");
        },
      },
      /secret getter/,
      "$.a",
    ],
    [
      "a toJSON that throws",
      [
        {
          toJSON() {
            throw null;
          },
        },
      ],
      /null/,
      "$[0]",
    ],
  ];

  it.each(culprits)("refuses %s and says where it stands", (_, value, message, path) => {
    const error = thrownBy(() => encodeJson(value));
    expect(error).toMatchObject({ code: "not_json", details: { path } });
    expect(error.message).toMatch(message);
    expect(error.message).toContain(`at ${path}. `);
  });

  it("refuses a cycle where it closes, before it has written much", () => {
    const value: Record<string, unknown> = { large: "x".repeat(100_000), child: {} };
    (value.child as Record<string, unknown>).parent = value;
    expect(thrownBy(() => encodeJson(value))).toMatchObject({ code: "not_json", details: { path: "$.child.parent" } });
    const list: unknown[] = [];
    list.push(list);
    expect(thrownBy(() => encodeJson(list)).message).toMatch(/contains itself at \$\[0\]/);
  });

  it("takes a thousand levels and no more", () => {
    expect(JSON.parse(encodeJson(nested(MAX_JSON_DEPTH)))).toEqual(nested(MAX_JSON_DEPTH));
    const error = thrownBy(() => encodeJson(nested(MAX_JSON_DEPTH + 1)));
    expect(error).toMatchObject({ code: "not_json" });
    expect(error.message).toMatch(/more than 1000 levels/);
    expect(thrownBy(() => encodeJson(nested(100_000)))).toMatchObject({ code: "not_json" });
    const endless = { toJSON: (): unknown => ({ next: { ...endless } }) };
    expect(thrownBy(() => encodeJson(endless))).toMatchObject({ code: "not_json" });
  });

  it("keeps messages short, however long keys and paths are", () => {
    const key = "k".repeat(10_000);
    let value: unknown = 2n ** 100_000n;
    for (let level = 0; level < 500; level++) value = { [key]: [value] };
    expect(thrownBy(() => encodeJson(value)).message.length).toBeLessThan(700);
  });

  it("stops at the longest text allowed", () => {
    const value = { a: "1234567890", b: Array.from({ length: 10 }, () => 1) };
    const { length } = encodeJson(value);
    expect(encodeJson(value, { maxChars: length })).toHaveLength(length);
    expect(thrownBy(() => encodeJson(value, { maxChars: 20 }))).toMatchObject({ code: "payload_too_large" });
    expect(thrownBy(() => encodeJson("1234567890", { maxChars: 9 }))).toMatchObject({ code: "payload_too_large" });
  });

  it("never throws anything but its own errors", () => {
    fc.assert(
      fc.property(
        fc.anything({
          withBigInt: true,
          withDate: true,
          withMap: true,
          withSet: true,
          withTypedArray: true,
          withSparseArray: true,
          withNullPrototype: true,
          withBoxedValues: true,
        }),
        (value) => {
          try {
            JSON.parse(encodeJson(value));
          } catch (error) {
            expect(error).toBeInstanceOf(TaskiqError);
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });
});

describe("checking text from outside", () => {
  it.each(["{}", " [1, -0, 1e400, 12345678901234567890] ", '"\\ud800"', '"\\u0000"', "null", '{"a":1,"a":2}'])(
    "accepts %s",
    (text) => {
      expect(checkJsonText(text)).toEqual({ ok: true });
    },
  );

  it.each(["", "{", "{'a':1}", "[1,]", "NaN", "1 2", '"\n"', "﻿{}", "]", '"'])(
    "refuses %j, which is not JSON",
    (text) => {
      expect(checkJsonText(text)).toMatchObject({ ok: false });
    },
  );

  it("refuses half of a surrogate pair, which would be stored as another character", () => {
    expect(checkJsonText('"\ud800"')).toEqual({ ok: false, reason: expect.stringContaining("surrogate") });
  });

  it("refuses deep nesting without recursion, and brackets inside strings do not count", () => {
    const deep = (levels: number): string => "[".repeat(levels) + "]".repeat(levels);
    expect(checkJsonText(deep(MAX_JSON_DEPTH))).toEqual({ ok: true });
    expect(checkJsonText(deep(MAX_JSON_DEPTH + 1))).toEqual({
      ok: false,
      reason: expect.stringContaining("1000 levels"),
    });
    expect(checkJsonText(deep(1_000_000))).toMatchObject({ ok: false });
    expect(checkJsonText("[".repeat(1_000_000))).toMatchObject({ ok: false });
    expect(checkJsonText(JSON.stringify(`\\"${"[".repeat(5_000)}`))).toEqual({ ok: true });
  });

  it("agrees with JSON.parse on any text", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.json(), fc.string(), fc.string({ unit: fc.constantFrom(...'[]{}",:\\ 1truefalsn') })),
        (text) => {
          expect(checkJsonText(text).ok).toBe(parses(text));
        },
      ),
      { numRuns: 1_000 },
    );
  });
});

function nested(levels: number): unknown {
  let value: unknown = [];
  for (let level = 1; level < levels; level++) value = level % 2 === 0 ? [value] : { a: value };
  return value;
}

function thrownBy(work: () => unknown): TaskiqError {
  try {
    work();
  } catch (error) {
    if (error instanceof TaskiqError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

function hasNegativeZero(value: unknown): boolean {
  if (typeof value === "number") return Object.is(value, -0);
  if (typeof value !== "object" || value === null) return false;
  return Object.values(value).some(hasNegativeZero);
}

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return text.isWellFormed();
  } catch {
    return false;
  }
}
