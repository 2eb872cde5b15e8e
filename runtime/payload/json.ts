/**
 * Values of handlers and callers as JSON text. `JSON.stringify` alone would change some of them without a word: -0
 * becomes 0, NaN and what is undefined inside an array become null, a Map becomes {}. Here such a value either keeps
 * its meaning, so that `JSON.parse` gives an equal one, or is refused with the place where it stands. Browsers load it too.
 */
import { TaskiqError } from "../errors.ts";
import { nestsDeeperThan } from "../wire/json-text.ts";

/** Deeper values are refused: Postgres and many JSON parsers read by recursion, on stacks of a few thousand frames. */
export const MAX_JSON_DEPTH = 1_000;

export type EncodeOptions = {
  /** Longest text in characters, checked while it grows. Default 268,435,456, about half of what V8 can hold. */
  readonly maxChars?: number;
};

export type JsonTextCheck = { readonly ok: true } | { readonly ok: false; readonly reason: string };

const DEFAULT_MAX_CHARS = 268_435_456;
const MAX_PATH_CHARS = 200;
const FLAT_CHARS = 32_768;
const bytes = new TextEncoder();
const flat = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * JSON text of a value, for which `JSON.parse` gives an equal value.
 *
 * As with `JSON.stringify`, `toJSON` is called, own enumerable text keys count, and properties that are undefined, a
 * function or a symbol are left out; undefined itself becomes null. Throws `not_json`, with the path of the culprit,
 * for NaN and infinities, bigints, functions and symbols, undefined or holes in an array, cycles, more than 1,000
 * levels, invalid dates, and objects that would lose their content (Map, Set, Promise, Error, RegExp, binary data);
 * `payload_too_large` above `maxChars`.
 */
export function encodeJson(value: unknown, options: EncodeOptions = {}): string {
  if (value === undefined || value === null) return "null";
  const writer: Writer = {
    text: "",
    finished: [],
    finishedChars: 0,
    maxChars: options.maxChars ?? DEFAULT_MAX_CHARS,
    path: [],
    depth: 0,
    ancestors: null,
  };
  try {
    const found = replaced(writer, value, "");
    if (found === undefined) return "null";
    write(writer, found);
    return writer.finished.join("") + writer.text;
  } catch (error) {
    if (error instanceof TaskiqError) throw error;
    const message = error instanceof Error ? error.message : String(error);
    throw notJson(
      writer,
      `an error while reading it ("${message.slice(0, MAX_PATH_CHARS)}")`,
      "Return plain data.",
      error,
    );
  }
}

/**
 * Whether text from outside is JSON that can be stored and read back: valid, at most 1,000 levels deep, and without
 * halves of surrogate pairs, which UTF-8 cannot carry. Written as \u escapes they are fine.
 */
export function checkJsonText(text: string): JsonTextCheck {
  if (!text.isWellFormed()) return { ok: false, reason: "half of a surrogate pair is not valid text" };
  if (nestsDeeperThan(text, MAX_JSON_DEPTH))
    return { ok: false, reason: `nested more than ${MAX_JSON_DEPTH} levels deep` };
  try {
    JSON.parse(text);
    return { ok: true };
  } catch (error) {
    return { ok: false, reason: error instanceof Error ? error.message.slice(0, MAX_PATH_CHARS) : "not JSON" };
  }
}

type Writer = {
  /** What was written since `finished`. Text that grows by `+=` is a tree of its pieces, thirty bytes and more for each. */
  text: string;
  /** Flat text, joined in the end. */
  readonly finished: string[];
  finishedChars: number;
  readonly maxChars: number;
  /** The keys that lead to where the writer is; what stands from `depth` on is left over. */
  readonly path: (string | number)[];
  depth: number;
  /** The containers around it; null at the top, because most values have no second level. */
  ancestors: Set<object> | null;
};

function write(writer: Writer, value: unknown): void {
  switch (typeof value) {
    case "string":
      if (value.length > writer.maxChars) throw tooLarge(writer);
      writer.text += JSON.stringify(value);
      return;
    case "number":
      if (!Number.isFinite(value)) throw notJson(writer, String(value), "Use null or a string for it.");
      // As a number without fraction -0 would come back as 0 from every parser that reads integers.
      writer.text += Object.is(value, -0) ? "-0.0" : String(value);
      return;
    case "boolean":
      writer.text += value ? "true" : "false";
      return;
    case "object":
      if (value === null) writer.text += "null";
      else writeContainer(writer, value);
      return;
    case "bigint":
      throw notJson(writer, `the bigint ${value}`.slice(0, MAX_PATH_CHARS), "Convert it with String() or Number().");
    case "undefined":
      throw notJson(writer, "undefined in an array", "Use null, or leave the element out.");
    case "function":
      throw notJson(writer, "a function", "Return data.");
    case "symbol":
      throw notJson(writer, String(value).slice(0, MAX_PATH_CHARS), "Use its description.");
  }
}

function writeContainer(writer: Writer, value: object): void {
  if (writer.depth === MAX_JSON_DEPTH) {
    throw notJson(writer, `more than ${MAX_JSON_DEPTH} levels`, "Flatten the value, for example into a list of rows.");
  }
  if (writer.ancestors?.has(value)) throw notJson(writer, "an object that contains itself", "Refer to it by an id.");
  const isArray = Array.isArray(value);
  if (!isArray) refuseLossy(writer, value);
  writer.ancestors ??= new Set();
  writer.ancestors.add(value);
  const at = writer.depth++;
  if (isArray) writeArray(writer, value, at);
  else writeObject(writer, value, at);
  writer.depth--;
  writer.ancestors.delete(value);
}

/** Checks the bound, and makes the text flat from time to time. */
function settle(writer: Writer): void {
  if (writer.finishedChars + writer.text.length > writer.maxChars) throw tooLarge(writer);
  if (writer.text.length < FLAT_CHARS) return;
  writer.finished.push(flat.decode(bytes.encode(writer.text)));
  writer.finishedChars += writer.text.length;
  writer.text = "";
}

function writeArray(writer: Writer, array: readonly unknown[], at: number): void {
  writer.text += "[";
  for (let index = 0; index < array.length; index++) {
    if (index > 0) writer.text += ",";
    writer.path[at] = index;
    write(writer, replaced(writer, array[index], index));
    settle(writer);
  }
  writer.text += "]";
}

function writeObject(writer: Writer, object: object, at: number): void {
  let separator = "{";
  for (const key of Object.keys(object)) {
    writer.path[at] = key;
    // Own text keys of any object, whatever its class.
    const value = replaced(writer, (object as Record<string, unknown>)[key], key);
    if (value === undefined || typeof value === "function" || typeof value === "symbol") continue;
    writer.text += `${separator}${JSON.stringify(key)}:`;
    separator = ",";
    write(writer, value);
    settle(writer);
  }
  writer.text += separator === "{" ? "{}" : "}";
}

/** What stands for the value in JSON: what its `toJSON` says, and the primitive in a `new Number(1)`. */
function replaced(writer: Writer, value: unknown, key: string | number): unknown {
  if (value === null || (typeof value !== "object" && typeof value !== "function")) return value;
  let result: unknown = value;
  if ("toJSON" in value && typeof value.toJSON === "function") {
    // Its toJSON says null, so a lost date would only be noticed by whoever reads the result.
    if (value instanceof Date && Number.isNaN(value.getTime()))
      throw notJson(writer, "an invalid date", "Use null for it.");
    result = value.toJSON(String(key));
  }
  return unboxed(result);
}

/** By the tag that `Object.prototype.toString` gives: what reads the primitive, and throws where there is none. */
const BOXES = new Map<string, { valueOf(): unknown }>([
  ["[object Number]", Number.prototype],
  ["[object String]", String.prototype],
  ["[object Boolean]", Boolean.prototype],
  ["[object BigInt]", BigInt.prototype],
  ["[object Symbol]", Symbol.prototype],
]);

/** The primitive in a `new Number(1)`, also one of another realm. */
function unboxed(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return value;
  const box = BOXES.get(Object.prototype.toString.call(value));
  if (box === undefined) return value;
  try {
    return box.valueOf.call(value);
  } catch {
    // It only calls itself so.
    return value;
  }
}

/** By the tag that `Object.prototype.toString` gives, which also knows objects of other realms. */
const LOSSY = new Map<string, string>([
  ["Map", "Use Object.fromEntries(map) or [...map]."],
  ["Set", "Use [...set]."],
  ["WeakMap", "Return plain data."],
  ["WeakSet", "Return plain data."],
  ["Promise", "Await it."],
  ["Generator", "Use [...generator]."],
  ["AsyncGenerator", "Collect its values first."],
  ["Error", "Use its message."],
  ["RegExp", "Use its source."],
  ["ArrayBuffer", "Encode it, for example as base64."],
  ["SharedArrayBuffer", "Encode it, for example as base64."],
]);

function refuseLossy(writer: Writer, value: object): void {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return;
  const tag = Object.prototype.toString.call(value).slice("[object ".length, -1);
  const hint = ArrayBuffer.isView(value) ? "Encode it, for example as base64, or use Array.from()." : LOSSY.get(tag);
  if (hint !== undefined) throw notJson(writer, `an object of type ${tag}, whose content JSON would lose,`, hint);
}

function notJson(writer: Writer, got: string, hint: string, cause?: unknown): TaskiqError {
  const path = pathText(writer.path.slice(0, writer.depth));
  return new TaskiqError("not_json", `expected a value that JSON can hold, got ${got} at ${path}. ${hint}`, {
    details: { path },
    ...(cause === undefined ? {} : { cause }),
  });
}

function tooLarge(writer: Writer): TaskiqError {
  return new TaskiqError(
    "payload_too_large",
    `expected at most ${writer.maxChars} characters of JSON, got more. Return less, or store it yourself and return where.`,
  );
}

/** `$.rows[3].price`; of a long path the beginning and the end. */
function pathText(path: readonly (string | number)[]): string {
  const text = path.reduce<string>((before, key) => before + segment(key), "$");
  if (text.length <= MAX_PATH_CHARS) return text;
  const half = MAX_PATH_CHARS / 2;
  return `${text.slice(0, half)}…${text.slice(1 - half)}`;
}

function segment(key: string | number): string {
  if (typeof key === "number") return `[${key}]`;
  return /^[A-Za-z_$][\w$]{0,99}$/.test(key) ? `.${key}` : `[${JSON.stringify(key.slice(0, 100))}]`;
}
