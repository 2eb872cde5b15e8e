/** What the tests of a whole worker share: a task to run, and looks at the rows. */
import { z } from "zod";
import type { AnyTask } from "../../runtime/define/registry.ts";
import { defineTask, type TaskOptions } from "../../runtime/define/task.ts";
import type { TaskState } from "../../runtime/model/task.ts";
import { readTask, readTasks } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import type { Rig } from "./rig.ts";

type Options = TaskOptions<z.ZodType, unknown>;

/** The task that rows are of unless they say otherwise. */
export function demo(run: Options["run"], options: Partial<Options> = {}): AnyTask {
  return defineTask({ name: "demo", input: z.unknown(), run, ...options });
}

export async function stateOf(rig: Rig, id: string): Promise<TaskState> {
  return (await readTask(rig.database, id)).state;
}

export async function untilState(rig: Rig, id: string, state: TaskState, deadlineMs = 10_000): Promise<void> {
  await until(async () => (await stateOf(rig, id)) === state, { deadlineMs, what: `task ${id} to be ${state}` });
}

export async function untilAll(rig: Rig, state: TaskState, deadlineMs = 10_000): Promise<void> {
  await until(async () => (await readTasks(rig.database)).every((row) => row.state === state), {
    deadlineMs,
    what: `all tasks to be ${state}`,
  });
}

/** Another worker owns the task from now on. */
export const TAKE_OVER = "update taskiq.task set attempt = attempt + 1, worker = 'other' where id = $1";
