import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseBody } from "../../runtime/api/body.ts";
import { systemClock } from "../../runtime/clock.ts";
import { TaskiqError } from "../../runtime/errors.ts";

const parse = (text: string) => parseBody(Buffer.from(text));

function refusal(body: string | Buffer): TaskiqError {
  try {
    parseBody(Buffer.from(body));
  } catch (error) {
    if (error instanceof TaskiqError) return error;
    throw error;
  }
  throw new Error("expected a refusal");
}

describe("numbers", () => {
  test.each([
    ["9007199254740993", ""],
    ["-9007199254740993", ""],
    ["18446744073709551616", ""],
    ["100000000000000000000000", ""],
    ["1e999", ""],
    ["-1e999", ""],
    ["1e-999", ""],
    [`0.${"0".repeat(400)}1`, ""],
    [`0.${"0".repeat(250)}1e-99`, ""],
    ["9".repeat(400), ""],
    [`{"a":9007199254740993}`, "a"],
    [`{"a":[{"b":1},{"b":[0,  9007199254740993 ]}]}`, "a.1.b.1"],
    [`[[],[[\n\t9007199254740993]]]`, "1.0.0"],
    [`{"":{"":1e999}}`, "."],
    [`{"__proto__":{"x":1e999}}`, "__proto__.x"],
    [`{"a":1e999,"b":1}`, "a"],
  ])("refuses %s, which a double would change", (text, path) => {
    const error = refusal(text);
    expect(error.code).toBe("request_invalid");
    expect(error.details).toMatchObject({
      issues: [{ path, message: expect.stringContaining("Send it as a string") }],
    });
    expect(error.message.length).toBeLessThan(300);
  });

  test.each([
    "9007199254740992",
    "9007199254740994",
    "-9007199254740992",
    "1234567890123456",
    "1.7976931348623157e308",
    "5e-324",
    "0.1000000000000000055511151231257827",
    "0e999",
    "-0",
    "0.00000000000000000000",
    '"9007199254740993"',
    '{"a":"x, 9007199254740993","b":"7e123"}',
    '{"a":"1e999"}',
    '{"a":1e999,"a":1}',
  ])("takes %s", (text) => {
    expect(parse(text)).toEqual(JSON.parse(text));
  });

  test("gives every safe integer and every double back", () => {
    fc.assert(
      fc.property(fc.oneof(fc.maxSafeInteger(), fc.double({ noNaN: true, noDefaultInfinity: true })), (value) => {
        const text = Object.is(value, -0) ? "-0" : JSON.stringify([value]).slice(1, -1);
        // Integers above 2^53 are written without an exponent up to 1e21, with the digits that parsing gives back.
        expect(Object.is(parse(text), value)).toBe(true);
      }),
    );
  });

  test("takes any integer or refuses it, and never changes one", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n }), (value) => {
        try {
          expect(String(parse(String(value)))).toBe(String(value));
        } catch (error) {
          if (!(error instanceof TaskiqError)) throw error;
          expect(Number.isSafeInteger(Number(value))).toBe(false);
        }
      }),
    );
  });

  test("costs a body of a megabyte little", () => {
    const bodies = [
      JSON.stringify(Array(50_000).fill("1234567890123456789")),
      `[${Array(50_000).fill("123456789012345.678").join(",")}]`,
      `"${", 1".repeat(300_000)}"`,
      `[${"1".repeat(15)}.${"1".repeat(1_000_000)}]`,
      `[${Array(50_000).fill("9007199254740994").join(",")}]`,
    ];
    for (const body of bodies) {
      const startedMs = systemClock.nowMs();
      parse(body);
      expect(systemClock.nowMs() - startedMs).toBeLessThan(2_000);
    }
  });
});

describe("depth", () => {
  const lists = (levels: number) => "[".repeat(levels) + "]".repeat(levels);
  const objects = (levels: number) => `${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`;

  test("takes a thousand levels", () => {
    expect(() => parse(lists(1_000))).not.toThrow();
    expect(() => parse(objects(1_000))).not.toThrow();
    expect(() => parse(`${'{"a":'.repeat(1_000)}[]${"}".repeat(1_000)}`)).toThrow(/1000 levels/);
  });

  test.each([1_001, 5_000, 500_000])("refuses %i levels", (levels) => {
    for (const text of [lists(levels), objects(levels)]) expect(refusal(text).code).toBe("request_invalid");
  });

  test("finds a number at a thousand levels", () => {
    const { details } = refusal(objects(1_000).replace("1", "9007199254740993"));
    expect(details).toMatchObject({ issues: [{ path: expect.stringMatching(/^a\.a\.a/) }] });
  });

  test("does not take brackets inside texts for levels", () => {
    expect(() => parse(JSON.stringify(`\\"${"[".repeat(5_000)}`))).not.toThrow();
  });
});

describe("text", () => {
  test.each([
    ["nothing", ""],
    ["blanks", " \n"],
    ["half an object", '{"a":1'],
    ["two values", "1 2"],
    ["a comment", "/* */ 1"],
    ["NaN", "[NaN]"],
    ["a raw control character", '"\u0000"'],
    ["a wrong escape", String.raw`"\x00"`],
    ["Latin-1", Buffer.from('"é"', "latin1")],
    ["UTF-16", Buffer.from('{"a":1}', "utf16le")],
    ["half of a surrogate pair in UTF-8", Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])],
    ["a character that is cut off", Buffer.from([0x22, 0xf0, 0x9f, 0x22])],
  ])("refuses %s as no JSON", (_what, body) => {
    expect(refusal(body).code).toBe("not_json_body");
  });

  test("passes over a byte order mark", () => {
    expect(parse('\ufeff{"a":1}')).toEqual({ a: 1 });
  });

  test("gives any JSON value back", () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false, stringUnit: "binary" }), (value) => {
        expect(JSON.stringify(parse(JSON.stringify(value)))).toBe(JSON.stringify(value));
      }),
    );
  });
});
