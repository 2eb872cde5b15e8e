import { describe, expect, test } from "vitest";
import { placeIssues } from "../../../runtime/web/start/start-issues.ts";
import { NO_OPTIONS, readDelayMs, readOptions } from "../../../runtime/web/start/start-options.ts";

describe("options", () => {
  test("that are left empty are not sent", () => {
    expect(readOptions(NO_OPTIONS)).toEqual({ kind: "options", options: {} });
    expect(readOptions({ ...NO_OPTIONS, queue: "  ", labels: "\n" })).toEqual({ kind: "options", options: {} });
  });

  test("are read from what was typed", () => {
    const texts = { queue: "slow", priority: "-5", delay: "1.5 m", labels: "team=data\nnote=a=b\n", key: "k-1" };
    expect(readOptions({ ...NO_OPTIONS, ...texts })).toEqual({
      kind: "options",
      options: {
        queue: "slow",
        priority: -5,
        delayMs: 90_000,
        labels: { team: "data", note: "a=b" },
        idempotencyKey: "k-1",
      },
    });
  });

  test("that cannot be read are all told, each at its field", () => {
    const read = readOptions({ ...NO_OPTIONS, priority: "101", delay: "soon", labels: "alone", key: "a b" });
    expect(read.kind === "problems" ? Object.keys(read.problems).toSorted() : []).toEqual([
      "delay",
      "key",
      "labels",
      "priority",
    ]);
  });

  test("delays are of at most a year, a number alone is seconds", () => {
    expect(["30", "500ms", "5 m", "2h", "365 d"].map(readDelayMs)).toEqual([
      30_000, 500, 300_000, 7_200_000, 31_536_000_000,
    ]);
    for (const text of ["366 d", "-1", "1 w", "1e9"]) expect(readDelayMs(text)).toContain("Expected a time");
  });
});

test("what the API refuses is told at the input, at an option, or above all", () => {
  const placed = placeIssues([
    { path: "input.files", message: "expected a number" },
    { path: "input", message: "expected an object" },
    { path: "delay_seconds", message: "expected less" },
    { path: "labels.team", message: "expected a text" },
    { path: "steps.load.queue", message: "expected one of fast" },
  ]);
  expect(placed).toEqual({
    input: [
      { path: "files", message: "expected a number" },
      { path: "", message: "expected an object" },
    ],
    options: { delay: "expected less.", labels: "expected a text." },
    other: [{ path: "steps.load.queue", message: "expected one of fast" }],
  });
});
