/** The tasks a process knows, by name: what the API checks submissions against and what a worker offers to claim. */

import { pathToFileURL } from "node:url";
import { TaskiqError } from "../errors.ts";
import { isJob, type JobDefinition } from "./job.ts";
import type { TaskDefinition } from "./task.ts";

// The handler's parameter is contravariant, so a registry of differently typed definitions needs `never` here.
export type AnyTask = Omit<TaskDefinition, "run" | "commit"> & {
  run(input: never, ctx: never): unknown;
  commit?(tx: never, output: never, ctx: never): void | Promise<void>;
};

export type Registry = ReadonlyMap<string, TaskDefinition>;

/** @throws TaskiqError `definition_invalid` when two tasks have one name */
export function createRegistry(tasks: Iterable<AnyTask>): Registry {
  const registry = new Map<string, TaskDefinition>();
  for (const task of new Set(tasks)) {
    if (registry.has(task.name)) {
      throw new TaskiqError(
        "definition_invalid",
        `Two tasks are called ${JSON.stringify(task.name)}: expected unique names. Rename one of them.`,
      );
    }
    // Input reaches `run` only through the definition's own schema, which restores the type lost here.
    registry.set(task.name, task as unknown as TaskDefinition);
  }
  return registry;
}

/**
 * Reads task definitions from modules: every exported definition, and every definition in an exported array.
 * @param modules file paths or URLs
 * @throws TaskiqError `definition_invalid` when a module cannot be loaded or defines neither a task nor a job
 */
export async function loadTasks(modules: readonly string[]): Promise<AnyTask[]> {
  const loaded = await Promise.all(modules.map(definitionsOf));
  return loaded.flatMap(({ tasks }) => tasks);
}

/** Reads the jobs from the same modules, as `loadTasks` reads the tasks. */
export async function loadJobs(modules: readonly string[]): Promise<JobDefinition[]> {
  const loaded = await Promise.all(modules.map(definitionsOf));
  return loaded.flatMap(({ jobs }) => jobs);
}

async function definitionsOf(specifier: string): Promise<{ tasks: AnyTask[]; jobs: JobDefinition[] }> {
  const url = /^[a-z]+:\/\//.test(specifier) ? specifier : pathToFileURL(specifier).href;
  let exported: Record<string, unknown>;
  try {
    exported = await import(url);
  } catch (cause) {
    throw new TaskiqError(
      "definition_invalid",
      `TASKIQ_TASK_MODULES: ${specifier} could not be loaded (${cause instanceof Error ? cause.message : String(cause)}). Check the path.`,
      { cause },
    );
  }
  const values = [...new Set(Object.values(exported).flat())];
  const tasks = values.filter(isTask);
  const jobs = values.filter(isJob);
  if (tasks.length + jobs.length === 0) {
    throw new TaskiqError(
      "definition_invalid",
      `TASKIQ_TASK_MODULES: ${specifier} exports no task and no job. Export what defineTask or defineJob returns.`,
    );
  }
  return { tasks, jobs };
}

function isTask(value: unknown): value is AnyTask {
  return typeof value === "object" && value !== null && "policy" in value && "run" in value && "name" in value;
}
