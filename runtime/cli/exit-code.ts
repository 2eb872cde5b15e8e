/** The exit codes, which scripts rely on: a code never changes its meaning. */
import { ApiError } from "../client/api-error.ts";
import { TaskiqError } from "../errors.ts";
import type { TaskState } from "../model/task.ts";

export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  cancelled: 4,
  waitTimeout: 5,
  unreachable: 6,
  bug: 70,
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** For the help of the commands. */
export const EXIT_CODES_HELP = `
Exit codes:
    0  the task succeeded; without --wait: it was accepted, or shown
    1  the task failed
    2  an option or the input is wrong; nothing was done
    3  there is no such task
    4  the task was cancelled or skipped
    5  the task was not finished in time; it goes on
    6  the API cannot be reached, or cannot do its work
  130  Ctrl-C; the task goes on`;

/** The same for the commands around runs. */
export const RUN_EXIT_CODES_HELP = `
Exit codes:
    0  the run succeeded; without --watch: it was accepted, or shown
    1  the run failed
    2  an option, the input or the graph is wrong; nothing was done
    3  there is no such run or job
    4  the run was cancelled
    6  the API cannot be reached, or cannot do its work
  130  Ctrl-C; the run goes on`;

/** What a finished task or run means for the script that waited for it. */
export function exitCodeOfState(state: TaskState): ExitCode {
  switch (state) {
    case "succeeded":
      return EXIT.ok;
    case "cancelled":
    case "skipped":
      return EXIT.cancelled;
    case "failed":
    case "blocked":
    case "queued":
    case "running":
      return EXIT.failed;
  }
}

export function exitCodeOfError(error: unknown): ExitCode {
  if (error instanceof TaskiqError) return EXIT.usage;
  if (!(error instanceof ApiError)) return EXIT.bug;
  if (error.code === "wait_timeout") return EXIT.waitTimeout;
  if (error.code === "task_not_found" || error.code === "key_not_found") return EXIT.notFound;
  if (error.code === "worker_not_found") return EXIT.notFound;
  if (error.code === "run_not_found" || error.code === "job_not_found") return EXIT.notFound;
  if (error.code === "queue_not_found" || error.code === "schedule_not_found") return EXIT.notFound;
  // Any other 404 means that the address is wrong: something else is served there.
  if (error.code === "unexpected_answer" || error.code === "route_not_found") return EXIT.unreachable;
  const isRefusal = error.status !== null && error.status >= 400 && error.status < 500 && error.status !== 429;
  return isRefusal ? EXIT.usage : EXIT.unreachable;
}
