/** One attempt as a message for a worker of TaskIQ, and where in the payload bucket its result will be. */
import { v5 as uuidv5 } from "uuid";
import type { ClaimedTask } from "../flow/claim.ts";
import type { Outgoing } from "../queue/queue.ts";
import { traceHeadersOf } from "../tracing/carrier.ts";
import { encodeLabel, type Label } from "../wire/label.ts";
import { encodeMessage } from "../wire/message.ts";

/** Larger messages go by S3: queues of before August 2025 take 262,144 bytes. */
export const MAX_MESSAGE_CHARS = 200_000;

/** Each attempt has an id of its own: the result of one that was given up cannot be taken for that of a later one. */
export function wireIdOfAttempt({ id, attempt }: Pick<ClaimedTask, "id" | "attempt">): string {
  return uuidv5(String(attempt), id).replaceAll("-", "");
}

export function resultKeyOf(basePath: string, wireId: string): string {
  return `${trimmed(basePath)}/${wireId}`;
}

/** Beside the results, so that whoever lists these does not find it. */
export function extendedKeyOf(basePath: string, wireId: string): string {
  return `${trimmed(basePath)}-extended/${wireId}.json`;
}

/** The body of the message. `inputText` is exact JSON text. */
export function callOf(task: ClaimedTask, inputText: string | null): string {
  const labels = new Map<string, Label>(Object.entries(task.labels).map(([name, value]) => [name, encodeLabel(value)]));
  // Python's worker stops the function by itself then.
  labels.set("timeout", encodeLabel(task.policy.timeoutMs / 1_000));
  for (const [name, value] of Object.entries(traceHeadersOf(task.traceContext))) labels.set(name, encodeLabel(value));
  const isNamed = inputText?.trimStart().startsWith("{") === true;
  return encodeMessage({
    taskId: wireIdOfAttempt(task),
    taskName: task.name,
    labels,
    argsText: inputText === null || isNamed ? "[]" : `[${inputText}]`,
    kwargsText: isNamed && inputText !== null ? inputText : "{}",
  });
}

/** The message that says where in S3 the message is, as taskiq-aio-sqs reads it. */
export function pointerTo(bucket: string, key: string): Outgoing {
  return { body: JSON.stringify({ s3_bucket: bucket, s3_key: key }), attributes: { s3_extended_message: "True" } };
}

function trimmed(basePath: string): string {
  return basePath.replace(/\/+$/, "");
}
