/**
 * Follows server-sent events of the API. A connection that breaks, or says nothing for three heartbeats, is opened again with the id of the last
 * event that had one.
 */
import type { Clock } from "../clock.ts";
import { type ApiError, mayPass } from "./api-error.ts";
import { pause } from "./pause.ts";
import type { Requester } from "./request.ts";

export type EventOptions = {
  readonly signal?: AbortSignal;
  /** Hears that the API cannot be reached at the moment. */
  readonly onAway?: (error: unknown) => void;
  /** 200 to 5,000: how soon events of a task or a run have to come, which is how often the API looks. Default: as soon as can be. */
  readonly refreshMs?: number;
};

/** The query of a stream of events. */
export function eventQuery({ refreshMs }: EventOptions): string {
  return refreshMs === undefined ? "" : `?refresh_ms=${refreshMs}`;
}

/** One event. A comment, such as a heartbeat, is a message without data. */
export type Message = { readonly id: string | undefined; readonly event: string; readonly data: string };

/** Three heartbeats of the API. */
const SILENCE_MS = 45_000;
const PAUSE_MS = 1_000;
const MAX_AWAY_MS = 60_000;
const MAX_EVENT_CHARS = 1_048_576;

/**
 * The events of a stream, to the last one. Throws ApiError for a refusal, or what the API could not be reached with for a minute; or the reason of
 * `signal`.
 * @param read undefined: this message is no event  @param isLast nothing comes after it
 */
export async function* followEvents<Event>(
  requester: Requester,
  path: string,
  { signal, onAway }: EventOptions,
  clock: Clock,
  {
    read,
    isLast,
  }: { readonly read: (message: Message) => Event | undefined; readonly isLast: (event: Event) => boolean },
): AsyncGenerator<Event, void> {
  let lastId: string | undefined;
  let heardMs = clock.nowMs();
  for (;;) {
    try {
      const silence = new AbortController();
      const ended = signal === undefined ? silence.signal : AbortSignal.any([signal, silence.signal]);
      const headers = { accept: "text/event-stream", ...(lastId !== undefined && { "last-event-id": lastId }) };
      const response = await requester.open({ path, headers, signal: ended });
      // All of it was told before.
      if (response.status === 204) return;
      for await (const message of messages(response, silence, clock)) {
        heardMs = clock.nowMs();
        lastId = message.id ?? lastId;
        const event = read(message);
        if (event === undefined) continue;
        yield event;
        if (isLast(event)) return;
      }
    } catch (error) {
      if (signal?.aborted === true) throw signal.reason;
      if (!isPassing(error) || clock.nowMs() - heardMs > MAX_AWAY_MS) throw error;
      onAway?.(error);
    }
    await pause(PAUSE_MS * (0.5 + Math.random()), signal, clock);
  }
}

/** A stream that broke fails with an error of `fetch`; an answer that says no, with an ApiError. */
function isPassing(error: unknown): error is ApiError | Error {
  if (mayPass(error)) return true;
  return error instanceof Error && error.name !== "ApiError";
}

async function* messages(response: Response, silence: AbortController, clock: Clock): AsyncGenerator<Message> {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (reader === undefined) return;
  let text = "";
  try {
    for (;;) {
      const { done, value } = await withinSilence(reader.read(), silence, clock);
      if (done) return;
      text = `${text}${value}`.replaceAll("\r\n", "\n");
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      // Of one event: a reader that was busy gets several megabytes of them at once.
      if (text.length > MAX_EVENT_CHARS) throw new Error(`expected events of at most ${MAX_EVENT_CHARS} characters`);
      for (const block of blocks) yield messageOf(block);
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

async function withinSilence<T>(reading: Promise<T>, silence: AbortController, clock: Clock): Promise<T> {
  const heard = new AbortController();
  const limit = clock.after(SILENCE_MS, heard.signal).then(
    () => silence.abort(new Error(`nothing came for ${SILENCE_MS} ms`)),
    () => {},
  );
  try {
    return await reading;
  } finally {
    heard.abort();
    await limit;
  }
}

function messageOf(block: string): Message {
  const fields = new Map<string, string>();
  for (const line of block.split("\n")) {
    const at = line.indexOf(": ");
    if (at > 0) fields.set(line.slice(0, at), line.slice(at + 2));
  }
  return { id: fields.get("id"), event: fields.get("event") ?? "", data: fields.get("data") ?? "" };
}
