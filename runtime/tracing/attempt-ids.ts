/** What every line of the log about an attempt carries, so that one search finds them all: the task, its run, its trace. */
import type { ExecutingTask } from "../define/middleware.ts";
import { traceIdsOf } from "./carrier.ts";

export type AttemptIds = {
  readonly taskId: string;
  /** Its name. */
  readonly task: string;
  readonly queue: string;
  readonly attempt: number;
  readonly runId?: string;
  /** Its key. */
  readonly step?: string;
  readonly traceId?: string;
  readonly spanId?: string;
};

export function attemptIds(
  attempt: Pick<ExecutingTask, "id" | "name" | "queue" | "attempt" | "step" | "traceContext">,
): AttemptIds {
  const { id, name, queue, step } = attempt;
  return {
    taskId: id,
    task: name,
    queue,
    attempt: attempt.attempt,
    ...(step !== null && { runId: step.runId, step: step.key }),
    ...traceIdsOf(attempt.traceContext),
  };
}
