/**
 * The kinds of environment variable. Each knows how to read its text, how to say what it expects and what to do about
 * anything else, so that `config.ts` is one table, and checks, messages and `.env.example` cannot disagree.
 */
import { z } from "zod";
import { redactText } from "./redact.ts";

export type Unit = "milliseconds" | "bytes" | "count";

/** One environment variable. `T` is what the configuration holds for it. */
export type Variable<T> = {
  /** What it is for: sentences for an operator. */
  readonly meaning: string;
  /** Reads the text; an issue's message starts with "expected". An empty text counts as unset. */
  readonly schema: z.ZodType<T, string | undefined>;
  /** What a number counts, where that is not plain. */
  readonly unit?: "milliseconds" | "bytes";
  /** What the text has to be, with bounds: "an integer from 5000 to 600000". */
  readonly expected: string;
  /** What to do about a text that is not: "Use milliseconds, for example 30000." */
  readonly hint: string;
  /** A text to show in the example file: the default, or an example for what has none. */
  readonly example: string;
  /** Required, optional without a default, or the default as text. */
  readonly presence: "required" | "optional" | { readonly default: string };
  /** Other names it is read from when its own is unset, first one first. */
  readonly aliases: readonly string[];
  /** A value that no message may show. */
  readonly secret: boolean;
};

/** What a kind leaves to the entry that uses it. */
type Entry = { readonly meaning: string; readonly aliases?: readonly string[]; readonly secret?: boolean };

const UNIT_HINTS = {
  milliseconds: "Use milliseconds, for example",
  bytes: "Use bytes, for example",
  count: "Use a number, for example",
};

/** A whole number in decimal digits. */
export function integer(
  entry: Entry & { unit: Unit; min: number; max: number; step?: number; default: number },
): Variable<number> {
  const { unit, min, max, step = 1 } = entry;
  const schema = z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number)
    .pipe(z.int().min(min).max(max).multipleOf(step));
  const expected = `an integer from ${min} to ${max}${step === 1 ? "" : ` in steps of ${step}`}`;
  const number = withDefault(entry, {
    schema,
    default: entry.default,
    expected,
    hint: `${UNIT_HINTS[unit]} ${entry.default}.`,
    text: String(entry.default),
  });
  return unit === "count" ? number : { ...number, unit };
}

/** One of a few words. */
export function choice<const Words extends readonly [string, ...string[]]>(
  entry: Entry & { words: Words; default: Words[number] },
): Variable<Words[number]> {
  return withDefault(entry, {
    schema: z.enum(entry.words),
    default: entry.default,
    expected: `one of ${entry.words.join(", ")}`,
    hint: `For example ${entry.default}.`,
    text: entry.default,
  });
}

/** Some of a few words, separated by commas, or `off` for none of them. Each at most once. */
export function choices<const Words extends readonly [string, ...string[]]>(
  entry: Entry & { words: Words; default: Words[number] },
): Variable<readonly Words[number][]> {
  const known: readonly string[] = entry.words;
  const schema = z
    .string()
    .transform((value) => value.split(",").map((word) => word.trim()))
    .refine((words) => new Set(words).size === words.length && words.every((word) => known.includes(word)))
    .or(z.literal("off").transform((): string[] => []))
    // Each was found among the words.
    .transform((words) => words as Words[number][]);
  return withDefault(entry, {
    schema,
    default: [entry.default],
    expected: `off, or some of ${entry.words.join(", ")} with commas between them`,
    hint: `For example ${entry.words.join(",")}.`,
    text: entry.default,
  });
}

type TextRule = { readonly expected: string; readonly hint: string; readonly pattern: (text: string) => boolean };

/** A text with a default. */
export function text(entry: Entry & TextRule & { default: string }): Variable<string> {
  return withDefault(entry, { ...entry, schema: z.string().refine(entry.pattern), text: entry.default });
}

/** A text that must be given. */
export function requiredText(entry: Entry & TextRule & { example: string }): Variable<string> {
  return { ...described(entry), ...entry, schema: z.string().refine(entry.pattern), presence: "required" };
}

/** A text that may be left out; the configuration then holds null. */
export function optionalText(entry: Entry & TextRule & { example: string }): Variable<string | null> {
  const schema = z
    .string()
    .refine(entry.pattern)
    .optional()
    .transform((value) => value ?? null);
  return { ...described(entry), ...entry, schema, presence: "optional" };
}

/** Words separated by commas; empty when left out. */
export function commaList(
  entry: Entry & { expected: string; hint: string; pattern: (text: string) => boolean; example: string },
): Variable<readonly string[]> {
  const schema = z
    .string()
    .transform((value) => value.split(",").map((word) => word.trim()))
    .refine((words) => words.every(entry.pattern))
    .optional()
    .transform((value) => value ?? []);
  return { ...described(entry), ...entry, schema, presence: "optional" };
}

/** A JSON text of the given shape. The shape's own messages start with "expected". */
export function requiredJson<T>(
  entry: Entry & { shape: z.ZodType<T>; expected: string; hint: string; example: string },
): Variable<T> {
  const schema = z
    .string()
    .transform((value, context) => {
      try {
        return JSON.parse(value) as unknown;
      } catch {
        context.addIssue(`expected ${entry.expected}`);
        return z.NEVER;
      }
    })
    .pipe(entry.shape);
  return { ...described(entry), ...entry, schema, presence: "required" };
}

/** The value of a text for a message: bounded, on one line, without passwords. */
export function shownValue(value: unknown): string {
  if (value === undefined) return "nothing";
  const shown = redactText(JSON.stringify(value) ?? typeof value);
  return shown.length <= 120 ? shown : `${shown.slice(0, 120)}…`;
}

function withDefault<T>(
  entry: Entry,
  kind: { schema: z.ZodType<T, string>; default: T; expected: string; hint: string; text: string },
): Variable<T> {
  const { expected, hint } = kind;
  const schema = kind.schema.optional().transform((value) => value ?? kind.default);
  return { ...described(entry), schema, expected, hint, example: kind.text, presence: { default: kind.text } };
}

function described({ meaning, aliases = [], secret = false }: Entry) {
  return { meaning, aliases, secret };
}
