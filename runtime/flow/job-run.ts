/** A run of a job, as whoever starts it asks for it. */

import type { JobDefinition, JobRegistry } from "../define/job.ts";
import { TaskiqError } from "../errors.ts";
import { boundText, inWords, issuesOf } from "../issues.ts";
import type { Graph, RunMode } from "../model/graph.ts";
import { RUN_PRIORITY_TAG } from "../model/tags.ts";
import type { RunRequest } from "./prepare-run.ts";

export type JobRun = {
  /** The name of a job. */
  readonly job: string;
  readonly input?: unknown;
  /** Default: that of the job, as for the others. */
  readonly mode?: RunMode | undefined;
  readonly priority?: number | undefined;
  /** Beside those of the job. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
};

/**
 * The input of a job is what its schema makes of it, with the defaults filled in.
 * @throws TaskiqError `unknown_job`, `input_invalid`
 */
export function requestOfJob({ job: name, input, mode, priority, labels }: JobRun, jobs: JobRegistry): RunRequest {
  const job = jobs.get(name);
  if (job === undefined) throw unknownJob(name, jobs);
  const checked = job.input.safeParse(input);
  if (!checked.success) {
    const issues = issuesOf(checked.error, ["input"]);
    throw new TaskiqError("input_invalid", inWords(issues), { details: { issues } });
  }
  return {
    job: name,
    graph: job.graph,
    mode: mode ?? job.mode,
    input: checked.data ?? null,
    ...priorityOf(priority, labels, job),
    labels: { ...job.labels, ...labels },
  };
}

/** Every task that the run may execute. */
export function taskNamesOf(graph: Graph): string[] {
  return [...new Set([...graph.steps.map(({ task }) => task), ...(graph.on_finished ? [graph.on_finished.task] : [])])];
}

/** A label of the request says more than the job. */
function priorityOf(
  asked: number | undefined,
  labels: Readonly<Record<string, string>> | undefined,
  job: JobDefinition,
): { readonly priority?: number } {
  if (asked !== undefined) return { priority: asked };
  return labels?.[RUN_PRIORITY_TAG] === undefined ? { priority: job.priority } : {};
}

function unknownJob(name: string, jobs: JobRegistry): TaskiqError {
  const known = jobs.size === 0 ? "none is defined here" : `known: ${boundText([...jobs.keys()].join(", "))}`;
  return new TaskiqError("unknown_job", `job: expected the name of a job, got ${JSON.stringify(name)}; ${known}.`, {
    details: { issues: [{ path: "job", message: "unknown job" }] },
  });
}
