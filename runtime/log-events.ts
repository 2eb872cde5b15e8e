/**
 * Every event that is logged: what it means, and the fields its line may have beside level, time, service and worker. Alarms and searches match on
 * event names, so a name is never changed. A test reads the code: an event or a field that is not here is not written, and what is here is.
 *
 * Units stand in the names. `error` is a described error (type, message, code, stack), or its type and message as text. Longer than most: one table.
 */

/** Of an attempt. `task` is its name; `runId` and `step`, its key, where it is a step; the trace where there is one. */
const ATTEMPT = ["taskId", "task", "queue", "attempt", "runId", "step", "traceId", "spanId"] as const;
/** Of a request. `requestId` is also in its answer. */
const REQUEST = ["requestId", "traceId", "spanId"] as const;

type Entry = {
  readonly meaning: string;
  readonly fields: readonly string[];
  /** It has more fields, which whoever logs it names. */
  readonly open?: true;
};

export const EVENTS = {
  // A process.
  "migrate.applied": {
    meaning: "The database schema was brought up to date.",
    fields: ["from", "to"],
  },
  "process.failed": {
    meaning: "The process could not start or met an error nobody handled, and exits.",
    fields: ["error", "queue"],
  },
  "process.unhandled": {
    meaning: "A promise was rejected and nobody listened: a mistake in a handler. The process goes on.",
    fields: ["error"],
  },
  "process.stopping": {
    meaning: "A signal asked the process to stop.",
    fields: ["signal", "budgetMs"],
  },
  "process.stopped": {
    meaning: "The process ends, everything written.",
    fields: ["exitCode", "elapsedMs"],
  },
  "api.started": {
    meaning: "The HTTP server accepts requests.",
    fields: ["host", "port"],
  },
  "api.open": {
    meaning:
      "The API asks nobody for a key (TASKIQ_API_AUTH=none) and can be reached from other machines: whoever reaches it may do everything.",
    fields: ["host"],
  },
  "api.stopped": {
    meaning: "The HTTP server accepts no more requests and has answered the open ones.",
    fields: ["elapsedMs"],
  },
  "probe.started": {
    meaning: "The liveness server of a worker process answers.",
    fields: ["host", "port"],
  },
  "tracing.started": {
    meaning: "Spans are collected and sent on.",
    fields: ["exporter", "sampler"],
  },
  "tracing.failed": {
    meaning: "Spans could not be sent on, or a setting is not as it should be; said once a minute.",
    fields: ["error"],
  },
  "eventloop.blocked": {
    meaning: "Nothing else in the process could run for this long: a handler computes inline.",
    fields: ["blockedMs", "tasks"],
  },

  // A worker and its attempts.
  "worker.started": {
    meaning: "The worker polls its queues.",
    fields: ["queues", "slots", "tasks"],
  },
  "worker.draining": {
    meaning: "The worker takes no new work and finishes what runs.",
    fields: ["running", "workMs"],
  },
  "worker.aborting": {
    meaning: "The drain's time for work is over: the attempts still running are aborted and requeued.",
    fields: ["running"],
  },
  "worker.stopped": {
    meaning: "The worker has stopped. `unrecorded` attempts are left to their leases: the database was away.",
    fields: ["finished", "requeued", "unrecorded", "elapsedMs"],
  },
  "task.started": {
    meaning: "An attempt started (only with TASKIQ_LOG=tasks).",
    fields: [...ATTEMPT, "waitMs"],
  },
  "task.succeeded": {
    meaning: "An attempt's result was recorded (only with TASKIQ_LOG=tasks).",
    fields: [...ATTEMPT, "runMs"],
  },
  "task.skipped": {
    meaning: "A step was skipped, its condition does not hold (only with TASKIQ_LOG=tasks).",
    fields: [...ATTEMPT, "runMs"],
  },
  "task.expanded": {
    meaning: "A mapped step became one task for each element (only with TASKIQ_LOG=tasks).",
    fields: [...ATTEMPT, "runMs"],
  },
  "task.retried": {
    meaning: "An attempt failed and the task is queued again.",
    fields: [...ATTEMPT, "runMs", "failures", "retryInMs", "code", "error"],
  },
  "task.failed": {
    meaning: "A task failed for good.",
    fields: [...ATTEMPT, "runMs", "code", "error"],
  },
  "task.cancelled": {
    meaning: "A running attempt was cancelled.",
    fields: [...ATTEMPT, "runMs", "code", "error"],
  },
  "task.timeout": {
    meaning: "An attempt ran longer than its timeout, was aborted, and the task is queued again.",
    fields: [...ATTEMPT, "runMs", "timeoutMs", "failures", "retryInMs", "code", "error"],
  },
  "task.shutdown": {
    meaning: "An attempt was aborted by the drain and its task queued again.",
    fields: [...ATTEMPT, "runMs"],
  },
  "task.lost": {
    meaning: "An attempt no longer owns its task: it was aborted and writes nothing.",
    fields: [...ATTEMPT, "runMs"],
  },
  "task.refused": {
    meaning: "An outcome came too late and was not recorded; the later attempt owns the task.",
    fields: [...ATTEMPT, "runMs", "outcome", "code", "error"],
  },
  "task.duplicate": {
    meaning: "A message for a task that needs no attempt was deleted.",
    fields: ["taskId", "queue", "verdict"],
  },
  "task.log": {
    meaning: "A line that a handler wrote, with its message and the fields that it names.",
    fields: [...ATTEMPT, "message"],
    open: true,
  },
  "slot.leaked": {
    meaning: "A handler ignores its abort; its outcome is recorded without it and its slot is lost.",
    fields: [...ATTEMPT, "leaked", "slots"],
  },
  "child.crashed": {
    meaning: "The process of a task ended before its handler did: the attempt failed, and the process is replaced.",
    fields: [...ATTEMPT, "pid", "error"],
  },
  "child.killed": {
    meaning: "A task's process had not ended when its grace time was over, and was killed with all it started.",
    fields: [...ATTEMPT, "pid"],
  },
  "child.unusable": {
    meaning: "A task's process could not load the task modules and is gone.",
    fields: ["pid", "error"],
  },
  "hook.failed": {
    meaning: "A middleware's hook threw; the task goes on without it.",
    fields: ["hook", "middleware", "taskId", "error"],
  },
  "heartbeat.failed": {
    meaning: "Leases could not be extended this time. `sinceMs`: how long ago they last were.",
    fields: ["running", "sinceMs", "error"],
  },
  "protection.failed": {
    meaning:
      "The ECS agent could not be asked for scale-in protection; it is asked again. Logged once until it answers.",
    fields: ["protect", "code", "detail"],
  },
  "protection.refused": {
    meaning:
      "ECS refuses scale-in protection because of a deployment or a smaller service; it is asked again. Logged once until it agrees. `protectedMs`: how long it was protected without a break.",
    fields: ["detail", "protectedMs"],
  },
  "protection.exhausted": {
    meaning:
      "Protection was refused for longer than TASKIQ_PROTECT_LIMIT_MS: the worker takes no new work and drains. `outdatedMs`: how long newer workers have been alive.",
    fields: ["refusedMs", "protectedMs", "outdatedMs"],
  },
  "protection.changed": {
    meaning: "The worker is protected from scale-in, or no longer (at level debug).",
    fields: ["protected"],
  },
  "complete.failed": {
    meaning: "Outcomes could not be written this time and are kept for the next try.",
    fields: [...ATTEMPT, "outcomes", "error"],
  },

  // Queues.
  "queue.receive_failed": {
    meaning: "A poll failed and is repeated after a pause.",
    fields: ["queue", "retryInMs", "error"],
  },
  "queue.delete_failed": {
    meaning: "Messages could not be deleted; they come again as duplicates, which do no harm.",
    fields: ["queue", "count"],
  },
  "queue.send_failed": {
    meaning: "Copies of messages could not be sent to this queue; the messages stay where they are and come again.",
    fields: ["queue", "count", "code", "message"],
  },
  "message.poison": {
    meaning: "A message that can never run was moved to the dead-letter queue.",
    fields: ["queue", "messageId", "taskId", "reason", "detail"],
  },
  "queue.paused": {
    meaning: "Workers claim nothing more from a queue.",
    fields: [...REQUEST, "queue", "by"],
  },
  "queue.resumed": {
    meaning: "Workers claim from a queue again.",
    fields: [...REQUEST, "queue", "by"],
  },
  "queue.redriven": {
    meaning: "Dead letters were dealt with for an operator.",
    fields: [...REQUEST, "queue", "redriven", "rung", "deleted", "discarded", "poison", "failed_again", "others", "by"],
  },
  "announce.failed": {
    meaning: "Messages stay in the outbox for the next try: tasks wait, none is lost.",
    fields: ["queue", "count", "code", "message", "taskId", "error"],
  },

  // The database.
  "database.away": {
    meaning: "The database does not answer: polling stops, running work goes on.",
    fields: ["error"],
  },
  "schema.older": {
    meaning: "The database's schema is older than this code: the start waits for its migration.",
    fields: ["waitMs", "error"],
  },
  "database.back": {
    meaning: "The database answers again: polling resumes.",
    fields: ["awayMs"],
  },
  "database.idle_error": {
    meaning: "An idle connection broke and was replaced.",
    fields: ["error"],
  },

  // Executor loops.
  "executor.started": {
    meaning: "The executor loops run in this process.",
    fields: ["loops"],
  },
  "executor.stopped": {
    meaning: "The executor loops have ended.",
    fields: ["elapsedMs"],
  },
  "loop.failed": {
    meaning: "One turn of an executor loop failed; the next is tried after a pause.",
    fields: ["loop", "retryInMs", "error"],
  },
  "cancel.received": {
    meaning:
      "Requests came from the cancel queue. `cancelled` at once, `requested` of tasks that run, `buried` for tasks that are not here yet.",
    fields: ["cancelled", "requested", "buried"],
  },
  "cancel.unreadable": {
    meaning: "A message in the cancel queue is no request, and was deleted.",
    fields: ["queue", "messageId", "detail"],
  },
  "reap.recovered": {
    meaning: "Tasks of dead workers were queued again.",
    fields: ["count", "failed", "workers"],
  },
  "run.overdue": {
    meaning: "Runs passed their deadlines: their steps are cancelled, and they fail.",
    fields: ["count"],
  },
  "limits.swept": {
    meaning: "Waiters at limits with room were rung for that a release had missed.",
    fields: ["count"],
  },
  "ring.again": {
    meaning: "Tasks that nobody took were announced once more.",
    fields: ["queue", "count"],
  },
  "schedule.missed": {
    meaning:
      "Times of a schedule passed while no executor ran, and its catch-up policy does not make up for all of them.",
    fields: ["scheduleId", "schedule"],
  },
  "schedule.refused": {
    meaning: "The task of a due schedule cannot be made by this process; another may, and it is tried again.",
    fields: ["scheduleId", "schedule", "code", "detail"],
  },
  "schedule.disabled": {
    meaning: "The task of a schedule could not be made for an hour: it is disabled until somebody resumes it.",
    fields: ["scheduleId", "schedule", "code", "detail"],
  },
  "schedule.failed": {
    meaning: "A schedule could not be fired this time because something is away.",
    fields: ["scheduleId", "schedule", "error"],
  },
  "prune.done": {
    meaning: "Rows beyond their retention were deleted.",
    fields: ["tasks", "idempotencyKeys", "payloads"],
  },
  "scaling.changed": {
    meaning: "The service was asked for more or fewer workers.",
    fields: ["from", "to", "reason", "backlog"],
  },
  "scaling.failed": {
    meaning: "The scaler does without this part until it works again; no worker is ended meanwhile.",
    fields: ["part", "error"],
  },
  "scaling.recovered": {
    meaning: "The part that the scaler did without works again.",
    fields: ["part"],
  },

  // HTTP.
  "request.failed": {
    meaning: "A request was answered with a status of 500 or above.",
    fields: [...REQUEST, "caller", "method", "route", "status", "code", "error"],
  },
} as const satisfies Record<string, Entry>;

export type EventName = keyof typeof EVENTS;
