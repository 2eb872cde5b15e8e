/**
 * Follows a run by server-sent events. After a break the API tells the last seconds again, because some of what happened in them may have come to
 * light later; what has been told before is left out here, by its id.
 */
import type { Clock } from "../clock.ts";
import type { RunState, StepCounts } from "../model/run.ts";
import type { TaskError, TaskState } from "../model/task.ts";
import { type EventOptions, eventQuery, followEvents, type Message } from "./event-stream.ts";
import { jsonObject } from "./problem.ts";
import type { Requester } from "./request.ts";

export type RunEvent =
  | {
      /** A step or an element started, came to nothing in one attempt, or ended. */
      readonly kind: "step";
      /** Of this event: always the same. */
      readonly id: string;
      /** As in the graph; of an element `KEY[index]`. */
      readonly key: string;
      /** Null in a run of the mode `simple`, whose steps are no tasks. */
      readonly taskId: string | null;
      readonly task: string;
      readonly change: "start" | "attempt" | "end";
      /** After it. */
      readonly state: TaskState;
      readonly attempt: number;
      readonly at: Date;
      /** Of an attempt that came to nothing. */
      readonly outcome: "retried" | "lost" | "released" | null;
      readonly error: TaskError | null;
    }
  | {
      /** A running step has said more, or a mapped one has got its elements. */
      readonly kind: "progress";
      readonly key: string;
      readonly taskId: string;
      readonly attempt: number;
      /** From 0 to 1. */
      readonly progress: number | null;
      readonly message: string | null;
      /** How many a mapped step has. */
      readonly elements: number | null;
    }
  | {
      /** How the run is now; the last event of one that is over. */
      readonly kind: "run";
      readonly state: RunState;
      /** Of steps and elements. */
      readonly counts: StepCounts;
      readonly error: TaskError | null;
    };

/** How many ids are remembered: more than happen in the seconds that are told again. */
const MAX_REMEMBERED = 100_000;

export function runEvents(
  requester: Requester,
  id: string,
  options: EventOptions,
  clock: Clock,
): AsyncGenerator<RunEvent, void> {
  const told = new Set<string>();
  const read = (message: Message): RunEvent | undefined => {
    const event = readEvent(message);
    if (event?.kind !== "step") return event;
    if (told.has(event.id)) return undefined;
    told.add(event.id);
    if (told.size > MAX_REMEMBERED) forgetOldest(told);
    return event;
  };
  return followEvents(requester, `/v1/runs/${encodeURIComponent(id)}/events${eventQuery(options)}`, options, clock, {
    read,
    isLast: (event) => event.kind === "run" && event.state !== "running",
  });
}

function forgetOldest(told: Set<string>): void {
  for (const id of told) {
    told.delete(id);
    return;
  }
}

/** Undefined for comments, and for events that a newer API may send. */
function readEvent({ id, event, data }: Message): RunEvent | undefined {
  const body = jsonObject(data);
  if (body === undefined) return undefined;
  // As the API documents its events.
  const known = body as EventBody;
  switch (event) {
    case "step": {
      const { key, task_id: taskId, task, change, state, attempt, outcome, error } = known;
      return {
        kind: "step",
        id: id ?? "",
        key,
        taskId,
        task,
        change,
        state,
        attempt,
        at: new Date(known.at),
        outcome,
        error,
      };
    }
    case "progress": {
      const { key, task_id: taskId, attempt, progress, message, elements } = known;
      return { kind: "progress", key, taskId: taskId ?? "", attempt, progress, message, elements };
    }
    case "run": {
      const { state, counts, error } = known;
      return { kind: "run", state: state as RunState, counts, error };
    }
    default:
      return undefined;
  }
}

type EventBody = {
  key: string;
  task_id: string | null;
  task: string;
  change: "start" | "attempt" | "end";
  /** Of a run one of its own, which are states of tasks as well. */
  state: TaskState;
  attempt: number;
  at: string;
  outcome: "retried" | "lost" | "released" | null;
  error: TaskError | null;
  progress: number | null;
  message: string | null;
  elements: number | null;
  counts: StepCounts;
};
