/** The first middleware: what happened to an attempt, in one line, and nothing at all when everything went well. */

import type { ExecutingTask, Middleware, SavedResult } from "../define/middleware.ts";
import type { EventName, Log } from "../log.ts";

/** @param everyTask also a line when an attempt starts and when it succeeds (`TASKIQ_LOG=tasks`) */
export function loggingMiddleware(log: Log, everyTask: boolean): Middleware {
  return {
    name: "logging",
    ...(everyTask && {
      preExecute(task: ExecutingTask) {
        log.info("task.started", { ...idOf(task), waitMs: task.waitMs });
      },
    }),
    postSave(task, result) {
      const { level, event } = lineOf(result);
      if (event === "task.succeeded" && !everyTask) return;
      log[level](event, {
        ...idOf(task),
        runMs: Math.round(result.durationMs),
        ...(event === "task.timeout" && { timeoutMs: task.timeoutMs }),
        ...(result.retryInMs !== null && { failures: task.failures + 1, retryInMs: Math.round(result.retryInMs) }),
        ...(result.error !== null && {
          code: result.error.code,
          error: `${result.error.type}: ${result.error.message}`,
        }),
        ...(event === "task.refused" && { outcome: result.kind }),
      });
    },
  };
}

function lineOf({ kind, recorded, error }: SavedResult): { level: "info" | "warn" | "error"; event: EventName } {
  if (recorded === "nothing") return { level: "warn", event: "task.lost" };
  if (recorded === "refused") return { level: "warn", event: "task.refused" };
  if (recorded === "succeeded" && kind !== "expanded") return { level: "info", event: "task.succeeded" };
  if (recorded === "cancelled") return { level: "info", event: "task.cancelled" };
  if (recorded === "failed") return { level: "error", event: "task.failed" };
  if (recorded === "skipped") return { level: "info", event: "task.skipped" };
  if (kind === "expanded") return { level: "info", event: "task.expanded" };
  if (kind === "released") return { level: "info", event: "task.shutdown" };
  return { level: "warn", event: error?.code === "timeout" ? "task.timeout" : "task.retried" };
}

function idOf(task: ExecutingTask): { taskId: string; task: string; queue: string; attempt: number } {
  return { taskId: task.id, task: task.name, queue: task.queue, attempt: task.attempt };
}
