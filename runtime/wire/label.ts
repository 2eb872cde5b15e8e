/**
 * Labels: TaskIQ sends each as text, with a code in `labels_types` that says what it was. A requeue in Python sends
 * them again as native JSON under the same codes, so a reader takes both (wire reference: TaskIQ `LabelType`).
 *
 * A label keeps its exact JSON text beside the parsed value: sending a message again must not change what it says.
 */
import { mismatch } from "./mismatch.ts";
import { exactInt, floatRepr, pythonFloat, pythonInt } from "./python-number.ts";

/** TaskIQ's `LabelType`. ANY is everything else; its text is Python's `str(value)` and is left as it is. */
const LABEL_CODES = { ANY: 1, INT: 2, STR: 3, FLOAT: 4, BOOL: 5, BYTES: 6 } as const;
type LabelCode = (typeof LABEL_CODES)[keyof typeof LABEL_CODES];

/** An integer beyond 2^53 - 1 is a bigint; arrays and objects are what `JSON.parse` gives. */
export type LabelValue = string | number | bigint | boolean | null | Uint8Array | object;

export type Label = {
  /** Its entry in `labels_types`; null where it has none, and the value is then what the JSON says. */
  readonly code: LabelCode | null;
  /** What code reads: parsed by the code. */
  readonly value: LabelValue;
  /** Exact JSON text on the wire. */
  readonly text: string;
};

export type ParsedLabel = { kind: "label"; label: Label } | { kind: "unreadable"; detail: string };

const CODES: ReadonlySet<number> = new Set(Object.values(LABEL_CODES));

/**
 * A label for sending, as Python's `prepare_label` writes it. A safe integer is INT and any other number FLOAT, since
 * JavaScript does not tell 5.0 from 5. Arrays and objects go as native JSON under ANY, which Python takes as they are
 * (Python itself would send their `repr`, which nothing can read back).
 */
export function encodeLabel(value: LabelValue): Label {
  const wire = wireForm(value);
  return { code: wire.code, value, text: JSON.stringify(wire.value) };
}

/**
 * A label as received. `text` is the exact JSON text of the value; `code` its entry in `labels_types`, null for none.
 * Unreadable is what makes Python refuse the message: an unknown code, or a value that does not fit its code.
 */
export function parseLabel(name: string, text: string, code: number | null): ParsedLabel {
  const native = nativeValue(text);
  if (code === null) return { kind: "label", label: { code, value: native, text } };
  const where = `label ${name}`;
  if (!isLabelCode(code)) {
    return { kind: "unreadable", detail: mismatch(where, "a code from 1 to 6 in labels_types", code) };
  }
  const value = parseAs(code, native, text);
  if (value === undefined) return { kind: "unreadable", detail: mismatch(where, EXPECTED[code], native) };
  return { kind: "label", label: { code, value, text } };
}

/**
 * The parsed labels as one JSON object, as a TaskiqResult carries them: numbers and booleans are native, bytes are
 * their UTF-8 text, infinities and NaN are null. Numbers keep their exact text.
 */
export function labelsText(labels: ReadonlyMap<string, Label>): string {
  const members = Array.from(labels, ([name, label]) => `${JSON.stringify(name)}:${valueText(label)}`);
  return `{${members.join(",")}}`;
}

/** The labels as texts, as a handler sees them: bytes in base64, what is no text as its JSON. */
export function labelTexts(labels: ReadonlyMap<string, Label>): Record<string, string> {
  const texts: Record<string, string> = {};
  for (const [name, { value, text }] of labels) {
    const shown =
      value instanceof Uint8Array
        ? Buffer.from(value).toString("base64")
        : typeof value === "object"
          ? text
          : String(value);
    // Not by assignment, which leaves out the name __proto__ without a word.
    Object.defineProperty(texts, name, { value: shown, enumerable: true, configurable: true, writable: true });
  }
  return texts;
}

const EXPECTED: Record<LabelCode, string> = {
  1: "any value",
  2: 'an int (as text: "7")',
  3: "text",
  4: 'a float (as text: "0.5")',
  5: '"True" or "False"',
  6: "padded base64 text",
};

function isLabelCode(code: number): code is LabelCode {
  return CODES.has(code);
}

function wireForm(value: LabelValue): { code: LabelCode; value: string | object } {
  switch (typeof value) {
    case "string":
      return { code: LABEL_CODES.STR, value };
    case "boolean":
      return { code: LABEL_CODES.BOOL, value: value ? "True" : "False" };
    case "bigint":
      return { code: LABEL_CODES.INT, value: String(value) };
    case "number":
      return Number.isSafeInteger(value) && !Object.is(value, -0)
        ? { code: LABEL_CODES.INT, value: String(value) }
        : { code: LABEL_CODES.FLOAT, value: floatRepr(value) };
    default:
      if (value === null) return { code: LABEL_CODES.ANY, value: "None" };
      if (value instanceof Uint8Array) {
        return { code: LABEL_CODES.BYTES, value: Buffer.from(value).toString("base64") };
      }
      return { code: LABEL_CODES.ANY, value };
  }
}

/** The JSON value; integers beyond 2^53 - 1 as bigint instead of rounded. */
function nativeValue(text: string): LabelValue {
  if (/^-?\d+$/.test(text)) return pythonInt(text) ?? Number(text);
  // A member of valid JSON, so this parses, and gives one of the types named.
  return JSON.parse(text) as LabelValue;
}

/** Undefined where Python raises. */
function parseAs(code: LabelCode, native: LabelValue, text: string): LabelValue | undefined {
  switch (code) {
    case LABEL_CODES.ANY:
      return native;
    case LABEL_CODES.INT:
      return asInt(native);
    case LABEL_CODES.STR:
      return asText(native, text);
    case LABEL_CODES.FLOAT:
      return asFloat(native);
    case LABEL_CODES.BOOL:
      return native === true || (typeof native === "string" && native.toLowerCase() === "true");
    case LABEL_CODES.BYTES:
      return typeof native === "string" ? asBytes(native) : undefined;
  }
}

function asInt(native: LabelValue): number | bigint | undefined {
  if (typeof native === "string") return pythonInt(native) ?? undefined;
  if (typeof native === "boolean") return native ? 1 : 0;
  if (typeof native === "bigint") return native;
  if (typeof native !== "number" || !Number.isFinite(native)) return undefined;
  // int(7.9) is 7 in Python, and int(1e22) is exact.
  return exactInt(BigInt(Math.trunc(native)));
}

function asFloat(native: LabelValue): number | undefined {
  if (typeof native === "string") return pythonFloat(native) ?? undefined;
  if (typeof native === "boolean") return native ? 1 : 0;
  if (typeof native === "number") return native;
  // float(10**400) raises OverflowError, where float("1e400") is infinity.
  if (typeof native === "bigint" && Number.isFinite(Number(native))) return Number(native);
  return undefined;
}

/** `str(value)`; an array or object keeps its JSON text, where Python would make its `repr` of it. */
function asText(native: LabelValue, text: string): string {
  if (typeof native === "string") return native;
  if (typeof native === "boolean") return native ? "True" : "False";
  if (native === null) return "None";
  if (typeof native === "number") return /[.eE]/.test(text) ? floatRepr(native) : String(native);
  return typeof native === "bigint" ? String(native) : text;
}

/**
 * `base64.b64decode(text)` without validation: characters outside the alphabet are skipped (so the URL-safe `-` and `_`
 * vanish), what follows a complete padding is ignored, missing padding is an error, and so is text beyond ASCII.
 */
function asBytes(text: string): Uint8Array | undefined {
  if (/[^\0-\x7f]/.test(text)) return undefined;
  let data = "";
  for (const [, characters = "", padding = ""] of text.replace(/[^A-Za-z0-9+/=]/g, "").matchAll(/([^=]*)(=*)/g)) {
    data += characters;
    const rest = data.length % 4;
    if (rest >= 2 && rest + padding.length >= 4) return Buffer.from(data, "base64");
  }
  return data.length % 4 === 0 ? Buffer.from(data, "base64") : undefined;
}

function valueText(label: Label): string {
  const { code, value, text } = label;
  if (code === null || code === LABEL_CODES.ANY) return text;
  if (value instanceof Uint8Array) return JSON.stringify(Buffer.from(value).toString("utf8"));
  if (typeof value === "bigint") return String(value);
  if (code !== LABEL_CODES.FLOAT || typeof value !== "number") return JSON.stringify(value);
  return Number.isFinite(value) ? floatRepr(value) : "null";
}
