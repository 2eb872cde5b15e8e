import { describe, expect, it } from "vitest";
import { floatRepr, pythonFloat, pythonInt } from "../../runtime/wire/python-number.ts";

describe("numbers as Python reads and writes them", () => {
  it.each([
    ["7", 7],
    [" 1_000 ", 1000],
    ["+5", 5],
    ["\u00a01\u0085", 1],
    ["-0", 0],
    ["9007199254740991", 9007199254740991],
    ["9007199254740992", 9007199254740992n],
    ["1180591620717411303424", 1180591620717411303424n],
    ["7.0", null],
    ["1__0", null],
    ["_1", null],
    ["1_", null],
    ["0x10", null],
    ["1e3", null],
    ["", null],
    ["\ufeff1", null],
    ["+-1", null],
  ])("int(%j) is %s", (text, value) => {
    expect(pythonInt(text)).toBe(value);
  });

  it("refuses integers of more than 4,300 digits, as Python does", () => {
    expect(pythonInt(`-${"1".repeat(4_300)}`)).toBe(-BigInt("1".repeat(4_300)));
    expect(pythonInt("1".repeat(4_301))).toBe(null);
  });

  it.each([
    ["0.5", 0.5],
    ["5", 5],
    ["5.", 5],
    [".5", 0.5],
    ["1e+21", 1e21],
    ["1_0.5_0E1_0", 10.5e10],
    [" -0.0\n", -0],
    ["Infinity", Number.POSITIVE_INFINITY],
    ["-iNF", Number.NEGATIVE_INFINITY],
    ["nan", Number.NaN],
    ["1e400", Number.POSITIVE_INFINITY],
    [".", null],
    ["1e", null],
    ["0x1p3", null],
    ["soon", null],
    ["", null],
  ])("float(%j) is %s", (text, value) => {
    expect(pythonFloat(text)).toBe(value);
  });

  it.each([
    [5, "5.0"],
    [0.5, "0.5"],
    [1e15, "1000000000000000.0"],
    [1e16, "1e+16"],
    [123456789012345680, "1.2345678901234568e+17"],
    [1e22, "1e+22"],
    [0.0001, "0.0001"],
    [0.00001, "1e-05"],
    [1e-7, "1e-07"],
    [1.5e300, "1.5e+300"],
    [123456789.125, "123456789.125"],
    [-0.25, "-0.25"],
    [0, "0.0"],
    [-0, "-0.0"],
    [1 / 3, "0.3333333333333333"],
    [Number.POSITIVE_INFINITY, "inf"],
    [Number.NEGATIVE_INFINITY, "-inf"],
    [Number.NaN, "nan"],
  ])("repr(%d) is %s", (value, text) => {
    expect(floatRepr(value)).toBe(text);
  });
});
