import { describe, expect, test } from "vitest";
import { createEmf, type EmfOptions } from "../../runtime/metrics/emf.ts";
import { METRICS, type Metric, type MetricName } from "../../runtime/metrics/names.ts";
import { emfProblems } from "./emf-schema.ts";

const NOW_MS = 1_795_267_927_123;

function written(options: Partial<EmfOptions> = {}) {
  const lines: string[] = [];
  const emf = createEmf({
    namespace: "taskiq",
    stack: "demo",
    clock: { wallMs: () => NOW_MS + 0.4 },
    write: (line) => lines.push(line),
    ...options,
  });
  return { emf, lines, last: () => JSON.parse(lines.at(-1) ?? "null") };
}

describe("a line", () => {
  test("is what CloudWatch takes apart", () => {
    const { emf, lines, last } = written();
    emf.put({ Running: 3, Started: 12, EventLoopDelayMs: 1.5 });
    expect(lines[0]).toMatch(/^\{[^\n]*\}\n$/);
    expect(last()).toEqual({
      _aws: {
        Timestamp: NOW_MS,
        CloudWatchMetrics: [
          {
            Namespace: "taskiq",
            Dimensions: [["Stack"]],
            Metrics: [
              { Name: "Running", Unit: "Count", StorageResolution: 1 },
              { Name: "Started", Unit: "Count" },
              { Name: "EventLoopDelayMs", Unit: "Milliseconds" },
            ],
          },
        ],
      },
      Stack: "demo",
      Running: 3,
      Started: 12,
      EventLoopDelayMs: 1.5,
    });
  });

  test("of a queue has its name as a second dimension", () => {
    const { emf, last } = written();
    emf.put({ Visible: 7 }, "default");
    expect(last()).toMatchObject({ Stack: "demo", Queue: "default", Visible: 7 });
    expect(last()._aws.CloudWatchMetrics[0].Dimensions).toEqual([["Stack", "Queue"]]);
  });

  test("names the worker, which is no dimension", () => {
    const { emf, last } = written({ worker: "w-1" });
    emf.put({ Running: 0 });
    expect(last().worker).toBe("w-1");
    expect(last()._aws.CloudWatchMetrics[0].Dimensions).toEqual([["Stack"]]);
  });

  test.each<[Metric["source"], Metric["dimensions"]["length"]]>([
    ["worker", 1],
    ["executor", 1],
    ["executor", 2],
  ])("with all there is from the %s in %i dimensions keeps within the format", (source, dimensions) => {
    const all: [string, Metric][] = Object.entries(METRICS);
    const own = all.filter(([, metric]) => metric.source === source && metric.dimensions.length === dimensions);
    const { emf, lines, last } = written({ worker: "w-1" });
    emf.put(Object.fromEntries(own.map(([name], nth) => [name, nth])), dimensions === 2 ? "default" : undefined);
    expect(emfProblems(last())).toEqual([]);
    expect(last()._aws.CloudWatchMetrics[0].Metrics).toHaveLength(own.length);
    expect(lines[0]?.length).toBeLessThan(10_000);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, undefined])("leaves out what has no value (%s)", (nothing) => {
    const { emf, lines, last } = written();
    emf.put({ Running: 0, Slots: nothing });
    expect(last()).not.toHaveProperty("Slots");
    expect(last()._aws.CloudWatchMetrics[0].Metrics).toHaveLength(1);
    emf.put({ Slots: nothing });
    emf.put({});
    expect(lines).toHaveLength(1);
  });

  test("has up to 100 values of a metric, of which CloudWatch makes percentiles", () => {
    const { emf, lines, last } = written();
    const values = Array.from({ length: 100 }, (_, nth) => nth / 10);
    emf.put({ RunSeconds: values });
    expect(last().RunSeconds).toEqual(values);
    expect(emfProblems(last())).toEqual([]);
    for (const list of [[], [...values, 1], [1, Number.NaN]]) emf.put({ RunSeconds: list });
    expect(lines).toHaveLength(1);
  });

  test("that cannot be written is lost, and nothing fails", () => {
    const { emf } = written({
      write() {
        throw new Error("disk full");
      },
    });
    expect(() => emf.put({ Running: 1 })).not.toThrow();
  });
});

describe("the check of the format", () => {
  const line = (change: (line: { _aws: { CloudWatchMetrics: [Record<string, unknown>] } }) => void) => {
    const { emf, last } = written();
    emf.put({ Running: 3 });
    const wrong = last();
    change(wrong);
    return emfProblems(wrong);
  };

  test.each([
    ["no time", (wrong: { _aws: object }) => Object.assign(wrong._aws, { Timestamp: undefined })],
    ["a metric without a value", (wrong: object) => Object.assign(wrong, { Running: undefined })],
    ["a value that is a text", (wrong: object) => Object.assign(wrong, { Running: "3" })],
    ["a dimension without a value", (wrong: object) => Object.assign(wrong, { Stack: undefined })],
    ["a dimension that is a number", (wrong: object) => Object.assign(wrong, { Stack: 3 })],
  ])("refuses %s", (_, change) => {
    expect(line(change as never)).not.toEqual([]); // Each changes what it names.
  });

  test.each([
    ["an unknown unit", { Metrics: [{ Name: "Running", Unit: "Hours" }] }],
    ["another resolution", { Metrics: [{ Name: "Running", StorageResolution: 10 }] }],
    ["no metrics", { Metrics: [] }],
    ["no dimensions", { Dimensions: [] }],
    ["more dimensions than there may be", { Dimensions: [Array.from({ length: 31 }, () => "Stack")] }],
    ["no namespace", { Namespace: "" }],
  ])("refuses %s", (_, change) => {
    expect(line((wrong) => Object.assign(wrong._aws.CloudWatchMetrics[0], change))).not.toEqual([]);
  });
});

describe("the list of metrics", () => {
  test("has no name that is a dimension's or the line's own", () => {
    for (const name of Object.keys(METRICS)) expect(["_aws", "Stack", "Queue", "worker"]).not.toContain(name);
  });

  test("explains each in a sentence and keeps by the second what workers are scaled by", () => {
    const all: [string, Metric][] = Object.entries(METRICS);
    for (const [name, { meaning }] of all) {
      expect(name).toMatch(/^[A-Z][A-Za-z]+$/);
      expect(meaning).toMatch(/^[A-Z].*\.$/);
    }
    const bySecond = all.filter(([, metric]) => metric.storageResolution === 1).map(([name]) => name);
    expect(bySecond.toSorted()).toEqual(["Backlog", "BusyRatio", "Running", "Slots"] satisfies MetricName[]);
  });
});
