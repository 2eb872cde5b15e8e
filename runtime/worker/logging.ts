/** The first middleware: what happened to an attempt, in one line, and nothing at all when everything went well. */

import type { ExecutingTask, Middleware, SavedResult } from "../define/middleware.ts";
import type { Log } from "../log.ts";
import type { EventName } from "../log-events.ts";
import { attemptIds } from "../tracing/attempt-ids.ts";

/** @param everyTask also a line when an attempt starts and when it succeeds (`TASKIQ_LOG=tasks`) */
export function loggingMiddleware(log: Log, everyTask: boolean): Middleware {
  return {
    name: "logging",
    ...(everyTask && {
      preExecute(task: ExecutingTask) {
        log.info("task.started", { ...attemptIds(task), waitMs: task.waitMs });
      },
    }),
    postSave(task, result) {
      const event = eventOf(result);
      // Before anything is made for a line that nobody reads.
      if (!everyTask && GONE_WELL.has(event)) return;
      const line = { ...attemptIds(task), runMs: Math.round(result.durationMs) };
      switch (event) {
        case "task.succeeded":
          return log.info("task.succeeded", line);
        case "task.skipped":
          return log.info("task.skipped", line);
        case "task.expanded":
          return log.info("task.expanded", line);
        case "task.cancelled":
          return log.info("task.cancelled", { ...line, ...causeOf(result) });
        case "task.shutdown":
          return log.info("task.shutdown", line);
        case "task.lost":
          return log.warn("task.lost", line);
        case "task.refused":
          return log.warn("task.refused", { ...line, ...causeOf(result), outcome: result.kind });
        case "task.retried":
          return log.warn("task.retried", { ...line, ...retryOf(task, result), ...causeOf(result) });
        case "task.timeout":
          return log.warn("task.timeout", {
            ...line,
            timeoutMs: task.timeoutMs,
            ...retryOf(task, result),
            ...causeOf(result),
          });
        case "task.failed":
          return log.error("task.failed", { ...line, ...causeOf(result) });
      }
    },
  };
}

const GONE_WELL: ReadonlySet<EventName> = new Set(["task.succeeded", "task.skipped", "task.expanded"]);

function eventOf({ kind, recorded, error }: SavedResult) {
  if (recorded === "nothing") return "task.lost";
  if (recorded === "refused") return "task.refused";
  if (recorded === "succeeded" && kind !== "expanded") return "task.succeeded";
  if (recorded === "cancelled") return "task.cancelled";
  if (recorded === "failed") return "task.failed";
  if (recorded === "skipped") return "task.skipped";
  if (kind === "expanded") return "task.expanded";
  if (kind === "released") return "task.shutdown";
  return error?.code === "timeout" ? "task.timeout" : "task.retried";
}

function causeOf({ error }: SavedResult): { code?: string; error?: string } {
  return error === null ? {} : { code: error.code, error: `${error.type}: ${error.message}` };
}

function retryOf(task: ExecutingTask, { retryInMs }: SavedResult): { failures?: number; retryInMs?: number } {
  return retryInMs === null ? {} : { failures: task.failures + 1, retryInMs: Math.round(retryInMs) };
}
