/** The context of a handler in a process of its own: what it says goes to the worker, what the worker says aborts its signal. */

import type { Context, TaskLog } from "../define/context.ts";
import { TaskiqError } from "../errors.ts";
import type { AbortReason } from "../model/task.ts";
import { NO_PIPES } from "../pipes/session.ts";
import { loggable } from "../redact.ts";
import type { AttemptFacts, FromChild } from "./messages.ts";

export type ChildContext = {
  readonly context: Context;
  abort(reason: AbortReason): void;
  /** Nothing more is said. */
  close(): void;
};

/** A handler may say how far it is in every turn of a loop: the worker hears the last of it ten times a second. */
const PROGRESS_EVERY_MS = 100;

export function createChildContext(
  run: number,
  facts: AttemptFacts,
  nowMs: () => number,
  send: (message: FromChild) => void,
): ChildContext {
  const controller = new AbortController();
  let open = true;
  let saidMs = Number.NEGATIVE_INFINITY;
  let waiting: NodeJS.Timeout | undefined;
  let latest: { fraction: number; message?: string } | null = null;

  function say(): void {
    clearTimeout(waiting);
    waiting = undefined;
    if (latest === null || !open) return;
    saidMs = nowMs();
    send({ kind: "progress", run, ...latest });
    latest = null;
  }

  const line =
    (level: keyof TaskLog) =>
    (message: string, fields: object = {}): void => {
      if (open) send({ kind: "log", run, level, message: String(message), fields: loggable(fields) });
    };

  return {
    context: {
      ...facts,
      signal: controller.signal,
      log: { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") },
      // biome-ignore lint/correctness/useYield: it has nothing to give.
      async *parent(key) {
        const message = `ctx.parent(${JSON.stringify(key)}): expected isolation "inline", this task has a process of its own. Refer to the step in its input.`;
        throw new TaskiqError("reference_invalid", message);
      },
      pipes: NO_PIPES,
      progress(fraction, message) {
        if (typeof fraction !== "number" || Number.isNaN(fraction)) return;
        const text = message ?? latest?.message;
        latest = { fraction, ...(text !== undefined && { message: String(text) }) };
        // By the clock and not by a timer alone: a handler that computes without a pause lets no timer run.
        const leftMs = saidMs + PROGRESS_EVERY_MS - nowMs();
        if (leftMs <= 0) say();
        else waiting ??= setTimeout(say, leftMs);
      },
    },
    abort: (reason) => controller.abort(reason),
    close() {
      open = false;
      clearTimeout(waiting);
    },
  };
}
