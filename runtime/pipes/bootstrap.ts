/**
 * How a process is told about its Pipes session: two values, each `base64(zlib(JSON))`, one says where the context is, the other where messages go.
 *
 * In the environment or on the command line they come from whoever started this process. As labels of a task they come from whoever may submit tasks: a
 * file or bucket that they name is used only where the handler's author allows it (`PipesPlaces`).
 */
import { inflateSync } from "node:zlib";
import { z } from "zod";
import { TaskiqError } from "../errors.ts";

export type PipesSource = {
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  readonly argv?: readonly string[] | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
};

export type ContextPlace = z.output<typeof CONTEXT_PLACE>;
export type MessagesPlace = z.output<typeof MESSAGES_PLACE>;
export type Bootstrap = {
  readonly context: ContextPlace;
  readonly messages: MessagesPlace;
  /** From labels: not to be trusted with places of its choice. */
  readonly isForeign: boolean;
};

const NAMES = {
  context: { env: "DAGSTER_PIPES_CONTEXT", argument: "--dagster-pipes-context", label: "dagster/pipes_context" },
  messages: { env: "DAGSTER_PIPES_MESSAGES", argument: "--dagster-pipes-messages", label: "dagster/pipes_messages" },
} as const;
const MAX_JSON_BYTES = 16 * 1_048_576;

const CONTEXT_PLACE = z.union([
  z.object({ data: z.record(z.string(), z.unknown()) }),
  z.object({ path: z.string().min(1) }),
  z.object({ bucket: z.string().min(1), key: z.string().min(1) }),
]);
const STREAM = z.enum(["stdout", "stderr"]);
const STDIO_TOO = { include_stdio_in_messages: z.boolean().optional() };
const MESSAGES_PLACE = z.union([
  z.object({ path: z.string().min(1), ...STDIO_TOO }),
  z.object({ stdio: STREAM }),
  z.object({ buffered_stdio: STREAM }),
  z.object({ bucket: z.string().min(1), key_prefix: z.string(), ...STDIO_TOO }),
]);

/** Null where Dagster has not started this. Throws TaskiqError `pipes_invalid` for values that cannot be read. */
export function readBootstrap(source: PipesSource): Bootstrap | null {
  const context = find("context", source);
  if (context === undefined) return null;
  const messages = find("messages", source);
  if (messages === undefined) throw invalid(`expected ${NAMES.messages.env} beside ${NAMES.context.env}, got none.`);
  return {
    context: parse(CONTEXT_PLACE, context.text, NAMES.context.env),
    messages: parse(MESSAGES_PLACE, messages.text, NAMES.messages.env),
    isForeign: context.isForeign || messages.isForeign,
  };
}

function find(which: keyof typeof NAMES, { env, argv, labels }: PipesSource) {
  const { env: variable, argument, label } = NAMES[which];
  const at = argv?.indexOf(argument) ?? -1;
  const own = env?.[variable] ?? (at === -1 ? undefined : argv?.[at + 1]);
  if (own !== undefined) return { text: own, isForeign: false };
  const given = labels?.[label];
  return given === undefined ? undefined : { text: given, isForeign: true };
}

function parse<T>(shape: z.ZodType<T>, text: string, name: string): T {
  let value: unknown;
  try {
    value = JSON.parse(inflateSync(Buffer.from(text, "base64"), { maxOutputLength: MAX_JSON_BYTES }).toString("utf8"));
  } catch (cause) {
    throw invalid(
      `${name}: expected base64 of a zlib stream of JSON, got ${JSON.stringify(text.slice(0, 40))}…`,
      cause,
    );
  }
  const read = shape.safeParse(value);
  if (read.success) return read.data;
  throw invalid(
    `${name}: expected a place as dagster-pipes 1.13 writes it, got ${JSON.stringify(value).slice(0, 200)}.`,
  );
}

export function invalid(message: string, cause?: unknown): TaskiqError {
  return new TaskiqError("pipes_invalid", message, cause === undefined ? undefined : { cause });
}
