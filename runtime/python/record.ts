/** The end of an attempt that was handed out, written as a worker of ours writes those of its own. */

import type { Clock } from "../clock.ts";
import type { Context } from "../define/context.ts";
import type { TaskDefinition } from "../define/task.ts";
import { TaskiqError } from "../errors.ts";
import { type Attempt, startAttempt } from "../flow/attempt.ts";
import type { ClaimedTask } from "../flow/claim.ts";
import type { Input } from "../flow/execute.ts";
import type { Log } from "../log.ts";
import type { PayloadStore } from "../payload/payload.ts";
import type { Database } from "../postgres/pool.ts";
import type { Queue } from "../queue/queue.ts";
import type { Recorder, WritableOutcome } from "../worker/record.ts";

export type PythonQueue = {
  readonly name: string;
  readonly queue: Queue;
  /** Where its workers write results, in the payload bucket. */
  readonly basePath: string;
  /** Who is written as the worker of what was handed out. */
  readonly holder: string;
};

export type PythonParts = {
  readonly database: Database;
  readonly payloads: PayloadStore;
  /** The definitions that run in Python. */
  readonly tasks: ReadonlyMap<string, TaskDefinition>;
  readonly recorder: Recorder;
  readInput(task: ClaimedTask): Input | Promise<Input>;
  contextOf(attempt: Attempt): Context;
  readonly log: Log;
  readonly clock: Clock;
};

export async function record(task: ClaimedTask, outcome: WritableOutcome, parts: PythonParts): Promise<void> {
  const definition = parts.tasks.get(task.name);
  if (definition === undefined) throw unknown(task.name, parts.tasks);
  const attempt = startAttempt(task, parts.clock.nowMs());
  try {
    await parts.recorder.record(attempt, outcome, definition, parts.contextOf(attempt));
  } finally {
    attempt.settle();
  }
}

function unknown(name: string, tasks: ReadonlyMap<string, TaskDefinition>): TaskiqError {
  return new TaskiqError("unknown_task", `expected one of ${[...tasks.keys()].join(", ")}, got ${name}.`);
}
