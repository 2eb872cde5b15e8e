/** The table, its README and the text of `/metrics` against each other and against the rules of Prometheus. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import { createMeters } from "../../runtime/metrics/meters.ts";
import { METRICS, type MetricName } from "../../runtime/metrics/names.ts";
import { openMetrics } from "../../runtime/metrics/open-metrics.ts";
import { type CounterName, type HistogramName, METERS, type Meter } from "../../runtime/metrics/table.ts";
import { lintMetrics, parseMetrics } from "../support/metrics-text.ts";

const ALL: [string, Meter][] = Object.entries(METERS);
const README = readFileSync(new URL("../../runtime/metrics/README.md", import.meta.url), "utf8");

/** A registry in which every series has been counted. */
function everything() {
  const meters = createMeters(["api", "executor", "worker"]);
  for (const [name, { type, labels }] of ALL) {
    const values = Object.fromEntries(labels.map((label) => [label, `some-${label}`])) as never; // Those of this metric.
    if (name === "process_cpu_seconds_total") meters.read(name, () => [{ labels: {}, value: 1 }]);
    else if (type === "counter") meters.counter(name as CounterName, values).value++;
    else if (type === "histogram") meters.histogram(name as HistogramName, values).note(0.3, 2);
    else meters.read(name as "taskq_backlog_tasks", () => [{ labels: values, value: 1 }]);
  }
  return meters;
}

test("the README's table is that of the registry", async () => {
  const [head, , ...rows] = README.split("\n").filter((line) => line.startsWith("|"));
  expect(head).toBe("| name | type | unit | labels | who | meaning | in CloudWatch |");
  const cells = rows.map((row) =>
    row
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
  const words = (cell = "") => [...cell.matchAll(/`([^`]+)`/g)].map(([, word]) => word);
  const documented = cells.map(([name, type, unit, labels, who, meaning, cloudWatch]) => ({
    name: words(name)[0],
    type,
    unit,
    labels: words(labels),
    who,
    meaning,
    cloudWatch: words(cloudWatch),
  }));
  const registered = parseMetrics(await everything().text());
  expect(documented).toEqual(
    registered.map(({ name, type, help, samples }) => ({
      name,
      type,
      unit: METERS[name as CounterName].unit,
      labels: Object.keys(samples[0]?.labels ?? {}).filter((label) => label !== "le"),
      who: METERS[name as CounterName].by,
      meaning: help,
      cloudWatch: [...((METERS[name as CounterName] as Meter).cloudWatch ?? [])],
    })),
  );
  expect(documented).toHaveLength(ALL.length);
});

test("every series there can be keeps the rules of Prometheus", async () => {
  expect(lintMetrics(await everything().text())).toEqual([]);
});

test.each(["api", "executor", "worker", "all"] as const)("a new process of the role %s keeps them", async (role) => {
  const options = { namespace: "taskiq", stack: "test", intervalMs: 20_000, version: "1", clock: systemClock };
  const opened = openMetrics({ ...options, role, prometheus: true, emf: false, write: () => {} });
  if (role === "worker" || role === "all") opened.worker("w");
  const text = (await opened.shown?.text()) ?? "";
  expect(lintMetrics(text)).toEqual([]);
  const parts = {
    api: ["api", "executor"],
    executor: ["executor"],
    worker: ["worker"],
    all: ["api", "executor", "worker"],
  };
  const wanted = ALL.filter(([, { by }]) => by === "process" || parts[role].includes(by)).map(([name]) => name);
  expect(parseMetrics(text).map(({ name }) => name)).toEqual(wanted);
});

describe("the table", () => {
  test("says what each means in a sentence, and has buckets for histograms alone", () => {
    for (const [name, { help, type, buckets }] of ALL) {
      expect(help, name).toMatch(/^[A-Z].*\.$/);
      expect(help, name).not.toMatch(/[|\n]/);
      expect(buckets === undefined, name).toBe(type !== "histogram");
    }
  });

  test("ends names in their unit where it is one of measure", () => {
    for (const [name, { unit }] of ALL) {
      if (unit === "seconds" || unit === "bytes") expect(name).toMatch(new RegExp(`_${unit}(_total)?$`));
    }
  });

  test("names the figure of every metric of CloudWatch, once", () => {
    const named = ALL.flatMap(([, { cloudWatch = [] }]) => cloudWatch);
    expect(named.toSorted()).toEqual((Object.keys(METRICS) as MetricName[]).toSorted());
  });
});

describe("the lint", () => {
  const good = "# HELP a_seconds How long.\n# TYPE a_seconds gauge\na_seconds 1\n";
  const histogram = (lines: readonly string[]) =>
    ["# HELP a_seconds How long.", "# TYPE a_seconds histogram", ...lines, ""].join("\n");
  const bucket = (le: string, count: number) => `a_seconds_bucket{le="${le}"} ${count}`;
  const ends = (count: number) => ["a_seconds_sum 1", `a_seconds_count ${count}`];

  test("takes what is right", () => {
    expect(lintMetrics(good)).toEqual([]);
    expect(lintMetrics(histogram([bucket("1", 1), bucket("+Inf", 2), ...ends(2)]))).toEqual([]);
  });

  test.each([
    ["no help", good.replace("# HELP a_seconds How long.\n", "")],
    ["no type", good.replace("# TYPE a_seconds gauge\n", "")],
    ["a counter without _total", good.replace("gauge", "counter")],
    ["a gauge with _total", good.replaceAll("a_seconds", "a_seconds_total")],
    ["a unit that is none of the base", good.replaceAll("a_seconds", "a_milliseconds")],
    ["minutes", good.replaceAll("a_seconds", "a_minutes")],
    ["an abbreviated unit", good.replaceAll("a_seconds", "a_ms")],
    ["capitals", good.replaceAll("a_seconds", "aWait_seconds")],
    ["a type in the name", good.replaceAll("a_seconds", "a_gauge_seconds")],
    ["an ending of histograms", good.replaceAll("a_seconds", "a_count")],
    ["a series twice", `${good}a_seconds 2\n`],
    ["a sample of nobody", `${good}b_seconds 2\n`],
    ["a metric in two places", `${good}# HELP b_ratio B.\n# TYPE b_ratio gauge\nb_ratio 1\n${good}`],
    ["a label that is reserved", good.replace("a_seconds 1", 'a_seconds{__name="x"} 1')],
    ["a bound without a histogram", good.replace("a_seconds 1", 'a_seconds{le="1"} 1')],
    ["what is no sample", `${good}a_seconds\n`],
    ["no number", good.replace("a_seconds 1", "a_seconds NaN")],
    ["no line feed at the end", good.trimEnd()],
    ["buckets that do not ascend", histogram([bucket("2", 1), bucket("1", 1), bucket("+Inf", 2), ...ends(2)])],
    ["buckets that shrink", histogram([bucket("1", 2), bucket("+Inf", 1), ...ends(1)])],
    ["no bucket +Inf", histogram([bucket("1", 1), ...ends(1)])],
    ["another count", histogram([bucket("+Inf", 2), ...ends(1)])],
    ["no sum", histogram([bucket("+Inf", 2), "a_seconds_count 2"])],
  ])("refuses %s", (_, text) => {
    expect(lintMetrics(text)).not.toEqual([]);
  });
});
