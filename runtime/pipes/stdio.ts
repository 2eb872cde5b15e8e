/** What this process writes while a session is open, kept beside where it goes: sent after the end where the session asks for it. */
import type { Writable } from "node:stream";

export type StdioTap = {
  /** Stops listening; what was written, by stream. */
  end(): { readonly stdout: string; readonly stderr: string };
};

/** The last of it: a session is no log store. */
const MAX_KEPT_CHARS = 1_048_576;

export function tapStdio(streams: { readonly stdout: Writable; readonly stderr: Writable }): StdioTap {
  const stdout = tap(streams.stdout);
  const stderr = tap(streams.stderr);
  return { end: () => ({ stdout: stdout(), stderr: stderr() }) };
}

function tap(stream: Writable): () => string {
  const write = stream.write;
  let kept = "";
  // The overloads of `write` differ in what follows the chunk, which is handed on as it came.
  stream.write = ((chunk: string | Uint8Array, ...rest: unknown[]) => {
    kept += typeof chunk === "string" ? chunk : Buffer.from(chunk).toString("utf8");
    if (kept.length > 2 * MAX_KEPT_CHARS) kept = kept.slice(-MAX_KEPT_CHARS);
    return Reflect.apply(write, stream, [chunk, ...rest]) as boolean;
  }) as typeof stream.write;
  return () => {
    stream.write = write;
    return kept.slice(-MAX_KEPT_CHARS);
  };
}
