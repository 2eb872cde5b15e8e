/** What a handler can know and say while it runs. */
import type { PipesReports } from "../pipes/session.ts";

export type Context = {
  readonly taskId: string;
  readonly task: string;
  readonly queue: string;
  readonly tenant: string;
  /** Claims so far, this one included; from 1. Never reset. */
  readonly attempt: number;
  /** Failures of earlier attempts; what the retry policy counts. */
  readonly failures: number;
  readonly labels: Readonly<Record<string, string>>;
  /** The same for every attempt of this task: hand it to services that deduplicate by key. */
  readonly idempotencyKey: string;
  /** A W3C `traceparent`, for services that the handler calls: the trace goes on there. Null where nobody traces this task. */
  readonly traceparent: string | null;
  /** Aborted with one of `AbortReason` as its reason; code that ignores it is left behind after the grace time. */
  readonly signal: AbortSignal;
  readonly log: TaskLog;
  /**
   * Says how far the work is; stored with the next heartbeat, the last value wins.
   * @param fraction from 0 to 1; values outside are clamped, NaN is ignored
   * @param message at most 1,000 characters are kept
   */
  progress(fraction: number, message?: string): void;
  /**
   * The result of a step that has ended, for a step that refers to it or comes after it: of a mapped step the results of its elements one by one, in
   * the order of its list, null for one that did not succeed; of any other step its own. Unlike a reference it takes any size: nothing is kept of
   * what was read before.
   * @throws TaskiqError `reference_invalid` while it is read: the task is no step, there is no such step, or it has not ended; with isolation
   *   `process`, where results are taken by references only
   */
  parent(key: string): AsyncIterable<unknown>;
  /**
   * What a Dagster asset that started this task by Pipes is told, where the definition allows it with `pipes`. Otherwise, in tasks that Dagster did
   * not start, and in `commit`, `pipes.context` is null and reports go nowhere.
   */
  readonly pipes: PipesReports;
};

/**
 * What a handler has beside that where it runs in the worker and answers for processes that it starts: the `command` task.
 * Not for others: in a process of its own a handler has neither.
 */
export type HostContext = Context & {
  /** Resolves when the grace time after an abort is over: whatever the handler has started must be killed now. */
  readonly abandoned: Promise<void>;
  /**
   * Keeps a JSON value that is too large for a result in the payload store, under this task, as long as the bucket's lifecycle says.
   * @returns its reference
   * @throws TaskiqError `not_json`, `payload_too_large`, `payload_unavailable`
   */
  store(value: unknown): Promise<string>;
};

/** Lines of a handler's own: each is an event `task.log` that names the task and the attempt. None of these throws. */
export type TaskLog = {
  /** For people who look for a cause; written with `TASKIQ_LOG_LEVEL=debug` only. */
  debug(message: string, fields?: object): void;
  info(message: string, fields?: object): void;
  warn(message: string, fields?: object): void;
  error(message: string, fields?: object): void;
};

/**
 * The transaction in which a task's completion is recorded. What is written through it commits together with the
 * completion, or not at all. Transaction control is ours: `begin`, `commit` and `rollback` are refused.
 */
export type CommitClient = {
  query<Row extends Record<string, unknown> = Record<string, unknown>>(
    text: string,
    values?: readonly unknown[],
  ): Promise<{ rows: Row[]; rowCount: number }>;
};
