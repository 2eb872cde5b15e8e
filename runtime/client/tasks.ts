/** Looking at many tasks, and telling one or many what to do. Everything here may be repeated, and is where an answer was lost. */
import type { Clock } from "../clock.ts";
import { isTerminal, type TaskState } from "../model/task.ts";
import { ApiError } from "./api-error.ts";
import type { EventOptions } from "./event-stream.ts";
import { jsonObject } from "./problem.ts";
import type { Requester } from "./request.ts";
import { readSummary, type Task, type TaskSummary } from "./task.ts";
import { type TaskEvent, taskEvents } from "./task-events.ts";

export type TaskFilter = {
  readonly states?: readonly TaskState[];
  readonly task?: string;
  readonly queue?: string;
  /** At most 10; all have to match. A name has no `=`. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Accepted at this time or later. */
  readonly createdAfter?: Date;
  /** Accepted earlier than this. */
  readonly createdBefore?: Date;
};

export type TaskPage = {
  readonly tasks: readonly TaskSummary[];
  /** Where the next page starts; null: this was the last one. A page may be empty and not the last. */
  readonly nextCursor: string | null;
};

export type PageOptions = {
  /** 1 to 200. Default 50. */
  readonly limit?: number;
  readonly cursor?: string;
  readonly signal?: AbortSignal;
};

export type BulkCount = {
  /** How many match, up to 1,000,000. */
  readonly matched: number;
  /** The time they were counted for. */
  readonly asOf: Date;
};

export type BulkOptions = BulkCount & {
  readonly signal?: AbortSignal;
  /** Hears how many are left. */
  readonly onProgress?: (remaining: number) => void;
};

export type BulkOutcome = {
  /** How many were cancelled, or queued again. */
  readonly changed: number;
  /** Of a cancellation: how many run, and are being stopped. */
  readonly stopping: number;
  /** How many ended, or were changed by somebody else, before they were reached. */
  readonly unchanged: number;
};

export type Tasks = {
  /** One page, newest first. */
  list(filter?: TaskFilter, options?: PageOptions): Promise<TaskPage>;
  /** All tasks that match, newest first. Tasks that are submitted meanwhile are not among them. */
  iterate(filter?: TaskFilter, options?: { readonly signal?: AbortSignal }): AsyncGenerator<TaskSummary, void>;
  /**
   * What happens to a task, from how it is now to its end. Goes on by itself after a broken connection, with nothing told twice.
   * Throws ApiError `task_not_found`, or what the API could not be reached with for a minute; or the reason of `signal`.
   */
  events(id: string, options?: EventOptions): AsyncGenerator<TaskEvent, void>;
  /**
   * Resolves with `cancelled`, or `running` while the worker is stopping it. One that is cancelled already is not an error.
   * Throws ApiError `task_finished` when it ended otherwise, `task_not_found`.
   */
  cancel(id: string, options?: { readonly reason?: string }): Promise<{ readonly state: TaskState }>;
  /**
   * Queues a failed or cancelled task again and resolves with its state. One that waits or runs already is not an error.
   * Throws ApiError `task_finished` when it succeeded or was skipped, `task_not_found`.
   */
  retry(id: string): Promise<{ readonly state: TaskState }>;
  /** How many blocked, queued and running tasks a cancellation would be for. */
  countCancellable(filter: TaskFilter): Promise<BulkCount>;
  /** How many failed tasks (where `states` says so, cancelled ones) a retry would be for. */
  countRetryable(filter: TaskFilter): Promise<BulkCount>;
  /**
   * Cancels what was counted, with the same filter; what came later is left alone.
   * Throws ApiError `count_changed` when more match by now than were counted.
   */
  cancelMany(filter: TaskFilter, options: BulkOptions & { readonly reason?: string }): Promise<BulkOutcome>;
  /** Queues what was counted again, with the same filter; what ended later is left alone. Throws as `cancelMany`. */
  retryMany(filter: TaskFilter, options: BulkOptions): Promise<BulkOutcome>;
};

export type TasksParts = {
  readonly requester: Requester;
  readonly clock: Clock;
  readonly get: (id: string) => Promise<Task>;
  /** Throws the error of an answer that this API cannot have given. */
  readonly refuse: (text: string) => never;
};

const PAGE = 200;
/** One request changes ten thousand tasks. */
const BULK_MS = 50_000;

export function createTasks({ requester, clock, get, refuse }: TasksParts): Tasks {
  async function list(filter: TaskFilter = {}, { limit, cursor, signal }: PageOptions = {}): Promise<TaskPage> {
    const query = queryOf(filter);
    if (limit !== undefined) query.append("limit", String(limit));
    if (cursor !== undefined) query.append("cursor", cursor);
    const text = await requester.send({ method: "GET", path: `/v1/tasks?${query}`, signal });
    const page = jsonObject(text);
    if (!Array.isArray(page?.tasks)) return refuse(text);
    const nextCursor = typeof page.next_cursor === "string" ? page.next_cursor : null;
    return { tasks: page.tasks.map((task) => readSummary(task) ?? refuse(text)), nextCursor };
  }

  async function post(path: string, body: object, heldMs = 0, signal?: AbortSignal) {
    const text = await requester.send({ method: "POST", path, body: JSON.stringify(body), heldMs, signal });
    return { text, answer: jsonObject(text) ?? refuse(text) };
  }

  /** Where the state of the task is what was wanted, whoever brought it about, a refusal is none. */
  async function tell(id: string, verb: string, body: object, isWanted: (state: TaskState) => boolean) {
    try {
      const { text, answer } = await post(`/v1/tasks/${encodeURIComponent(id)}/${verb}`, body);
      // A state, as the API documents it.
      return typeof answer.state === "string" ? { state: answer.state as TaskState } : refuse(text);
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== "task_finished") throw error;
      const { state } = await get(id);
      if (isWanted(state)) return { state };
      throw error;
    }
  }

  async function count(path: string, filter: TaskFilter): Promise<BulkCount> {
    const { text, answer } = await post(path, { filter: bodyOf(filter) });
    const { matched, as_of: asOf } = answer;
    if (typeof matched !== "number" || typeof asOf !== "string") return refuse(text);
    return { matched, asOf: new Date(asOf) };
  }

  async function change(path: string, filter: TaskFilter, options: BulkOptions, more: object): Promise<BulkOutcome> {
    const { matched, asOf, signal, onProgress } = options;
    const body = { filter: bodyOf(filter), confirm: matched, as_of: asOf, ...more };
    const sum = { changed: 0, stopping: 0, unchanged: 0 };
    for (;;) {
      const { text, answer } = await post(path, body, BULK_MS, signal);
      const { changed, stopping, unchanged, remaining } = answer;
      if ([changed, stopping, unchanged, remaining].some((one) => typeof one !== "number")) return refuse(text);
      sum.changed += Number(changed);
      sum.stopping += Number(stopping);
      sum.unchanged += Number(unchanged);
      onProgress?.(Number(remaining));
      if (remaining === 0) return sum;
    }
  }

  return {
    list,
    async *iterate(filter, { signal } = {}) {
      for (let cursor: string | null | undefined; cursor !== null; ) {
        const options = {
          limit: PAGE,
          ...(cursor !== undefined && { cursor }),
          ...(signal !== undefined && { signal }),
        };
        const page = await list(filter, options);
        yield* page.tasks;
        cursor = page.nextCursor;
      }
    },
    events: (id, options = {}) => taskEvents(requester, id, options, clock),
    cancel: (id, body = {}) => tell(id, "cancel", body, (state) => state === "cancelled"),
    retry: (id) => tell(id, "retry", {}, (state) => !isTerminal(state)),
    countCancellable: (filter) => count("/v1/tasks/cancel", filter),
    countRetryable: (filter) => count("/v1/tasks/retry", filter),
    cancelMany: (filter, { reason, ...options }) =>
      change("/v1/tasks/cancel", filter, options, reason === undefined ? {} : { reason }),
    retryMany: (filter, options) => change("/v1/tasks/retry", filter, options, {}),
  };
}

function queryOf(filter: TaskFilter): URLSearchParams {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(bodyOf(filter))) {
    for (const one of [value].flat()) if (one !== undefined) query.append(name, one);
  }
  return query;
}

function bodyOf({ states, task, queue, labels, createdAfter, createdBefore }: TaskFilter) {
  return {
    state: states === undefined ? undefined : [...states],
    task,
    queue,
    label: labels === undefined ? undefined : Object.entries(labels).map(([name, value]) => `${name}=${value}`),
    created_after: createdAfter?.toISOString(),
    created_before: createdBefore?.toISOString(),
  };
}
