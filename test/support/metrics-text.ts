/** The text of `/metrics`: taken apart, and held against what `promtool check metrics` and the format itself ask for. */

export type Sample = {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
};

export type Family = {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: readonly Sample[];
};

type Growing = { name: string; type: string; help: string; samples: Sample[] };

const SAMPLE = /^([^\s{]+)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([^=,]+)="((?:[^"\\]|\\.)*)"(?:,|$)/y;

/** Throws for a line that is none of the format, or that belongs to no metric announced before. */
export function parseMetrics(text: string): Family[] {
  const families = new Map<string, Growing>();
  let current: Growing | undefined;
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const [, keyword, name = "", rest = ""] = /^# (HELP|TYPE) (\S+)(?: (.*))?$/.exec(line) ?? [];
    if (keyword !== undefined) {
      if (current?.name !== name) {
        if (families.has(name)) throw new Error(`${name}: expected its lines together, got them apart`);
        current = { name, type: "", help: "", samples: [] };
        families.set(name, current);
      }
      if (keyword === "HELP") current.help = rest;
      else current.type = rest;
      continue;
    }
    const sample = parseSample(line);
    if (current === undefined || !belongs(sample.name, current))
      throw new Error(`expected HELP and TYPE before: ${line}`);
    current.samples.push(sample);
  }
  return [...families.values()];
}

function parseSample(line: string): Sample {
  const [, name, inside = "", value] = SAMPLE.exec(line) ?? [];
  if (name === undefined || value === undefined) throw new Error(`expected a sample, got: ${line}`);
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  let read = 0;
  for (let found = LABEL.exec(inside); found !== null; found = LABEL.exec(inside)) {
    const [, label = "", text = ""] = found;
    if (label in labels) throw new Error(`expected each label once, got: ${line}`);
    labels[label] = text;
    read = LABEL.lastIndex;
  }
  if (read !== inside.length) throw new Error(`expected labels, got: ${line}`);
  return { name, labels, value: value === "+Inf" ? Number.POSITIVE_INFINITY : Number(value) };
}

const PARTS: Readonly<Record<string, readonly string[]>> = { histogram: ["_bucket", "_sum", "_count"] };

function belongs(name: string, family: Growing): boolean {
  return (PARTS[family.type] ?? [""]).some((part) => name === `${family.name}${part}`);
}

/** What is wrong, one sentence each; none where all is well. */
export function lintMetrics(text: string): string[] {
  const problems = text.endsWith("\n") ? [] : ["expected a line feed at the end"];
  let families: Family[];
  try {
    families = parseMetrics(text);
  } catch (error) {
    return [...problems, error instanceof Error ? error.message : String(error)];
  }
  if (families.length === 0) problems.push("expected metrics, got none");
  for (const family of families) problems.push(...lintName(family), ...lintSamples(family));
  return problems;
}

const NOT_BASE =
  /^((nano|micro|milli|centi|kilo|mega|giga|tera|peta|kibi|mebi|gibi)?(seconds?|bytes?|grams?|met(er|re)s?|joules?|volts?|amperes?|celsius|kelvin)|minutes?|hours?|days?|weeks?|bits?|percent)$/;
const BASE = /^(seconds|bytes|grams|met(er|re)s|joules|volts|amperes|celsius|kelvin)$/;
const ABBREVIATED = /^(s|ms|us|ns|sec|b|kb|mb|gb|tb|pb|m|h|d)$/;

function lintName({ name, type, help }: Family): string[] {
  const problems: string[] = [];
  const say = (what: string) => problems.push(`${name}: ${what}`);
  const words = name.split("_");
  if (!/^[a-z][a-z0-9]*(_[a-z0-9]+)*$/.test(name)) say("expected lower-case words with underscores between them");
  if (!["counter", "gauge", "histogram"].includes(type)) say(`expected a type, got ${JSON.stringify(type)}`);
  if (help === "") say("expected a help text");
  if (type === "counter" && !name.endsWith("_total")) say("expected a counter to end in _total");
  if (type !== "counter" && name.endsWith("_total")) say("expected only counters to end in _total");
  if (/_(bucket|count|sum)$/.test(name)) say("expected a name without the endings of histograms");
  if (words.some((word) => ["counter", "gauge", "histogram", "summary"].includes(word))) {
    say("expected a name without its type");
  }
  if (words.some((word) => ABBREVIATED.test(word))) say("expected units in full");
  if (words.some((word) => NOT_BASE.test(word) && !BASE.test(word))) say("expected base units");
  return problems;
}

function lintSamples(family: Family): string[] {
  const { name, type, samples } = family;
  const problems: string[] = [];
  const say = (what: string) => problems.push(`${name}: ${what}`);
  const seen = new Set<string>();
  for (const sample of samples) {
    const { labels, value } = sample;
    const series = seriesOf(sample);
    if (seen.has(series)) say(`expected each series once, got ${series} twice`);
    seen.add(series);
    for (const label of Object.keys(labels)) {
      const reserved = label.startsWith("__") || (label === "le" && type !== "histogram") || label === "quantile";
      if (!/^[a-z_][a-z0-9_]*$/.test(label) || reserved) say(`expected a label's name, got ${label}`);
    }
    if (Number.isNaN(value)) say(`expected a number for ${series}`);
    if (type !== "gauge" && value < 0) say(`expected no negative value for ${series}`);
  }
  if (type === "histogram") problems.push(...lintBuckets(family));
  return problems;
}

function lintBuckets({ name, samples }: Family): string[] {
  const problems: string[] = [];
  const histograms = Map.groupBy(samples, (sample) => seriesOf({ ...sample, name: "", labels: withoutBound(sample) }));
  for (const [labels, of] of histograms) {
    const say = (what: string) => problems.push(`${name}${labels}: ${what}`);
    const buckets = of.filter((sample) => sample.name === `${name}_bucket`);
    const bounds = buckets.map(({ labels: { le } }) => (le === "+Inf" ? Number.POSITIVE_INFINITY : Number(le)));
    if (bounds.some((bound, index) => !(bound > (bounds[index - 1] ?? Number.NEGATIVE_INFINITY)))) {
      say("expected ascending buckets");
    }
    if (bounds.at(-1) !== Number.POSITIVE_INFINITY) say("expected a last bucket +Inf");
    if (buckets.some(({ value }, index) => value < (buckets[index - 1]?.value ?? 0))) {
      say("expected each bucket to hold the ones before");
    }
    const count = of.find((sample) => sample.name === `${name}_count`)?.value;
    if (count === undefined || count !== buckets.at(-1)?.value) say("expected the count to be that of +Inf");
    if (of.filter((sample) => sample.name === `${name}_sum`).length !== 1) say("expected one sum");
  }
  return problems;
}

function withoutBound({ labels: { le: _, ...labels } }: Sample): Record<string, string> {
  return labels;
}

/** One text for one series, whatever the order of its labels. */
function seriesOf({ name, labels }: Sample): string {
  return `${name}${JSON.stringify(Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : 1)))}`;
}

/** The sum of all series of this name that have these labels. */
export function sumOf(
  families: readonly Family[],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const wanted = Object.entries(labels);
  return families
    .flatMap(({ samples }) => samples)
    .filter((sample) => sample.name === name && wanted.every(([label, value]) => sample.labels[label] === value))
    .reduce((sum, { value }) => sum + value, 0);
}
