/**
 * What SQS refuses, known before it is asked: some of these make it refuse a whole batch, and one bad message must not
 * keep the others from being sent.
 */
import type { Outgoing, SendOutcome } from "./queue.ts";

/** AWS quota for one message and for one batch: body, attribute names, types and values in UTF-8. */
export const MAX_MESSAGE_BYTES = 1_048_576;
export const MAX_BATCH_ENTRIES = 10;
/** Longer delays are the outbox's: it sends when the message is due. */
export const MAX_DELAY_MS = 900_000;

/** Bytes that count towards the quota. */
export function messageBytes(message: Outgoing): number {
  let bytes = Buffer.byteLength(message.body);
  for (const [name, value] of Object.entries(message.attributes ?? {})) {
    bytes += Buffer.byteLength(name) + "String".length + Buffer.byteLength(value);
  }
  return bytes;
}

/** The outcome of a message that need not be sent because it cannot be, or null. */
export function refusalOf(message: Outgoing, bytes: number): SendOutcome | null {
  if (bytes > MAX_MESSAGE_BYTES) {
    return {
      kind: "failed",
      code: "message_too_large",
      message: `expected at most ${MAX_MESSAGE_BYTES} bytes of body and attributes, got ${bytes}. Keep large values in S3.`,
      senderFault: true,
    };
  }
  const delayMs = message.delayMs ?? 0;
  if (delayMs > MAX_DELAY_MS) {
    return {
      kind: "failed",
      code: "delay_too_long",
      message: `expected a delay of at most ${MAX_DELAY_MS} ms, got ${delayMs}. Send the message when it is nearly due.`,
      senderFault: true,
    };
  }
  return null;
}
