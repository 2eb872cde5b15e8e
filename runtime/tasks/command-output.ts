/** What a command writes: its end is kept, bounded; a tail of it stands in the result or the error, and the rest in the payload store. */

import type { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { TaskiqError } from "../errors.ts";

export type Captured = {
  /** Everything that was written. */
  readonly bytes: number;
  /** The last of it, at most so many bytes, as text: what is not UTF-8 becomes U+FFFD. */
  last(maxBytes: number): string;
  /** Resolves when the stream has ended, or after so long, which closes it. */
  ended(withinMs: number): Promise<void>;
};

export const TAIL_BYTES = 16_384;
const TAIL_IN_ERROR_BYTES = 2_000;

/** Reads a stream for ever and keeps its last `maxBytes`, or a tail where that is more. */
export function capture(stream: Readable | null, maxBytes: number): Captured {
  const limit = Math.max(maxBytes, TAIL_BYTES);
  let chunks: Buffer[] = [];
  let kept = 0;
  let bytes = 0;
  const over = new Promise<void>((resolve) => {
    if (stream === null) return resolve();
    stream.once("close", resolve);
    stream.on("error", () => {});
    stream.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      kept += chunk.length;
      chunks.push(chunk);
      // Joined now and then only: a copy for each chunk would cost the square of what is written.
      if (kept > 2 * limit) {
        chunks = [Buffer.concat(chunks).subarray(-limit)];
        kept = limit;
      }
    });
  });
  return {
    get bytes() {
      return bytes;
    },
    last(maxBytes) {
      if (maxBytes === 0) return "";
      const all = Buffer.concat(chunks);
      return textFrom(all, Math.max(0, all.length - Math.min(maxBytes, limit)));
    },
    async ended(withinMs) {
      const waiting = new AbortController();
      await Promise.race([over, delay(withinMs, undefined, { signal: waiting.signal }).catch(() => {})]);
      waiting.abort();
      stream?.destroy();
    },
  };
}

/** `truncated`: there was more before it. */
export function tailOf(output: Captured): { tail: string; bytes: number; truncated: boolean } {
  return { tail: output.last(TAIL_BYTES), bytes: output.bytes, truncated: output.bytes > TAIL_BYTES };
}

/**
 * Stores what was kept when the tails are not all of it, and returns the reference.
 * As JSON it may be too large for the store: then less of it is kept, from the end.
 */
export async function storedOutput(
  stdout: Captured,
  stderr: Captured,
  { store }: { store(value: unknown): Promise<string> },
): Promise<string | null> {
  if (stdout.bytes <= TAIL_BYTES && stderr.bytes <= TAIL_BYTES) return null;
  for (let bytes = Math.max(stdout.bytes, stderr.bytes); ; bytes = Math.floor(bytes / 2)) {
    try {
      return await store({ stdout: stdout.last(bytes), stderr: stderr.last(bytes) });
    } catch (error) {
      if (bytes <= TAIL_BYTES || !(error instanceof TaskiqError) || error.code !== "payload_too_large") throw error;
    }
  }
}

/** For an error: what people look for is on standard error, or else where all the rest is. */
export function describeOutput(stdout: Captured, stderr: Captured, ref: string | null): string {
  const [name, stream] = stderr.bytes > 0 ? (["stderr", stderr] as const) : (["stdout", stdout] as const);
  const kept = ref === null ? "" : `All of its output: ${ref}. `;
  return stream.bytes === 0
    ? "It wrote nothing."
    : `${kept}The end of ${name}: ${stream.last(TAIL_IN_ERROR_BYTES).trim()}`;
}

/** Not from the middle of a character. */
function textFrom(bytes: Buffer, from: number): string {
  let start = from;
  // Bytes 10xxxxxx continue a character.
  while (start > 0 && start < from + 3 && ((bytes[start] ?? 0) & 0xc0) === 0x80) start++;
  return bytes.toString("utf8", start);
}
