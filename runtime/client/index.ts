/** What a program imports that submits tasks over HTTP. */

export { ApiError, type ApiErrorCode, type ApiIssue } from "./api-error.ts";
export {
  type BatchEntry,
  type Client,
  type ClientOptions,
  createClient,
  type EnqueueOptions,
  type IdempotencyOption,
} from "./client.ts";
export type { Health, QueueHealth } from "./health.ts";
export type { Task } from "./task.ts";
export { JsonText, type TaskReference, type TaskSettings } from "./task-request.ts";
export type { WaitOptions } from "./wait.ts";
