/**
 * TaskiqResult: what TaskIQ's result backends store and its clients read. A client that cannot read the object waits for
 * ever or raises the wrong thing, so this writes exactly the shape its own backend writes: all six members, compact,
 * `return_value` always there, `exc_message` an array (a plain string is refused).
 */
import { isJsonObject, memberTexts, nestsDeeperThan } from "./json-text.ts";
import { MAX_NESTING } from "./message.ts";
import { detail, mismatch } from "./mismatch.ts";
import { floatRepr } from "./python-number.ts";

/** An error in a result. The `TaskError` of a row is one; errors read from Python also carry `python`. */
type ResultError = {
  /** `timeout` is written as Python's own TimeoutError; other codes do not show. */
  readonly code?: string;
  readonly type: string;
  readonly message: string;
  /** What an exception of Python has beyond that, so that it can be written again as it was. */
  readonly python?: PythonException;
};

type PythonException = {
  readonly module: string | null;
  /** Exact JSON text of the array of the exception's arguments. */
  readonly argsText: string;
  readonly cause: ResultError | null;
  readonly context: ResultError | null;
  readonly suppressContext: boolean;
};

export type TaskResult = {
  readonly outcome: "succeeded" | "failed" | "cancelled";
  /** Exact JSON text of the value; null is written as JSON null. Read only for `succeeded`. */
  readonly resultText: string | null;
  /** Read only for `failed`. */
  readonly error: ResultError | null;
  /** Null where the task never ran. */
  readonly executionMs: number | null;
  /** Exact JSON text of the object of the task's labels; null for none. */
  readonly labels: string | null;
};

export type DecodedResult =
  /** `text` is the exact JSON text of the return value; `labels` that of the object of labels. */
  | { readonly kind: "value"; readonly text: string; readonly executionMs: number; readonly labels: string }
  | { readonly kind: "error"; readonly error: ResultError; readonly executionMs: number; readonly labels: string }
  /** `detail` is printable ASCII, at most 200 characters. */
  | { readonly kind: "unreadable"; readonly detail: string };

/**
 * The module our errors are said to come from. Python looks it up among the imported modules: a name found there that
 * is no exception makes the result unreadable. No Python module has this name, so the client makes a class of the
 * error's name, a subclass of Exception.
 */
const OUR_MODULE = "node.errors";
/** Chains of causes are followed this far, in both directions. */
const MAX_CHAIN = 16;

/**
 * The text of a TaskiqResult. `resultText` and `labels` are put in as they are; numbers keep their exact spelling.
 * A cancelled task is asyncio's CancelledError, as TaskIQ stores it, whatever an earlier attempt had failed with.
 */
export function encodeResult(result: TaskResult): string {
  const value = result.outcome === "succeeded" ? (result.resultText ?? "null") : "null";
  // TaskIQ rounds to 10 ms; a float always has a point.
  const seconds = floatRepr(Math.round((result.executionMs ?? 0) / 10) / 100);
  return (
    `{"is_err":${result.outcome !== "succeeded"},"log":null,"return_value":${value},"execution_time":${seconds},` +
    `"labels":${result.labels ?? "{}"},"error":${errorText(result)}}`
  );
}

/**
 * Reads a TaskiqResult, or what comes near one: where Python's client insists on a member that says nothing about the
 * outcome (`execution_time`, `exc_module`) or on its form (`exc_message`, `error` as plain text), this does not.
 * An error counts even beside `is_err: false`, since Python's client raises it. Never throws.
 */
export function decodeResult(text: string): DecodedResult {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    // JSON.parse throws nothing but errors.
    return unreadable(`expected a TaskiqResult, got no JSON: ${(error as Error).message}`);
  }
  if (!isJsonObject(parsed)) return unreadable(mismatch("body", "a TaskiqResult (a JSON object)", parsed));
  if (nestsDeeperThan(text, MAX_NESTING))
    return unreadable(`expected JSON nested at most ${MAX_NESTING} deep, got more`);
  const { is_err: isError, error } = parsed;
  if (typeof isError !== "boolean") return unreadable(mismatch("is_err", "true or false", isError));
  const members = memberTexts(text);
  const executionMs = millisecondsOf(parsed.execution_time);
  const labels = isJsonObject(parsed.labels) ? (members.get("labels") ?? "{}") : "{}";
  const errorMember = members.get("error");
  if (error !== undefined && error !== null && errorMember !== undefined) {
    const read = readError(error, errorMember, MAX_CHAIN);
    return read === null
      ? unreadable(mismatch("error", "an exception with exc_type and exc_message, or text", error))
      : { kind: "error", error: read, executionMs, labels };
  }
  if (isError) {
    const message = "the result says is_err, but has no error";
    return { kind: "error", error: { type: "Error", message }, executionMs, labels };
  }
  const value = members.get("return_value");
  if (value === undefined) return unreadable(mismatch("return_value", "a value", undefined));
  return { kind: "value", text: value, executionMs, labels };
}

function errorText({ outcome, error }: TaskResult): string {
  switch (outcome) {
    case "succeeded":
      return "null";
    case "cancelled":
      return exceptionText("CancelledError", "[]", "asyncio.exceptions");
    case "failed":
      // Without an error the client of Python would take the failure for a success.
      return anyErrorText(error ?? { type: "Error", message: "the task failed without saying why" });
  }
}

function anyErrorText(error: ResultError): string {
  const { python } = error;
  if (python !== undefined) {
    return exceptionText(
      error.type,
      python.argsText,
      python.module,
      python.cause,
      python.context,
      python.suppressContext,
    );
  }
  if (error.code === "timeout") return exceptionText("TimeoutError", "[]", "builtins");
  // U+0000 in the name of a class and half a surrogate pair anywhere are errors in the client.
  const type = error.type.replaceAll("\0", "").toWellFormed();
  return exceptionText(type, JSON.stringify([error.message.toWellFormed()]), OUR_MODULE);
}

function exceptionText(
  type: string,
  argsText: string,
  module: string | null,
  cause: ResultError | null = null,
  context: ResultError | null = null,
  suppressContext = false,
): string {
  return (
    `{"exc_type":${JSON.stringify(type)},"exc_message":${argsText},"exc_module":${JSON.stringify(module)},` +
    `"exc_cause":${cause === null ? "null" : anyErrorText(cause)},` +
    `"exc_context":${context === null ? "null" : anyErrorText(context)},"exc_suppress_context":${suppressContext}}`
  );
}

/** Null for what cannot be an error. `text` is the exact text of `error`. */
function readError(error: unknown, text: string, chain: number): ResultError | null {
  if (typeof error === "string") return { type: "Error", message: error };
  if (!isJsonObject(error) || typeof error.exc_type !== "string") return null;
  const members = memberTexts(text);
  const args: unknown = error.exc_message;
  if (typeof args === "string") return { type: error.exc_type, message: args };
  const argsText = members.get("exc_message");
  if (!Array.isArray(args) || argsText === undefined) return null;
  const linked = (name: string): ResultError | null =>
    chain === 0 || !isJsonObject(error[name]) ? null : readError(error[name], members.get(name) ?? "", chain - 1);
  return {
    type: error.exc_type,
    message: messageOf(args, argsText),
    python: {
      module: typeof error.exc_module === "string" ? error.exc_module : null,
      argsText,
      cause: linked("exc_cause"),
      context: linked("exc_context"),
      suppressContext: error.exc_suppress_context === true,
    },
  };
}

/** As `str(exception)`: the one argument, nothing, or all of them. */
function messageOf(args: readonly unknown[], argsText: string): string {
  if (args.length === 0) return "";
  return args.length === 1 && typeof args[0] === "string" ? args[0] : argsText;
}

/** Seconds as a number, or as text, which Python's client takes as well. */
function millisecondsOf(seconds: unknown): number {
  const milliseconds = typeof seconds === "number" || typeof seconds === "string" ? Number(seconds) * 1_000 : 0;
  return Number.isFinite(milliseconds) ? Math.round(milliseconds) : 0;
}

function unreadable(sentence: string): DecodedResult {
  return { kind: "unreadable", detail: detail(sentence) };
}
