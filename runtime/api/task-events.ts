/**
 * What happens to a task, as server-sent events. The id of an event is all that the listener has been told so far, so that any process of the
 * API can go on from it after a broken connection: nothing is remembered here.
 */
import { createHash } from "node:crypto";
import { isTerminal, TASK_STATES, type TaskState } from "../model/task.ts";
import { attemptText } from "./attempts.ts";
import { withoutStack } from "./task-view.ts";
import type { Sight } from "./watcher.ts";

/** What a listener has been told. */
export type Told = {
  readonly state: TaskState;
  readonly attempt: number;
  readonly cancelRequested: boolean;
  /** The last unsuccessful attempt. */
  readonly unsuccessful: number;
  /** A digest of the progress and its message; empty: none. */
  readonly progress: string;
};

export type Events = { readonly text: string; readonly told: Told; readonly over: boolean };

const EVENT_ID = /^([a-z]{6,9})\.(\d{1,9})\.([01])\.(\d{1,9})\.([0-9a-f]{8})?$/;

/** Undefined for an id that is none of ours: the listener is told everything. */
export function toldBy(eventId: string | undefined): Told | undefined {
  const match = EVENT_ID.exec(eventId ?? "");
  const state = TASK_STATES.find((one) => one === match?.[1]);
  if (match === null || state === undefined) return undefined;
  return {
    state,
    attempt: Number(match[2]),
    cancelRequested: match[3] === "1",
    unsuccessful: Number(match[4]),
    progress: match[5] ?? "",
  };
}

/** The events that lead from what was told to what is seen; an empty text where there are none. */
export function eventsBetween(before: Told | undefined, { row, attempts }: NonNullable<Sight>): Events {
  let told: Told = before ?? { state: "blocked", attempt: -1, cancelRequested: false, unsuccessful: 0, progress: "" };
  let text = "";
  const tell = (event: string, data: string, now: Partial<Told>): void => {
    told = { ...told, ...now };
    text += `id: ${eventIdOf(told)}\nevent: ${event}\ndata: ${data}\n\n`;
  };
  for (const attempt of attempts) {
    if (attempt.attempt <= told.unsuccessful) continue;
    tell("attempt", attemptText({ ...attempt, error: withoutStack(attempt.error) }), { unsuccessful: attempt.attempt });
  }
  const { state, attempt, cancel_requested: cancelRequested } = row;
  const tellState = (): void => {
    if (state === told.state && attempt === told.attempt && cancelRequested === told.cancelRequested) return;
    const { failures, losses, worker } = row;
    const data = { state, attempt, failures, losses, worker, cancel_requested: cancelRequested };
    // A new attempt starts without progress.
    const progress = attempt === told.attempt ? told.progress : "";
    tell("state", JSON.stringify(data), { state, attempt, cancelRequested, progress });
  };
  const over = isTerminal(state);
  // The state that ends a task is the last that is told of it.
  if (!over) tellState();
  const progress = progressOf(row.progress, row.progress_message);
  if (progress !== told.progress && progress !== "") {
    tell("progress", JSON.stringify({ attempt, progress: row.progress, message: row.progress_message }), { progress });
  }
  if (over) tellState();
  return { text, told, over };
}

function eventIdOf({ state, attempt, cancelRequested, unsuccessful, progress }: Told): string {
  return `${state}.${Math.max(attempt, 0)}.${cancelRequested ? 1 : 0}.${unsuccessful}.${progress}`;
}

function progressOf(progress: number | null, message: string | null): string {
  if (progress === null && message === null) return "";
  return createHash("sha256")
    .update(JSON.stringify([progress, message]))
    .digest("hex")
    .slice(0, 8);
}
