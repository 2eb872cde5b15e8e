/** The one way to turn whatever was thrown into something storable. */
import { inspect } from "node:util";

/** What is kept of a thrown value: at most 4 KiB of message and 8 KiB of stack in UTF-8, without U+0000. */
export type ErrorDescription = {
  /** Class or `name` of the error; for other values what they are: `string`, `null`, `Object`. */
  readonly type: string;
  readonly message: string;
  /** Our code, a system code (`ECONNREFUSED`) or an SQLSTATE; numbers are left out. */
  readonly code?: string;
  /** The stack, followed by those of up to three causes. */
  readonly stack?: string;
};

const MAX_NAME_BYTES = 200;
const MAX_MESSAGE_BYTES = 4_096;
const MAX_STACK_BYTES = 8_192;
const MAX_CAUSES = 3;

/**
 * Describes whatever was thrown, for rows, logs and answers. Never throws: handlers are other people's code, and they
 * may throw null, a string, an object whose getters throw or a revoked proxy.
 */
export function describeError(thrown: unknown): ErrorDescription {
  const code = read(thrown, "code");
  const stack = stackOf(thrown);
  return {
    type: bounded(typeOf(thrown), MAX_NAME_BYTES),
    message: bounded(messageOf(thrown), MAX_MESSAGE_BYTES),
    ...(typeof code === "string" && code !== "" && { code: bounded(code, MAX_NAME_BYTES) }),
    ...(stack !== undefined && { stack: bounded(stack, MAX_STACK_BYTES) }),
  };
}

function typeOf(thrown: unknown): string {
  if (thrown === null) return "null";
  if (typeof thrown !== "object" && typeof thrown !== "function") return typeof thrown;
  const constructorName = read(read(thrown, "constructor"), "name");
  const names = [read(thrown, "name"), constructorName];
  return names.find((name): name is string => typeof name === "string" && name !== "") ?? "unknown";
}

function messageOf(thrown: unknown): string {
  if (typeof thrown === "string") return thrown;
  const message = read(thrown, "message");
  if (typeof message === "string" && message !== "") return message;
  // A connection refused on both address families is an AggregateError with an empty message.
  const errors = read(thrown, "errors");
  const first = read(errors, "0");
  if (first !== undefined && first !== thrown) return `${shown(read(first, "message"))}`;
  return message === "" ? typeOf(thrown) : shown(thrown);
}

function stackOf(thrown: unknown): string | undefined {
  const stack = read(thrown, "stack");
  if (typeof stack !== "string") return undefined;
  const parts = [stack.slice(0, MAX_STACK_BYTES)];
  let cause = read(thrown, "cause");
  for (let depth = 0; depth < MAX_CAUSES && cause !== undefined && cause !== null; depth++) {
    const causeStack = read(cause, "stack");
    parts.push(`caused by: ${(typeof causeStack === "string" ? causeStack : shown(cause)).slice(0, MAX_STACK_BYTES)}`);
    cause = read(cause, "cause");
  }
  return parts.join("\n");
}

/** A property, or undefined where there is none or reading it throws. */
function read(value: unknown, property: string): unknown {
  if (value === null || (typeof value !== "object" && typeof value !== "function")) return undefined;
  try {
    // A record only in the sense that any property may be asked for; the answer stays unknown.
    return (value as Record<string, unknown>)[property];
  } catch {
    return undefined;
  }
}

/** A value that is no error, as one bounded line. Getters and custom inspection stay unused: they are foreign code. */
function shown(value: unknown): string {
  if (typeof value === "string") return value;
  try {
    return inspect(value, {
      depth: 2,
      maxArrayLength: 20,
      maxStringLength: MAX_MESSAGE_BYTES,
      breakLength: Number.POSITIVE_INFINITY,
      customInspect: false,
    });
  } catch {
    return "a value that cannot be described";
  }
}

/** Text columns refuse U+0000, and half a surrogate pair is not UTF-8: the first is escaped, the second replaced. */
function bounded(text: string, maxBytes: number): string {
  const clean = text.slice(0, maxBytes).replaceAll("\u0000", "\\u0000").toWellFormed();
  const bytes = Buffer.from(clean);
  if (bytes.length <= maxBytes && text.length <= maxBytes) return clean;
  const ellipsis = "…";
  let end = Math.min(bytes.length, maxBytes - Buffer.byteLength(ellipsis));
  // Bytes 10xxxxxx continue a character: step back to where the cut one starts.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString("utf8", 0, end) + ellipsis;
}
