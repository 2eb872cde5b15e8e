import { describe, expect, test } from "vitest";
import { duration, fitted, oneLine, widthOf, wrapped } from "../../runtime/cli/text.ts";

test.each([
  [0, "0 ms"],
  [-5, "0 ms"],
  [999.4, "999 ms"],
  [1_000, "1.0 s"],
  [59_940, "59.9 s"],
  [59_990, "1 min 0 s"],
  [125_000, "2 min 5 s"],
  [3_599_600, "1 h 0 min"],
  [11_520_000, "3 h 12 min"],
  [183_600_000, "2 d 3 h"],
])("%d ms are told as %s", (ms, text) => {
  expect(duration(ms)).toBe(text);
});

describe("a line", () => {
  test("counts East Asian letters and emoji as two columns, and marks as none", () => {
    expect(widthOf("abc")).toBe(3);
    expect(widthOf("日本")).toBe(4);
    expect(widthOf("👩‍💻")).toBe(2);
    expect(widthOf("e\u0301")).toBe(1);
  });

  test("is cut at the column, never inside of a character", () => {
    expect(fitted("abcdef", 6)).toBe("abcdef");
    expect(fitted("abcdef", 5)).toBe("abcd…");
    expect(fitted("日本語", 5)).toBe("日本…");
    expect(fitted("日本語", 4)).toBe("日…");
    expect(fitted("x".repeat(10_000_000), 5)).toBe("xxxx…");
    expect(fitted("abcdef", Number.POSITIVE_INFINITY)).toBe("abcdef");
  });

  test("is folded at blanks, and inside of a word only where the word is longer than a line", () => {
    expect(wrapped("one two three", 7)).toEqual(["one two", "three"]);
    expect(wrapped("a-very-long-word b", 6)).toEqual(["a-very", "-long-", "word b"]);
    expect(wrapped("日本語", 4)).toEqual(["日本", "語"]);
  });

  test("cannot move the cursor, colour the screen or turn around", () => {
    expect(oneLine("a\nb\rc\td")).toBe("a b c d");
    expect(oneLine("\u001b[31mred\u001b[0m \u001b[2Jgone")).toBe("red gone");
    expect(oneLine("safe\u202etxt.exe")).toBe("safe txt.exe");
    expect(oneLine("\u009b31mred")).not.toContain("\u009b");
  });
});
