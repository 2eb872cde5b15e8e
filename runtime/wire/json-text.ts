/**
 * JSON as text, for values that must pass through unchanged: `JSON.parse` turns `1.0` into `1`, `-0` into `0` and
 * rounds integers beyond 2^53. A reviver would show the source text, but it recurses: 5,000 brackets end in a
 * RangeError. So the text is cut where its members begin and end, in one pass and without recursion.
 */

/** What `JSON.parse` gives for an object. */
export type JsonObject = { readonly [name: string]: unknown };

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The exact text of every member of a JSON object. Of a repeated name the last value counts, as in `JSON.parse` and in
 * Python. `text` must be one JSON object that `JSON.parse` accepts; nothing is checked again.
 */
export function memberTexts(text: string): Map<string, string> {
  const members = new Map<string, string>();
  let at = afterBlanks(text, afterBlanks(text, 0) + 1);
  while (text.charCodeAt(at) === QUOTE) {
    const nameEnd = afterString(text, at);
    // A member's name is a JSON string, so parsing gives a string.
    const name = JSON.parse(text.slice(at, nameEnd)) as string;
    const valueStart = afterBlanks(text, afterBlanks(text, nameEnd) + 1);
    const valueEnd = afterValue(text, valueStart);
    members.set(name, text.slice(valueStart, valueEnd));
    at = afterBlanks(text, valueEnd);
    if (text.charCodeAt(at) === COMMA) at = afterBlanks(text, at + 1);
  }
  return members;
}

/** The exact text of every element of a JSON array, under the same conditions. */
export function elementTexts(text: string): string[] {
  const elements: string[] = [];
  let at = afterBlanks(text, afterBlanks(text, 0) + 1);
  while (at < text.length && text.charCodeAt(at) !== CLOSE_BRACKET) {
    const end = afterValue(text, at);
    elements.push(text.slice(at, end));
    at = afterBlanks(text, end);
    if (text.charCodeAt(at) === COMMA) at = afterBlanks(text, at + 1);
  }
  return elements;
}

/** Whether arrays and objects stand in each other more than `limit` deep. `text` must be valid JSON. */
export function nestsDeeperThan(text: string, limit: number): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === QUOTE) at = afterString(text, at) - 1;
    else if (unit === OPEN_BRACE || unit === OPEN_BRACKET) {
      if (++depth > limit) return true;
    } else if (unit === CLOSE_BRACE || unit === CLOSE_BRACKET) depth--;
  }
  return false;
}

/**
 * The same JSON in characters U+0000 to U+007E only; everything above is written as \uXXXX. In valid JSON such
 * characters stand in strings alone, so the value is the same. SQS refuses U+FFFE and U+FFFF, and some emulators
 * refuse what lies beyond U+FFFF.
 */
export function asciiJson(json: string): string {
  return json.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function afterBlanks(text: string, from: number): number {
  let at = from;
  while (isBlank(text.charCodeAt(at))) at++;
  return at;
}

function isBlank(unit: number): boolean {
  return unit === 0x20 || unit === 0x0a || unit === 0x0d || unit === 0x09;
}

/** `from` is at the opening quote. */
function afterString(text: string, from: number): number {
  let at = from + 1;
  while (at < text.length && text.charCodeAt(at) !== QUOTE) at += text.charCodeAt(at) === BACKSLASH ? 2 : 1;
  return at + 1;
}

function afterValue(text: string, from: number): number {
  const first = text.charCodeAt(from);
  if (first === QUOTE) return afterString(text, from);
  if (first === OPEN_BRACE || first === OPEN_BRACKET) return afterContainer(text, from);
  let at = from;
  while (at < text.length && !endsScalar(text.charCodeAt(at))) at++;
  return at;
}

function endsScalar(unit: number): boolean {
  return unit === COMMA || unit === CLOSE_BRACE || unit === CLOSE_BRACKET || isBlank(unit);
}

function afterContainer(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === QUOTE) at = afterString(text, at) - 1;
    else if (unit === OPEN_BRACE || unit === OPEN_BRACKET) depth++;
    else if (unit === CLOSE_BRACE || unit === CLOSE_BRACKET) {
      if (--depth === 0) return at + 1;
    }
  }
  return text.length;
}
