/**
 * TaskIQ's hooks in TaskIQ's order: `pre…` in the order of registration, the rest reversed.
 * A hook that throws, or that has not ended after a second, is logged and passed over: a broken hook never loses a task.
 * `preExecute` has the attempt's own timeout instead.
 */

import type { Log } from "../log.ts";
import type { TaskError } from "../model/task.ts";

/** A task on its way to the database. `preSend` may change the labels and the trace context, nothing else. */
export type SendingTask = {
  readonly id: string;
  readonly name: string;
  readonly queue: string;
  readonly tenant: string;
  labels: Record<string, string>;
  traceContext: string | null;
};

/** An attempt as the hooks see it. */
export type ExecutingTask = {
  readonly id: string;
  readonly name: string;
  readonly queue: string;
  readonly tenant: string;
  readonly attempt: number;
  readonly labels: Readonly<Record<string, string>>;
  /** Of the attempt's own span; where no spans are collected, what stands in the row. A `traceparent`, and behind a blank a `tracestate`. */
  readonly traceContext: string | null;
  /** The step that it is. Null outside a run. */
  readonly step: { readonly runId: string; readonly key: string } | null;
  /** From due to start, in milliseconds, by the database's clock. */
  readonly waitMs: number;
  /** Handler failures of earlier attempts; what the retry policy counts. */
  readonly failures: number;
  /** How long the attempt may run, in milliseconds. */
  readonly timeoutMs: number;
};

/** How an attempt ended, before it is recorded. */
export type ExecutionResult = {
  /** `skipped`, `expanded`: a step that was not run, or came to be one task for each element of a list. */
  readonly kind: "succeeded" | "failed" | "cancelled" | "skipped" | "expanded" | "released" | "lost";
  readonly error: TaskError | null;
  readonly durationMs: number;
};

/**
 * What the database made of it. `refused`: another attempt owns the task, nothing was changed.
 * `error` is the recorded one here: a success whose commit failed has the error of its commit.
 */
export type SavedResult = ExecutionResult & {
  readonly recorded: "succeeded" | "failed" | "cancelled" | "skipped" | "blocked" | "queued" | "refused" | "nothing";
  /** When the task is due again after a failure, in milliseconds; null where it is not queued for that reason. */
  readonly retryInMs: number | null;
};

export type Middleware = {
  readonly name: string;
  preSend?(task: SendingTask): void | Promise<void>;
  postSend?(task: SendingTask): void | Promise<void>;
  preExecute?(task: ExecutingTask): void | Promise<void>;
  onError?(task: ExecutingTask, error: unknown): void | Promise<void>;
  postExecute?(task: ExecutingTask, result: ExecutionResult): void | Promise<void>;
  postSave?(task: ExecutingTask, result: SavedResult): void | Promise<void>;
};

type HookName = Exclude<keyof Middleware, "name">;
type HookArguments<Hook extends HookName> = Parameters<NonNullable<Middleware[Hook]>>;

export type Middlewares = {
  /** Calls one hook of every middleware that has it. Null when none has it, so that the hot path need not wait. */
  call<Hook extends HookName>(hook: Hook, ...args: HookArguments<Hook>): Promise<void> | null;
};

export function chainMiddlewares(middlewares: readonly Middleware[], log: Log): Middlewares {
  const having = (hook: HookName) => {
    const found = middlewares.filter((middleware) => middleware[hook] !== undefined);
    return hook.startsWith("pre") ? found : found.reverse();
  };
  const chains: Record<HookName, Middleware[]> = {
    preSend: having("preSend"),
    postSend: having("postSend"),
    preExecute: having("preExecute"),
    onError: having("onError"),
    postExecute: having("postExecute"),
    postSave: having("postSave"),
  };
  return {
    call(hook, ...args) {
      const chain = chains[hook];
      return chain.length === 0 ? null : callInTurn(chain, hook, args, log);
    },
  };
}

const HOOK_TIMEOUT_MS = 1_000;

async function callInTurn(
  chain: Middleware[],
  hook: HookName,
  args: readonly [{ readonly id: string }, ...unknown[]],
  log: Log,
): Promise<void> {
  for (const middleware of chain) {
    try {
      // The arguments were typed for this hook by `call`; a union of hooks cannot say so.
      const called = (middleware[hook] as (...args: unknown[]) => unknown).apply(middleware, [...args]);
      if (called !== undefined) await (hook === "preExecute" ? called : withinTimeout(Promise.resolve(called)));
    } catch (error) {
      log.error("hook.failed", { middleware: middleware.name, hook, taskId: args[0].id, error });
    }
  }
}

async function withinTimeout(called: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const overdue = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`expected the hook to end within ${HOOK_TIMEOUT_MS} ms`)),
      HOOK_TIMEOUT_MS,
    );
  });
  try {
    await Promise.race([called, overdue]);
  } finally {
    clearTimeout(timer);
  }
}
