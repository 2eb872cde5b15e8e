/**
 * The task that a message of another producer asks for. TaskIQ's labels say how it is to be run; what they do not say, the definition does. A message
 * that names a task but cannot be it, because its arguments or labels do not fit, becomes a task that has failed: its producer waits for an
 * answer, and gets the reason.
 */

import { z } from "zod";
import type { Registry } from "../define/registry.ts";
import type { TaskDefinition } from "../define/task.ts";
import { TaskiqError } from "../errors.ts";
import type { AcceptOptions, QueueOptions } from "../model/queue.ts";
import { POLICY_LIMITS, PRIORITY_LIMITS, type TaskError, type TaskPolicy } from "../model/task.ts";
import type { PayloadStore } from "../payload/payload.ts";
import { traceContextOfLabels } from "../tracing/carrier.ts";
import { inputOfArguments } from "../wire/arguments.ts";
import { type Label, labelsText, labelTexts } from "../wire/label.ts";
import type { Decoded } from "../wire/message.ts";
import { mismatch } from "../wire/mismatch.ts";
import { wireIdOf } from "../wire/task-id.ts";
import type { ForeignTask } from "./adopt.ts";
import type { LimitBook } from "./limit-book.ts";

export type ForeignMessage = Extract<Decoded, { kind: "foreign" }>;

export type ForeignTaskReader = {
  /** Null: the queue does not accept this task. Throws `payload_unavailable`, and what the database throws. */
  read(message: ForeignMessage, group: string | null): Promise<ForeignTask | null>;
};

export type ForeignTaskParts = {
  readonly queue: string;
  readonly options: QueueOptions;
  readonly accepts: AcceptOptions;
  readonly registry: Registry;
  readonly limits: LimitBook;
  readonly payloads: PayloadStore;
  readonly inlinePayloadBytes: number;
  readonly maxPayloadBytes: number;
};

const SYSTEM = "taskiq.";
/** Keys of S3 have at most so many bytes. */
const MAX_KEY_BYTES = 1_024;

export function createForeignTaskReader(parts: ForeignTaskParts): ForeignTaskReader {
  const names = new Map<string, readonly string[] | null>();

  function membersOf(definition: TaskDefinition): readonly string[] | null {
    const known = names.get(definition.name);
    if (known !== undefined) return known;
    const found = inputMembers(definition);
    names.set(definition.name, found);
    return found;
  }

  return {
    async read({ id, wireId, message }, group) {
      const definition = parts.registry.get(message.taskName);
      if (definition === undefined || !isAccepted(definition, parts.accepts)) return null;
      const own = labelTexts(message.labels);
      const said = settingsOf(message.labels, definition);
      const input = inputOfArguments(definition.name, message, membersOf(definition));
      const text = input.kind === "input" ? input.text : null;
      let error = said.problem ?? (input.kind === "unfit" ? argumentsError(input.detail) : null);
      let limits: readonly { readonly key: string }[] = [];
      try {
        if (text !== null && Buffer.byteLength(text) > parts.maxPayloadBytes) throw tooLarge(parts.maxPayloadBytes);
        if (error === null) limits = await parts.limits.of(definition, parts.queue, parts.options, parsed(text));
      } catch (thrown) {
        if (!(thrown instanceof TaskiqError) || !OF_THE_CALL.has(thrown.code)) throw thrown;
        error = { code: thrown.code, type: thrown.name, message: thrown.message };
      }
      const isStored = error === null && text !== null && Buffer.byteLength(text) > parts.inlinePayloadBytes;
      return {
        id,
        wireId,
        name: definition.name,
        tenant: parts.accepts.tenant,
        priority: said.priority,
        labels: own,
        replyLabels: labelsText(message.labels),
        traceContext: traceContextOfLabels(own),
        // What cannot run keeps nothing: its arguments are in the message alone.
        inputText: error !== null || isStored ? null : text,
        inputRef: isStored ? await parts.payloads.put(id, text) : null,
        replyKey: replyKeyOf(parts.options, wireIdOf(id, wireId)),
        policy: said.policy,
        group: parts.options.type === "fifo" ? group : null,
        limits: limits.map(({ key }) => key),
        error,
      };
    },
  };
}

/** What is the call's own fault; everything else passes. */
const OF_THE_CALL: ReadonlySet<string> = new Set(["input_invalid", "payload_too_large"]);

function isAccepted({ name, policy }: TaskDefinition, { tasks }: AcceptOptions): boolean {
  // A program of the sender's choice is for callers with a scope of its own.
  if (name.startsWith(SYSTEM) || policy.isolation === "command") return false;
  return tasks === null || tasks.includes(name);
}

/** The names that arguments may have, in order; null: the input is no object, or one of any members. */
function inputMembers({ input }: TaskDefinition): readonly string[] | null {
  const { type, properties } = z.toJSONSchema(input, { io: "input", unrepresentable: "any" });
  return type === "object" && properties !== undefined ? Object.keys(properties) : null;
}

/** `timeout` in seconds, `max_retries` as the number of attempts, `priority`; and `retry_on_error`, false: one attempt. */
function settingsOf(
  labels: ReadonlyMap<string, Label>,
  { policy, priority }: TaskDefinition,
): { readonly policy: TaskPolicy; readonly priority: number; readonly problem: TaskError | null } {
  const [timeout, attempts, rank] = [labels.get("timeout"), labels.get("max_retries"), labels.get("priority")];
  const seconds = timeout === undefined ? null : numberOf(timeout);
  const most = attempts === undefined ? null : numberOf(attempts);
  const level = rank === undefined ? null : numberOf(rank);
  const problem =
    (seconds !== null && !(seconds > 0) && mismatch("label timeout", "seconds above 0", timeout?.value)) ||
    (most !== null && !Number.isInteger(most) && mismatch("label max_retries", "a whole number", attempts?.value)) ||
    (level !== null && !Number.isInteger(level) && mismatch("label priority", "a whole number", rank?.value));
  const once = String(labels.get("retry_on_error")?.value ?? "true").toLowerCase() === "false";
  return {
    policy: {
      ...policy,
      ...(seconds !== null &&
        seconds > 0 && { timeoutMs: within(Math.ceil(seconds * 1_000), POLICY_LIMITS.timeoutMs) }),
      ...(most !== null && Number.isInteger(most) && { maxAttempts: within(most, POLICY_LIMITS.maxAttempts) }),
      ...(once && { maxAttempts: 1 }),
    },
    priority: level === null || !Number.isInteger(level) ? priority : within(level, PRIORITY_LIMITS),
    problem: problem === false ? null : { code: "label_invalid", type: "ValueError", message: problem },
  };
}

function numberOf({ value }: Label): number {
  return typeof value === "string" && value.trim() === "" ? Number.NaN : Number(value);
}

function within(value: number, { min, max }: { readonly min: number; readonly max: number }): number {
  return Math.min(max, Math.max(min, value));
}

/** As Python names a call that does not fit. */
function argumentsError(message: string): TaskError {
  return { code: "arguments_invalid", type: "TypeError", message };
}

/** Under exactly the id that the producer chose. Null: nobody looks, or no object of this bucket can be called so. */
function replyKeyOf({ results }: QueueOptions, wireId: string): string | null {
  if (results === null) return null;
  const base = results.basePath.replace(/\/+$/, "");
  const key = base === "" ? wireId : `${base}/${wireId}`;
  return key.startsWith("v1/") || !key.isWellFormed() || Buffer.byteLength(key) > MAX_KEY_BYTES ? null : key;
}

function parsed(text: string | null): unknown {
  return text === null ? null : JSON.parse(text);
}

function tooLarge(maxBytes: number): TaskiqError {
  return new TaskiqError(
    "payload_too_large",
    `expected arguments of at most ${maxBytes} bytes. Store them in S3 and send their place.`,
  );
}
