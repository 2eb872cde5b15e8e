/**
 * What may leave the process in a log line or a message for people: no secrets, nothing unbounded, nothing that throws.
 * pino's own `redact` takes paths, but a secret may sit at any depth of what a handler logs, or inside the text of
 * a driver's error. So names are matched at every depth, and passwords are cut out of every URL.
 */
import { describeError } from "./describe-error.ts";

const SECRET_NAME = /authorization|cookie|passw|secret|credential|api[-_]?key|private[-_]?key|token$/i;
// scheme://user:password@ ; the lengths are bounded so that a long text cannot make the match slow.
const URL_PASSWORD = /\b([a-z][a-z0-9+.-]{0,19}:\/\/[^\s:/@"']{0,200}):[^\s/"']{0,2000}@/gi;

// An API key (access/key.ts), of which the id may be seen.
const API_KEY = /\b(tq_[a-z0-9-]{1,20}_[a-z2-9]{12}_)[A-Za-z0-9_-]{20,100}/g;

// password=… in connection strings and queries, as in the signed URLs of AWS.
const NAMED =
  /\b((?:password|passwd|pwd|secret|api[-_]?key|access[-_]?token|X-Amz-(?:Signature|Security-Token|Credential))=)(?:'[^']{0,2000}'|[^\s&;,"']{1,2000})/gi;

// What follows the scheme in a header, unless it is a key of ours, of which the id may be seen.
const AUTHORIZATION = /\b(Bearer|Basic) {1,4}(?!tq_[a-z0-9-]{1,20}_[a-z2-9]{12}_)[\w.~+/=-]{8,2000}/g;

// JSON.parse quotes what it was given, a few characters of it or all. It may be the input of a task.
const NOT_JSON = /(?:\.\.\.)?"[^\n]{0,100}"(?:\.\.\.)? is not valid JSON/g;

const HIDDEN = "[redacted]";
const MAX_DEPTH = 6;
const MAX_VALUES = 500;
const MAX_STRING_CHARACTERS = 8_192;
const MAX_TOTAL_CHARACTERS = 65_536;

/** The same text without the password of any URL or connection string in it, the secret of any API key, and what JSON.parse quotes. */
export function redactText(text: string): string {
  return text
    .replace(URL_PASSWORD, `$1:${HIDDEN}@`)
    .replace(API_KEY, `$1${HIDDEN}`)
    .replace(NAMED, `$1${HIDDEN}`)
    .replace(AUTHORIZATION, `$1 ${HIDDEN}`)
    .replace(NOT_JSON, `${HIDDEN} is not valid JSON`);
}

/**
 * A copy of `fields` that JSON.stringify takes: secrets replaced by name and inside URLs, errors described, bigints as
 * decimal text, at most 500 values, 6 levels and 64 Ki characters. Never throws.
 */
export function loggable(fields: object): Record<string, unknown> {
  const budget = { values: MAX_VALUES, characters: MAX_TOTAL_CHARACTERS };
  const copy = copyValue(fields, 0, budget);
  return isRecord(copy) ? copy : { value: copy };
}

type Budget = { values: number; characters: number };

function copyValue(value: unknown, depth: number, budget: Budget): unknown {
  budget.values--;
  switch (typeof value) {
    case "string":
      return copyText(value, budget);
    case "bigint":
      return copyText(value.toString(), budget);
    case "number":
      return Number.isFinite(value) ? value : String(value);
    case "boolean":
    case "undefined":
      return value;
    case "symbol":
    case "function":
      return `[${typeof value}]`;
    case "object":
      return value === null ? null : copyObject(value, depth, budget);
  }
}

function copyText(text: string, budget: Budget): string {
  const limit = Math.max(0, Math.min(MAX_STRING_CHARACTERS, budget.characters));
  // Redacted before it is cut: half a URL would no longer be recognised. The margin covers what the cut needs.
  const redacted = redactText(text.slice(0, limit + 2_500));
  budget.characters -= Math.min(redacted.length, limit);
  return text.length <= limit ? redacted : `${redacted.slice(0, limit)}…`;
}

function copyObject(value: object, depth: number, budget: Budget): unknown {
  try {
    if (value instanceof Error) return copyValue({ ...describeError(value) }, depth, budget);
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`;
    if (value instanceof URL) return copyText(value.href, budget);
    if (depth >= MAX_DEPTH) return Array.isArray(value) ? "[array]" : "[object]";
    return Array.isArray(value) ? copyArray(value, depth, budget) : copyRecord(value, depth, budget);
  } catch {
    return "[unreadable]";
  }
}

function copyArray(values: readonly unknown[], depth: number, budget: Budget): unknown[] {
  const copy: unknown[] = [];
  for (const value of values) {
    if (budget.values <= 0) {
      copy.push("…");
      break;
    }
    copy.push(copyValue(value, depth + 1, budget));
  }
  return copy;
}

function copyRecord(record: object, depth: number, budget: Budget): Record<string, unknown> {
  const copy: Record<string, unknown> = {};
  for (const name in record) {
    if (budget.values <= 0) {
      copy["…"] = true;
      break;
    }
    setOwn(copy, copyText(name, budget), copyProperty(record, name, depth, budget));
  }
  return copy;
}

function copyProperty(record: object, name: string, depth: number, budget: Budget): unknown {
  try {
    // Any property may be asked for; the answer stays unknown.
    const value = (record as Record<string, unknown>)[name];
    return SECRET_NAME.test(name) && value !== undefined && value !== null
      ? HIDDEN
      : copyValue(value, depth + 1, budget);
  } catch {
    return "[unreadable]";
  }
}

/** A key called `__proto__` would otherwise replace the prototype of the copy. */
function setOwn(copy: Record<string, unknown>, name: string, value: unknown): void {
  Object.defineProperty(copy, name, { value, enumerable: true, writable: true, configurable: true });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
