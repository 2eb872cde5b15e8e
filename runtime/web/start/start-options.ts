/** What the form says beside the input, as text in its fields, and what that means for a task or a run. */
import { PRIORITY_LIMITS } from "../../model/task.ts";

export type OptionName = "queue" | "priority" | "delay" | "orderingKey" | "labels" | "key";

/** As typed. Empty: the default. */
export type OptionTexts = Readonly<Record<OptionName, string>>;

export type Options = {
  readonly queue?: string;
  readonly priority?: number;
  readonly delayMs?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly idempotencyKey?: string;
};

export type ReadOptions =
  | { readonly kind: "options"; readonly options: Options }
  | { readonly kind: "problems"; readonly problems: Partial<Record<OptionName, string>> };

export const NO_OPTIONS: OptionTexts = { queue: "", priority: "", delay: "", orderingKey: "", labels: "", key: "" };

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const YEAR_MS = 365 * 86_400_000;
/** As the API has it. */
const MAX_LABELS = 50;

export function readOptions(texts: OptionTexts): ReadOptions {
  const problems: Partial<Record<OptionName, string>> = {};
  const read = <Value>(name: OptionName, parse: (text: string) => Value | string): Value | undefined => {
    const text = texts[name].trim();
    if (text === "") return undefined;
    const value = parse(text);
    if (typeof value !== "string") return value;
    problems[name] = value;
    return undefined;
  };
  const priority = read("priority", readPriority);
  const delayMs = read("delay", readDelayMs);
  const labels = read("labels", readLabels);
  const key = read("key", (text) =>
    /^[!-~]{1,255}$/.test(text) ? { text } : "Expected 1 to 255 visible ASCII characters without spaces.",
  );
  if (Object.keys(problems).length > 0) return { kind: "problems", problems };
  const queue = texts.queue.trim();
  return {
    kind: "options",
    options: {
      ...(queue !== "" && { queue }),
      ...(priority !== undefined && { priority }),
      ...(delayMs !== undefined && { delayMs }),
      ...(labels !== undefined && { labels }),
      ...(key !== undefined && { idempotencyKey: key.text }),
    },
  };
}

/** `90`, `90 s`, `5m`, `1 h`, `2 d`; a number alone is seconds. A text is what is wrong with it. */
export function readDelayMs(text: string): number | string {
  const [, number, unit = "s"] = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?$/.exec(text) ?? [];
  const ms = number === undefined ? Number.NaN : Math.round(Number(number) * (UNITS_MS[unit] ?? 0));
  return ms >= 0 && ms <= YEAR_MS ? ms : `Expected a time of at most 365 d, such as 90 s, 5 m or 2 h; got ${text}.`;
}

function readPriority(text: string): number | string {
  const { min, max } = PRIORITY_LIMITS;
  const priority = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN;
  return priority >= min && priority <= max ? priority : `Expected an integer from ${min} to ${max}, got ${text}.`;
}

/** One a line, `name=value`. */
function readLabels(text: string): Record<string, string> | string {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  if (lines.length > MAX_LABELS) return `Expected at most ${MAX_LABELS} labels, got ${lines.length}.`;
  const wrong = lines.find((line) => line.indexOf("=") < 1);
  if (wrong !== undefined) return `Expected lines such as team=data, got ${wrong.trim()}.`;
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.indexOf("=");
      return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    }),
  );
}
