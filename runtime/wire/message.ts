/**
 * The body of an SQS message. Every message is a TaskIQ message, so that Python producers and workers can share queues
 * with us; most are doorbells, which carry no arguments and say only "this task may be runnable".
 *
 * Reading never throws and is generous as TaskIQ's own reader is (unknown members are ignored, labels may be text or
 * native), because a message that is called unreadable ends in the dead-letter queue. Arguments stay text: Python
 * tells 1 from 1.0 and has integers of any size, and a JSON value read into JavaScript has lost both.
 */
import { asciiJson, isJsonObject, type JsonObject, memberTexts, nestsDeeperThan } from "./json-text.ts";
import { type Label, parseLabel } from "./label.ts";
import { detail, mismatch } from "./mismatch.ts";
import { taskIdOf } from "./task-id.ts";

export type TaskiqMessage = {
  /** The id on the wire: any text, usually 32 hex digits. */
  readonly taskId: string;
  readonly taskName: string;
  /** A Map, because a producer may call a label `__proto__`. */
  readonly labels: ReadonlyMap<string, Label>;
  /** Exact JSON text of the array of positional arguments. */
  readonly argsText: string;
  /** Exact JSON text of the object of named arguments. */
  readonly kwargsText: string;
};

type UnreadableReason =
  /** The body is not JSON; nothing more is known of it. */
  | "not_json"
  /** JSON, but not a TaskIQ message: a member is missing or has another type. */
  | "not_a_task"
  /** A label's code is unknown, or its value does not fit the code. */
  | "bad_label"
  /** Nested more than `MAX_NESTING` deep. */
  | "too_deep";

export type Decoded =
  /** Ours. `id` is the row's uuid, as in the other kinds. */
  | { readonly kind: "doorbell"; readonly id: string }
  /** Another producer's task. `wireId` is for the column of that name (see `taskIdOf`). */
  | { readonly kind: "foreign"; readonly id: string; readonly wireId: string | null; readonly message: TaskiqMessage }
  /** `id` is given where a task id can be read all the same: a message whose id has a row is never poison. */
  | {
      readonly kind: "unreadable";
      readonly reason: UnreadableReason;
      /** What was expected and what came: printable ASCII, at most 200 characters. */
      readonly detail: string;
      readonly id: string | null;
    };

/** Python can neither write nor read JSON nested deeper (its recursion limit), and code that walks a value recurses. */
export const MAX_NESTING = 1_000;

/** The label that marks our doorbells. */
const DOORBELL_LABEL = "taskiq_aws";
const DOORBELL = "doorbell";

/** A TaskIQ message of compact ASCII JSON. A label without code gets no entry in `labels_types`. */
export function encodeMessage(message: TaskiqMessage): string {
  const labels: string[] = [];
  const types: string[] = [];
  for (const [name, label] of message.labels) {
    const key = JSON.stringify(name);
    labels.push(`${key}:${label.text}`);
    if (label.code !== null) types.push(`${key}:${label.code}`);
  }
  return asciiJson(
    `{"task_id":${JSON.stringify(message.taskId)},"task_name":${JSON.stringify(message.taskName)},` +
      `"labels":{${labels.join(",")}},"labels_types":{${types.join(",")}},` +
      `"args":${message.argsText},"kwargs":${message.kwargsText}}`,
  );
}

/** The doorbell of a task, in ASCII. `taskId` is the row's uuid, lower-case and dashed. */
export function encodeDoorbell({ taskId, taskName }: { taskId: string; taskName: string }): string {
  return (
    `{"task_id":"${taskId.replaceAll("-", "")}","task_name":${asciiJson(JSON.stringify(taskName))},` +
    `"labels":{"${DOORBELL_LABEL}":"${DOORBELL}"},"labels_types":{"${DOORBELL_LABEL}":3},"args":[],"kwargs":{}}`
  );
}

/** Reads any text whatever; never throws. */
export function decodeMessage(body: string): Decoded {
  const parsed = parse(body);
  if (parsed.kind === "unreadable") return parsed;
  const fields = parsed.fields;
  const { task_id: taskId, task_name: taskName, labels, args, kwargs } = fields;
  if (typeof taskId !== "string") return notATask(null, "task_id", "a string", taskId);
  const { id, wireId } = taskIdOf(taskId);
  if (typeof taskName !== "string") return notATask(id, "task_name", "a string", taskName);
  if (!isJsonObject(labels)) return notATask(id, "labels", "an object", labels);
  if (!Array.isArray(args)) return notATask(id, "args", "an array", args);
  if (!isJsonObject(kwargs)) return notATask(id, "kwargs", "an object", kwargs);
  if (labels[DOORBELL_LABEL] === DOORBELL && args.length === 0 && isEmpty(kwargs)) return { kind: "doorbell", id };

  if (nestsDeeperThan(body, MAX_NESTING)) {
    return unreadable("too_deep", `expected JSON nested at most ${MAX_NESTING} deep, got more`, id);
  }
  const codes = labelCodes(fields.labels_types);
  if (codes.kind === "unreadable") return unreadable(codes.reason, codes.detail, id);
  // Every member read above is in the text; an empty default would hide a lost argument.
  const texts = memberTexts(body);
  const parsedLabels = new Map<string, Label>();
  for (const [name, text] of memberTexts(texts.get("labels")!)) {
    const label = parseLabel(name, text, codes.codes.get(name) ?? null);
    if (label.kind === "unreadable") return unreadable("bad_label", label.detail, id);
    parsedLabels.set(name, label.label);
  }
  const argsText = texts.get("args")!;
  const kwargsText = texts.get("kwargs")!;
  return { kind: "foreign", id, wireId, message: { taskId, taskName, labels: parsedLabels, argsText, kwargsText } };
}

type Unreadable = Extract<Decoded, { kind: "unreadable" }>;

function parse(body: string): { kind: "object"; fields: JsonObject } | Unreadable {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (error) {
    // JSON.parse throws nothing but errors, whose message quotes a few characters of the text.
    return unreadable("not_json", `expected a TaskIQ message, got no JSON: ${(error as Error).message}`, null);
  }
  if (!isJsonObject(value)) return notATask(null, "body", "a TaskIQ message (a JSON object)", value);
  return { kind: "object", fields: value };
}

/** `labels_types` by pydantic's rules for `dict[str, int] | None`: whole floats, booleans and digits in text are ints. */
function labelCodes(
  types: unknown,
): { kind: "codes"; codes: Map<string, number> } | { kind: "unreadable"; reason: UnreadableReason; detail: string } {
  const codes = new Map<string, number>();
  if (types === undefined || types === null) return { kind: "codes", codes };
  if (!isJsonObject(types)) {
    return { kind: "unreadable", reason: "not_a_task", detail: mismatch("labels_types", "an object or null", types) };
  }
  for (const [name, value] of Object.entries(types)) {
    const code = codeOf(value);
    if (code === null) {
      return { kind: "unreadable", reason: "bad_label", detail: mismatch(`labels_types.${name}`, "an int", value) };
    }
    codes.set(name, code);
  }
  return { kind: "codes", codes };
}

function codeOf(value: unknown): number | null {
  if (typeof value === "boolean") return value ? 1 : 0;
  if (typeof value === "number") return Number.isInteger(value) ? value : null;
  if (typeof value !== "string" || !/^\s*[+-]?\d+(\.0*)?\s*$/.test(value)) return null;
  return Number(value);
}

function notATask(id: string | null, where: string, expected: string, got: unknown): Unreadable {
  return unreadable("not_a_task", mismatch(where, expected, got), id);
}

function unreadable(reason: UnreadableReason, sentence: string, id: string | null): Unreadable {
  return { kind: "unreadable", reason, detail: detail(sentence), id };
}

function isEmpty(object: JsonObject): boolean {
  for (const _name in object) return false;
  return true;
}
