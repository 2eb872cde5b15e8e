/** Numbers, times and durations as they stand in columns. */
import { describe, expect, test } from "vitest";
import { cappedText, countedNoun, percentText, rateText } from "../../../runtime/web/components/number-text.ts";
import { agoText, durationText, exactText, localText } from "../../../runtime/web/components/time-text.ts";

const DAY_MS = 86_400_000;

describe("durationText", () => {
  test.each([
    [-5, "0 ms"],
    [0, "0 ms"],
    [999, "999 ms"],
    [999.6, "1.0 s"],
    [4_230, "4.2 s"],
    [9_949, "9.9 s"],
    [9_950, "10 s"],
    [59_499, "59 s"],
    [59_500, "1 m"],
    [200_000, "3 m 20 s"],
    [3_599_600, "1 h"],
    [7_500_000, "2 h 5 m"],
    [DAY_MS - 1, "1 d"],
    [DAY_MS * 3 + 4 * 3_600_000, "3 d 4 h"],
  ])("of %d ms is %s", (ms, text) => {
    expect(durationText(ms)).toBe(text);
  });

  test("never grows shorter with a longer time at the borders of its units", () => {
    // 59.6 s must not read as "60 s" or "0 m 60 s", and so on.
    for (const ms of [59_600, 119_700, 3_599_700, 86_399_700]) expect(durationText(ms)).not.toMatch(/\b60\b|\b24 h/);
  });
});

describe("agoText", () => {
  const nowMs = Date.parse("2026-11-21T12:00:00Z");
  test.each([
    [0, "now"],
    [-1_999, "now"],
    [1_999, "now"],
    [-12_000, "12 s ago"],
    [-150_000, "2 m ago"],
    [300_000, "in 5 m"],
    [-3 * 3_600_000, "3 h ago"],
    [-47 * 3_600_000, "47 h ago"],
    [-4 * DAY_MS, "4 d ago"],
  ])("of %d ms from now is %s", (ms, text) => {
    expect(agoText(nowMs + ms, nowMs)).toBe(text);
  });
});

test("the exact time names its zone, and means the same moment", () => {
  const at = new Date("2026-01-02T03:04:05.006Z");
  const text = exactText(at);
  expect(text).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.006 [+-]\d\d:\d\d$/);
  expect(new Date(text.replace(" ", "T").replace(" ", "")).getTime()).toBe(at.getTime());
  expect(text.startsWith(localText(at))).toBe(true);
});

describe("numbers", () => {
  test.each([
    [0, "0/s"],
    [0.01, "<0.1/s"],
    [0.44, "0.4/s"],
    [9.96, "10/s"],
    [1_234.4, "1,234/s"],
  ])("a rate of %d is %s", (rate, text) => {
    expect(rateText(rate)).toBe(text);
  });

  test.each([
    [0, "0 %"],
    [0.0001, "<1 %"],
    [0.5, "50 %"],
    [0.9999, "99 %"],
    [1, "100 %"],
  ])("a share of %d is %s", (share, text) => {
    expect(percentText(share)).toBe(text);
  });

  test("what the API counts no further says so", () => {
    expect(cappedText(9_999)).toBe("9,999");
    expect(cappedText(10_000)).toBe("10,000+");
  });

  test("one is one", () => {
    expect(countedNoun(1, "task")).toBe("1 task");
    expect(countedNoun(2_000, "task")).toBe("2,000 tasks");
    expect(countedNoun(0, "message stays", "messages stay")).toBe("0 messages stay");
  });
});
