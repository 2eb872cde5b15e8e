/** The jobs a process knows, by name. Each has been planned against the tasks that it knows: a job that could not run is found when it starts. */

import { TaskiqError } from "../errors.ts";
import { inWords } from "../issues.ts";
import { checkGraph } from "../model/graph-check.ts";
import type { JobDefinition, JobRegistry } from "./job.ts";
import type { Registry } from "./registry.ts";
import { shapesOf } from "./task-shape.ts";

/** @throws TaskiqError `definition_invalid` when two jobs have one name, or the graph of one is wrong: it names job, step and path */
export function createJobRegistry(jobs: Iterable<JobDefinition>, tasks: Registry): JobRegistry {
  const registry = new Map<string, JobDefinition>();
  const shapes = shapesOf(tasks);
  for (const job of new Set(jobs)) {
    const { name, graph } = job;
    if (registry.has(name)) {
      throw new TaskiqError(
        "definition_invalid",
        `Two jobs are called ${JSON.stringify(name)}: expected unique names. Rename one of them.`,
      );
    }
    const issues = checkGraph(graph, shapes);
    if (issues.length > 0) {
      throw new TaskiqError(
        "definition_invalid",
        `The job ${JSON.stringify(name)} cannot run: ${inWords(issues)}. Correct the definition, or load the module of the task.`,
        { details: { issues } },
      );
    }
    registry.set(name, job);
  }
  return registry;
}
