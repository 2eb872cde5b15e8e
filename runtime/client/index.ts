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
export type { EventOptions } from "./event-stream.ts";
export type { Health, QueueHealth } from "./health.ts";
export type { Job, JobSummary, Jobs } from "./jobs.ts";
export type { ApiKey, Keys, NewApiKey } from "./keys.ts";
export type { Ends, LiveEvent, Overview, OverviewFailure } from "./overview.ts";
export type { Queue, Queues, RedrivenTasks, RedriveOptions, RedriveReport } from "./queues.ts";
export type { ElementCounts, Run, RunStep, RunSummary } from "./run.ts";
export type { RunEvent } from "./run-events.ts";
export type {
  NewRun,
  RunFilter,
  RunPage,
  Runs,
  RunWaitOptions,
  StepChoice,
  StepPage,
  StepPageOptions,
} from "./runs.ts";
export type { NewSchedule, Schedule, SchedulePage, Schedules } from "./schedules.ts";
export type { Session } from "./session.ts";
export type { Task, TaskSummary, UnsuccessfulAttempt } from "./task.ts";
export type { TaskDefinitionView } from "./task-definitions.ts";
export type { TaskEvent } from "./task-events.ts";
export { JsonText, type TaskReference, type TaskSettings } from "./task-request.ts";
export type { BulkCount, BulkOptions, BulkOutcome, PageOptions, TaskFilter, TaskPage, Tasks } from "./tasks.ts";
export type { WaitOptions } from "./wait.ts";
export type { Worker, Workers } from "./workers.ts";
