/** What a task author imports. */

export type { CommitClient, Context, TaskLog } from "./context.ts";
export { RetryableError, TerminalError } from "./errors.ts";
export { defineJob, type JobDefinition, type JobOptions, type RunOutcome } from "./job.ts";
export type { JobBuilder, StepOptions } from "./job-builder.ts";
export type { ExecutingTask, ExecutionResult, Middleware, SavedResult, SendingTask } from "./middleware.ts";
export { definePythonTask, type PythonTaskOptions } from "./python-task.ts";
export { equals, type JobCondition, notEquals, optional, type Ref, type Template } from "./reference.ts";
export { defineTask, type TaskDefinition, type TaskOptions } from "./task.ts";
