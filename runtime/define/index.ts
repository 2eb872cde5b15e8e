/** What a task author imports. */

export type { CommitClient, Context, TaskLog } from "./context.ts";
export { RetryableError, TerminalError } from "./errors.ts";
export type { ExecutingTask, ExecutionResult, Middleware, SavedResult, SendingTask } from "./middleware.ts";
export { defineTask, type TaskDefinition, type TaskOptions } from "./task.ts";
