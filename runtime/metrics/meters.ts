/**
 * The counters of one process, in one registry. The hot path adds to plain numbers; prom-client's own metrics look their labels up at every
 * increment, which costs more than a claim may. It keeps the names apart, writes the text, and asks for the numbers when somebody looks.
 */

import { type Metric, Registry } from "prom-client";
import {
  type CounterName,
  type GaugeName,
  type HistogramName,
  type LabelsOf,
  METERS,
  type Meter,
  type MeterName,
  type Part,
} from "./table.ts";

/** A series that is counted. Hold on to it: it is looked up by its labels once. */
export type Count = { value: number };

/** A series of a histogram. */
export type Spread = {
  /** Notes the value; so many times, default once. */
  note(value: number, times?: number): void;
};

export type Meters = {
  /** The series of a counter with these labels, from 0. */
  counter<Name extends CounterName>(name: Name, labels: LabelsOf<Name>): Count;
  histogram<Name extends HistogramName>(name: Name, labels: LabelsOf<Name>): Spread;
  /** What a gauge, or a counter that somebody else keeps, is read by whenever somebody looks. Once for each name and reader. */
  read<Name extends GaugeName | "process_cpu_seconds_total">(name: Name, reader: () => Iterable<Reading<Name>>): void;
  /** All series of a counter together. */
  total(name: CounterName, matches?: (labels: Readonly<Record<string, string>>) => boolean): number;
  /** What `/metrics` answers, and the type of that text. Never throws because of a reader. */
  text(): Promise<string>;
  readonly contentType: string;
};

export type Reading<Name extends MeterName> = { readonly labels: LabelsOf<Name>; readonly value: number };

type Labels = Readonly<Record<string, string>>;
type Sample = {
  readonly labels: Record<string, string | number>;
  readonly value: number;
  readonly metricName?: string;
};
/** What keeps the series of one metric. */
type Family = {
  readonly counts: Map<string, { readonly labels: Labels; readonly count: Count }>;
  readonly spreads: Map<string, { readonly labels: Labels; readonly spread: Buckets }>;
  readonly readers: (() => Iterable<{ readonly labels: Labels; readonly value: number }>)[];
};
type Buckets = Spread & { readonly counts: readonly number[]; readonly sum: number };

/** More series than a metric should ever have: what comes after them is counted together, whatever went wrong with their labels. */
const MOST_SERIES = 2_000;
const OTHER = "other";

/** @param parts of this process: the metrics of these are in the registry, others cannot be counted */
export function createMeters(parts: readonly Part[]): Meters {
  const registry = new Registry();
  const families = new Map<string, Family>();
  const table: [string, Meter][] = Object.entries(METERS);
  for (const [name, meter] of table) {
    if (meter.by !== "process" && !parts.includes(meter.by)) continue;
    const family: Family = { counts: new Map(), spreads: new Map(), readers: [] };
    families.set(name, family);
    register(registry, name, meter, family);
    // A counter that is absent until something goes wrong never shows that it went wrong once.
    if (meter.type === "counter" && meter.labels.length === 0 && name !== "process_cpu_seconds_total") {
      family.counts.set("", { labels: {}, count: { value: 0 } });
    }
  }

  function familyOf(name: string): Family {
    const family = families.get(name);
    if (family === undefined) throw new RangeError(`${name}: expected a metric of ${parts.join(", ")}`);
    return family;
  }

  return {
    counter(name, labels) {
      return seriesOf(familyOf(name).counts, name, labels, (of) => ({ labels: of, count: { value: 0 } })).count;
    },
    histogram(name, labels) {
      const { buckets } = METERS[name];
      return seriesOf(familyOf(name).spreads, name, labels, (of) => ({ labels: of, spread: createBuckets(buckets) }))
        .spread;
    },
    read: (name, reader) => void familyOf(name).readers.push(reader),
    total(name, matches = () => true) {
      let sum = 0;
      for (const { labels, count } of familyOf(name).counts.values()) if (matches(labels)) sum += count.value;
      return sum;
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

function seriesOf<Series>(
  of: Map<string, Series>,
  name: MeterName,
  labels: Labels,
  make: (labels: Labels) => Series,
): Series {
  const key = METERS[name].labels.map((label) => labels[label]).join("\u001f");
  const known = of.get(key);
  if (known !== undefined) return known;
  if (of.size >= MOST_SERIES) {
    const other = Object.fromEntries(METERS[name].labels.map((label) => [label, OTHER]));
    if (key !== Object.values(other).join("\u001f")) return seriesOf(of, name, other, make);
  }
  const series = make(labels);
  of.set(key, series);
  return series;
}

function register(registry: Registry, name: string, meter: Meter, family: Family): void {
  const get = async () => ({
    name,
    help: meter.help,
    type: meter.type,
    aggregator: "sum",
    values: meter.type === "histogram" ? histogramSamples(name, meter, family) : samples(family),
  });
  // Its classes count by themselves; of a metric the registry wants its name and what `get` answers.
  registry.registerMetric({ name, get } as unknown as Metric);
}

function samples({ counts, readers }: Family): Sample[] {
  const result: Sample[] = [...counts.values()].map(({ labels, count }) => ({ labels, value: count.value }));
  for (const reader of readers) {
    try {
      result.push(...[...reader()].map(({ labels, value }) => ({ labels, value })));
    } catch {
      // What cannot be read has no value: the others are shown.
    }
  }
  return result;
}

function histogramSamples(name: string, { buckets = [] }: Meter, { spreads }: Family): Sample[] {
  return [...spreads.values()].flatMap(({ labels, spread }) => {
    let below = 0;
    const bounds = [...buckets.map(String), "+Inf"].map((le, index): Sample => {
      below += spread.counts[index] ?? 0;
      return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: below };
    });
    return [
      ...bounds,
      { metricName: `${name}_sum`, labels, value: spread.sum },
      { metricName: `${name}_count`, labels, value: below },
    ];
  });
}

function createBuckets(bounds: readonly number[]): Buckets {
  const counts = Array.from({ length: bounds.length + 1 }, () => 0);
  let sum = 0;
  return {
    counts,
    get sum() {
      return sum;
    },
    note(value, times = 1) {
      let index = 0;
      while (index < bounds.length && value > (bounds[index] ?? 0)) index++;
      counts[index] = (counts[index] ?? 0) + times;
      sum += value * times;
    },
  };
}
