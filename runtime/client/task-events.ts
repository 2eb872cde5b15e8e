/**
 * Follows a task by server-sent events. A connection that breaks, or says nothing for three heartbeats, is opened again with the id of the
 * last event: nothing is missed and nothing told twice.
 */
import type { Clock } from "../clock.ts";
import { isTerminal, type TaskError, type TaskState } from "../model/task.ts";
import { type ApiError, mayPass } from "./api-error.ts";
import { pause } from "./pause.ts";
import { jsonObject } from "./problem.ts";
import type { Requester } from "./request.ts";

export type TaskEvent =
  | {
      readonly kind: "state";
      readonly state: TaskState;
      readonly attempt: number;
      readonly failures: number;
      readonly losses: number;
      readonly worker: string | null;
      readonly cancelRequested: boolean;
    }
  | {
      readonly kind: "progress";
      readonly attempt: number;
      /** From 0 to 1. */
      readonly progress: number | null;
      readonly message: string | null;
    }
  | {
      /** An attempt that came to nothing. */
      readonly kind: "attempt";
      readonly attempt: number;
      readonly outcome: "failed" | "retried" | "lost" | "released" | "cancelled";
      readonly worker: string | null;
      readonly error: TaskError | null;
      readonly startedAt: Date | null;
      readonly endedAt: Date;
    };

export type EventOptions = {
  readonly signal?: AbortSignal;
  /** Hears that the API cannot be reached at the moment. */
  readonly onAway?: (error: unknown) => void;
};

/** Three heartbeats of the API. */
const SILENCE_MS = 45_000;
const PAUSE_MS = 1_000;
const MAX_AWAY_MS = 60_000;
const MAX_EVENT_CHARS = 1_048_576;

export async function* taskEvents(
  requester: Requester,
  id: string,
  { signal, onAway }: EventOptions,
  clock: Clock,
): AsyncGenerator<TaskEvent, void> {
  const path = `/v1/tasks/${encodeURIComponent(id)}/events`;
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
        const event = readEvent(message);
        if (event === undefined) continue;
        yield event;
        if (event.kind === "state" && isTerminal(event.state)) return;
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

type Message = { readonly id: string | undefined; readonly event: string; readonly data: string };

async function* messages(response: Response, silence: AbortController, clock: Clock): AsyncGenerator<Message> {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (reader === undefined) return;
  let text = "";
  try {
    for (;;) {
      const { done, value } = await withinSilence(reader.read(), silence, clock);
      if (done) return;
      text = `${text}${value}`.replaceAll("\r\n", "\n");
      if (text.length > MAX_EVENT_CHARS) throw new Error(`expected events of at most ${MAX_EVENT_CHARS} characters`);
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
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

/** A comment, such as a heartbeat, is a message without data. */
function messageOf(block: string): Message {
  const fields = new Map<string, string>();
  for (const line of block.split("\n")) {
    const at = line.indexOf(": ");
    if (at > 0) fields.set(line.slice(0, at), line.slice(at + 2));
  }
  return { id: fields.get("id"), event: fields.get("event") ?? "", data: fields.get("data") ?? "" };
}

/** Undefined for comments, and for events that a newer API may send. */
function readEvent({ event, data }: Message): TaskEvent | undefined {
  const body = jsonObject(data);
  if (body === undefined) return undefined;
  // As the API documents its events.
  const known = body as EventBody;
  switch (event) {
    case "state": {
      const { state, attempt, failures, losses, worker, cancel_requested: cancelRequested } = known;
      return { kind: "state", state, attempt, failures, losses, worker, cancelRequested };
    }
    case "progress": {
      const { attempt, progress, message } = known;
      return { kind: "progress", attempt, progress, message };
    }
    case "attempt": {
      const { attempt, outcome, worker, error, started_at: startedAt, ended_at: endedAt } = known;
      return {
        kind: "attempt",
        attempt,
        outcome,
        worker,
        error,
        startedAt: startedAt === null ? null : new Date(startedAt),
        endedAt: new Date(endedAt),
      };
    }
    default:
      return undefined;
  }
}

type EventBody = {
  state: TaskState;
  attempt: number;
  failures: number;
  losses: number;
  worker: string | null;
  cancel_requested: boolean;
  progress: number | null;
  message: string | null;
  outcome: "failed" | "retried" | "lost" | "released" | "cancelled";
  error: TaskError | null;
  started_at: string | null;
  ended_at: string;
};
