/** What a caller may say about a task to be submitted, and how the API reads it. */
import type { z } from "zod";
import type { PolicyOverrides } from "../model/task.ts";
import { encodeJson } from "../payload/json.ts";

/** A definition, as `defineTask` returns it: the input is then typed by its schema. */
export type TaskReference<Schema extends z.ZodType> = { readonly name: string; readonly input: Schema };

export type TaskSettings = {
  /** A configured queue. Default: the one of the task's definition. */
  readonly queue?: string;
  /** -100..100, higher starts earlier. Default: that of the definition. */
  readonly priority?: number;
  /** 0..31,536,000,000 ms (a year) until it may start. Default 0. */
  readonly delayMs?: number;
  /** The earliest start, instead of `delayMs`, as far away as that may be; one in the past is now. */
  readonly notBefore?: Date;
  /** At most 50; names to 200 characters, values to 1,000. Names that start with `taskiq_aws` are reserved. */
  readonly labels?: Readonly<Record<string, string>>;
  /** What is said otherwise for this task than its definition says; bounds as there. */
  readonly policy?: PolicyOverrides;
};

/** JSON text that is sent as it is: it may hold numbers that JavaScript would round. */
export class JsonText {
  readonly text: string;

  /** Throws a SyntaxError unless `text` is JSON. */
  constructor(text: string) {
    JSON.parse(text);
    this.text = text;
  }
}

/**
 * One task as the API takes it, as JSON text. Without an input (undefined) the task gets none.
 * Throws TaskiqError `not_json` for an input that JSON cannot carry.
 */
export function taskRequestJson(task: string, input: unknown, settings: TaskSettings): string {
  const { queue, priority, delayMs, notBefore, labels, policy } = settings;
  const members = {
    task: JSON.stringify(task),
    input: inputJson(input),
    queue: JSON.stringify(queue),
    priority: JSON.stringify(priority),
    delay_seconds: delayMs === undefined ? undefined : JSON.stringify(delayMs / 1_000),
    not_before: JSON.stringify(notBefore),
    labels: JSON.stringify(labels),
    policy: policy === undefined ? undefined : policyJson(policy),
  };
  const present = Object.entries(members).filter(([, json]) => json !== undefined);
  return `{${present.map(([name, json]) => `"${name}":${json}`).join(",")}}`;
}

function policyJson({
  timeoutMs,
  graceMs,
  maxAttempts,
  backoffMs,
  maxBackoffMs,
  maxLosses,
  onLost,
}: PolicyOverrides): string {
  return JSON.stringify({
    timeout_ms: timeoutMs,
    grace_ms: graceMs,
    max_attempts: maxAttempts,
    backoff_ms: backoffMs,
    max_backoff_ms: maxBackoffMs,
    max_losses: maxLosses,
    on_lost: onLost,
  });
}

/** The text of an input; undefined where there is none. Throws TaskiqError `not_json`. */
export function inputJson(input: unknown): string | undefined {
  if (input === undefined) return undefined;
  return input instanceof JsonText ? input.text : encodeJson(input);
}
