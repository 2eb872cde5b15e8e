/**
 * The task that starts a run of a job: for schedules, which make tasks, and for whoever can only enqueue tasks, in SQL for example. However often it is
 * tried, it starts one run: the task's id is the key of the submission.
 */

import { z } from "zod";
import { TerminalError } from "../define/errors.ts";
import type { JobRegistry } from "../define/job.ts";
import type { AnyTask } from "../define/registry.ts";
import { defineSystemTask } from "../define/task.ts";
import { TaskiqError } from "../errors.ts";
import { requestOfJob, taskNamesOf } from "../flow/job-run.ts";
import type { RunSubmitter } from "../flow/runs.ts";
import { PRIORITY_LIMITS } from "../model/task.ts";
import { COMMAND } from "./command.ts";

export const START_RUN_TASK = "taskiq.start_run";

/** Another attempt finds the same. */
const FINAL: ReadonlySet<string> = new Set(["unknown_job", "input_invalid", "graph_invalid", "payload_too_large"]);

/** @param parts asked for when the task runs: its own definition is among those that jobs are checked against */
export function createStartRun(
  parts: () => { readonly runs: Pick<RunSubmitter, "submit">; readonly jobs: JobRegistry },
): AnyTask {
  return defineSystemTask({
    name: START_RUN_TASK,
    input: z.strictObject({
      job: z.string().min(1).max(200),
      /** The job's. */
      input: z.unknown().optional(),
      mode: z.enum(["orchestrated", "simple"]).optional(),
      priority: z.int().min(PRIORITY_LIMITS.min).max(PRIORITY_LIMITS.max).optional(),
      labels: z.record(z.string().max(200), z.string().max(1_000)).optional(),
    }),
    output: z.object({ run_id: z.uuid() }),
    async run(wanted, ctx) {
      const { runs, jobs } = parts();
      try {
        const request = requestOfJob(wanted, jobs);
        // It needs a scope that whoever enqueues tasks may not have.
        if (taskNamesOf(request.graph).includes(COMMAND)) {
          throw new TerminalError(
            `job ${wanted.job}: expected one without the task "command". Start it by POST /v1/runs.`,
          );
        }
        const idempotencyKey = `${START_RUN_TASK}/${ctx.taskId}`;
        const traced = { ...request, traceContext: ctx.traceparent };
        const { runId } = await runs.submit(traced, { tenant: ctx.tenant, idempotencyKey });
        return { run_id: runId };
      } catch (error) {
        if (error instanceof TaskiqError && FINAL.has(error.code))
          throw new TerminalError(error.message, { cause: error });
        throw error;
      }
    },
  });
}
