/**
 * Where the lines of a session go: a file, a standard stream, or objects in S3.
 *
 * The S3 reader takes one object every ten seconds, and after the step's end gives up on all but about ten. So an object is written at most as often as it
 * reads, and holds everything since the one before. Their numbers start at 1 and have no gap: the reader would wait at it for ever.
 */
import { createWriteStream } from "node:fs";
import { open } from "node:fs/promises";
import type { Writable } from "node:stream";
import type { Clock } from "../clock.ts";
import type { MessagesPlace } from "./bootstrap.ts";

export type PipesChannel = {
  /** Takes a line. What goes wrong is thrown by `close`. */
  write(line: string): void;
  /** Resolves when everything has been handed over. */
  close(): Promise<void>;
};

/** S3 as a session needs it. */
export type PipesObjects = {
  read(bucket: string, key: string): Promise<string>;
  write(bucket: string, key: string, text: string): Promise<void>;
};

export type ChannelParts = {
  readonly objects: () => Promise<PipesObjects>;
  readonly stream: (name: "stdout" | "stderr") => Writable;
  readonly clock: Clock;
  /** Between two objects. */
  readonly intervalMs: number;
};

export async function openChannel(place: MessagesPlace, parts: ChannelParts): Promise<PipesChannel> {
  if ("path" in place) return await fileChannel(place.path);
  if ("stdio" in place) return streamChannel(parts.stream(place.stdio), false);
  if ("buffered_stdio" in place) return streamChannel(parts.stream(place.buffered_stdio), true);
  return objectChannel(place.bucket, place.key_prefix, await parts.objects(), parts);
}

/** The reader follows the file; it must exist. */
async function fileChannel(path: string): Promise<PipesChannel> {
  const file = await open(path, "a");
  const stream = createWriteStream(path, { fd: file, encoding: "utf8" });
  let failure: Error | undefined;
  stream.on("error", (error) => {
    failure ??= error;
  });
  return {
    write: (line) => void stream.write(`${line}\n`),
    async close() {
      await new Promise<void>((resolve) => {
        stream.once("close", resolve);
        stream.end();
      });
      if (failure !== undefined) throw failure;
    },
  };
}

function streamChannel(stream: Writable, buffered: boolean): PipesChannel {
  const kept: string[] = [];
  const flush = () =>
    new Promise<void>((resolve, reject) => {
      const text = kept.splice(0).join("");
      stream.write(text, (error) => (error ? reject(error) : resolve()));
    });
  return {
    write(line) {
      if (buffered) kept.push(`${line}\n`);
      else stream.write(`${line}\n`);
    },
    close: flush,
  };
}

function objectChannel(bucket: string, prefix: string, objects: PipesObjects, parts: ChannelParts): PipesChannel {
  let waiting: string[] = [];
  let index = 1;
  let failure: { readonly error: unknown } | undefined;
  const closing = new AbortController();

  async function flush(): Promise<void> {
    const lines = waiting;
    if (lines.length === 0 || failure !== undefined) return;
    waiting = [];
    try {
      const name = `${index}.json`;
      await objects.write(bucket, prefix === "" ? name : `${prefix}/${name}`, lines.join("\n"));
      index++;
    } catch (error) {
      failure = { error };
    }
  }

  const flushing = (async () => {
    while (!closing.signal.aborted) {
      // Aborted by `close`, which flushes what is left.
      await parts.clock.after(parts.intervalMs, closing.signal).catch(() => {});
      await flush();
    }
  })();
  return {
    write: (line) => void waiting.push(line),
    async close() {
      closing.abort();
      await flushing;
      await flush();
      if (failure !== undefined) throw failure.error;
    },
  };
}
