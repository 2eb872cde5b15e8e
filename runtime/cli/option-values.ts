/** Reads the values of options. Each parser throws what commander shows beside the option's name: what was expected. */
import { InvalidArgumentError } from "commander";
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

function unlessRefused<T>(check: () => T, expected: string): T {
  try {
    return check();
  } catch {
    throw new InvalidArgumentError(expected);
  }
}
