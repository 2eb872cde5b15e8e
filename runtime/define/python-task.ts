/** `definePythonTask`: a task whose handler is a function of Python, served by workers of TaskIQ. Here it has a name, a schema and a policy. */

import type { z } from "zod";
import type { QueueOptions } from "../model/queue.ts";
import { TerminalError } from "./errors.ts";
import { defineTask, type TaskDefinition, type TaskOptions } from "./task.ts";

export type PythonTaskOptions<Schema extends z.ZodType, Output> = Pick<
  TaskOptions<Schema, Output>,
  "input" | "output" | "priority" | "retry"
> & {
  /** As Python registers it, `package.module:function` unless it was given another; 1 to 200 letters, digits and `. _ : / -`. */
  readonly name: string;
  /** A queue with the wire `taskiq`, unless the caller names another such queue. */
  readonly queue: string;
  /**
   * Longest time from the message to the result in milliseconds, the wait in the queue included, to 11 h; Python is told as well, by the label
   * `timeout`. A worker that dies is noticed by nothing else. Default 3,600,000 (1 h).
   */
  readonly timeoutMs?: number;
};

/**
 * An object goes over as keyword arguments, anything else as the one positional argument, null as none. Attempts are at least once: nobody can stop a
 * function that was sent for, and an attempt that timed out may still run.
 * @throws TaskiqError `definition_invalid`
 */
export function definePythonTask<Schema extends z.ZodType, Output = unknown>(
  options: PythonTaskOptions<Schema, Output>,
): TaskDefinition<Schema, Output> {
  const definition = defineTask<Schema, Output>({
    ...options,
    onLost: "fail",
    run: () => {
      throw new TerminalError(`${options.name} runs in Python: its queue needs the wire "taskiq" (TASKIQ_QUEUES).`);
    },
  });
  return { ...definition, python: true };
}

/** Why this queue is none for the task: one of Python's needs workers of Python, and no other task has anything to do there. Null: it is. */
export function wireProblem({ name, python }: TaskDefinition, queue: string, { wire }: QueueOptions): string | null {
  if (python === true && wire !== "taskiq") {
    return `expected a queue with wire "taskiq", as ${name} runs in Python, got ${queue}.`;
  }
  if (python !== true && wire === "taskiq") {
    return `expected a queue that workers of this system serve, as ${name} does not run in Python, got ${queue}.`;
  }
  return null;
}
