/**
 * Follows a task by server-sent events. A connection that breaks, or says nothing for three heartbeats, is opened again with the id of the
 * last event: nothing is missed and nothing told twice.
 */
import type { Clock } from "../clock.ts";
import { isTerminal, type TaskError, type TaskState } from "../model/task.ts";
import { type EventOptions, eventQuery, followEvents, type Message } from "./event-stream.ts";
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

export function taskEvents(
  requester: Requester,
  id: string,
  options: EventOptions,
  clock: Clock,
): AsyncGenerator<TaskEvent, void> {
  return followEvents(requester, `/v1/tasks/${encodeURIComponent(id)}/events${eventQuery(options)}`, options, clock, {
    read: readEvent,
    isLast: (event) => event.kind === "state" && isTerminal(event.state),
  });
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
