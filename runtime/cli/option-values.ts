/** Reads the values of options. Each parser throws what commander shows beside the option's name: what was expected. */
import { InvalidArgumentError } from "commander";
import { KEY_ID } from "../access/key.ts";
import { MAX_KEY_DAYS } from "../access/keys.ts";
import { SCOPES, type Scope } from "../access/scope.ts";
import { checkedBaseUrl } from "../client/base-url.ts";
import { checkedKey } from "../client/idempotency-key.ts";

/** Where the API is when nobody says so: where `taskiq-aws demo` puts it. */
export const DEFAULT_API_URL = "http://127.0.0.1:8080";

export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^[+-]?\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
  };
}

/** With or without a fraction, down to microseconds. */
export function seconds(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,10}(\.\d{1,6})?$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Expected a number of seconds from ${min} to ${max}, for example 2.5.`);
  };
}

const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Milliseconds out of `90s`, `15m`, `2h`, `3d`. */
export function span(minMs: number, maxMs: number): (text: string) => number {
  return (text) => {
    const [, count, unit] = /^(\d{1,10}(?:\.\d{1,3})?)([smhd])$/.exec(text) ?? [];
    // The pattern has the units of the table.
    const value = Math.round(Number(count) * UNIT_MS[(unit ?? "s") as keyof typeof UNIT_MS]);
    if (value >= minMs && value <= maxMs) return value;
    throw new InvalidArgumentError(
      `Expected a time span from ${minMs / 1_000}s to ${maxMs / UNIT_MS.d}d, for example 90s, 15m, 2h or 3d.`,
    );
  };
}

const POINT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2})$/;

/** With the offset of its time zone: what it means must not depend on the machine. */
export function pointInTime(text: string): Date {
  const time = new Date(POINT.test(text) ? text : Number.NaN);
  if (!Number.isNaN(+time)) return time;
  throw new InvalidArgumentError(
    "Expected a time with its offset, for example 2026-12-24T18:00:00+01:00, or with Z for UTC.",
  );
}

/** `name=value`; the option may be given several times. */
export function label(text: string, earlier: Readonly<Record<string, string>> = {}): Record<string, string> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("Expected name=value, for example team=search.");
  return { ...earlier, [text.slice(0, at)]: text.slice(at + 1) };
}

/** An empty text, as an empty environment variable gives it, is the default. */
export function apiUrl(text: string): string {
  if (text === "") return DEFAULT_API_URL;
  return unlessRefused(() => checkedBaseUrl(text), "Expected an http or https URL, for example http://127.0.0.1:8080.");
}

export function idempotencyKey(text: string): string {
  return unlessRefused(() => checkedKey(text), "Expected 1 to 255 visible ASCII characters.");
}

/** Words out of SCOPES, separated by commas. */
export function scopes(text: string): readonly Scope[] {
  const words = text.split(",").map((word) => word.trim());
  const known = words.flatMap((word) => SCOPES.find((scope) => scope === word) ?? []);
  if (known.length === words.length) return known;
  throw new InvalidArgumentError(`Expected words out of ${SCOPES.join(", ")}, separated by commas.`);
}

/** Milliseconds. */
export type Life = number | "never";

export function life(text: string): Life {
  if (text === "never") return text;
  const [, count, unit] = /^(\d{1,5})([hd])$/.exec(text) ?? [];
  const hours = Number(count) * (unit === "d" ? 24 : 1);
  if (hours >= 1 && hours <= MAX_KEY_DAYS * 24) return hours * 3_600_000;
  throw new InvalidArgumentError(`Expected never, or hours or days up to ${MAX_KEY_DAYS} days, for example 90d.`);
}

/** What is stored of a key. */
export type Fingerprint = { readonly id: string; readonly hash: Buffer };

export function fingerprint(text: string): Fingerprint {
  const [id = "", hash = ""] = text.split(":");
  if (KEY_ID.test(id) && /^[0-9a-f]{64}$/.test(hash)) return { id, hash: Buffer.from(hash, "hex") };
  throw new InvalidArgumentError("Expected what keygen --offline printed: the id of a key, a colon, 64 hex digits.");
}

function unlessRefused<T>(check: () => T, expected: string): T {
  try {
    return check();
  } catch {
    throw new InvalidArgumentError(expected);
  }
}
