/**
 * One line an event, and one list of events. Alarms and searches match on event names, so a name is never changed.
 * Nothing on the happy path of a task is logged unless asked for: a line per task would cost more than its messages.
 * Writing is synchronous, so the last line before a crash is not lost, and never throws: a log must not fail a task.
 */
import { destination, type Logger, pino, stdTimeFunctions } from "pino";
import pinoPretty from "pino-pretty";
import { loggable } from "./redact.ts";

/** Every event: what it means, then its fields. Ids are `taskId`, `queue`, `attempt`, `task` (the name); errors are `error`. */
export const EVENTS = {
  // A process.
  "migrate.applied": "The database schema was brought up to date. from, to.",
  "process.failed": "The process could not start or met an error nobody handled, and exits. error.",
  "process.unhandled":
    "A promise was rejected and nobody listened: a mistake in a handler. The process goes on. error.",
  "process.stopping": "A signal asked the process to stop. signal, budgetMs.",
  "process.stopped": "The process ends, everything written. exitCode, elapsedMs.",
  "api.started": "The HTTP server accepts requests. host, port.",
  "api.open":
    "The API asks nobody for a key (TASKIQ_API_AUTH=none) and can be reached from other machines: whoever reaches it may do everything. host.",
  "api.stopped": "The HTTP server accepts no more requests and has answered the open ones. elapsedMs.",
  "probe.started": "The liveness server of a worker process answers. host, port.",
  "eventloop.blocked":
    "Nothing else in the process could run for this long: a handler computes inline. blockedMs, tasks.",

  // A worker and its attempts.
  "worker.started": "The worker polls its queues. queues, slots, tasks.",
  "worker.draining": "The worker takes no new work and finishes what runs. running, workMs.",
  "worker.aborting": "The drain's time for work is over: the attempts still running are aborted and requeued. running.",
  "worker.stopped":
    "The worker has stopped. finished, requeued, unrecorded (left to their leases: the database was away), elapsedMs.",
  "task.started": "An attempt started (only with TASKIQ_LOG=tasks). taskId, task, queue, attempt, waitMs.",
  "task.succeeded":
    "An attempt's result was recorded (only with TASKIQ_LOG=tasks). taskId, task, queue, attempt, runMs.",
  "task.skipped":
    "A step was skipped, its condition does not hold (only with TASKIQ_LOG=tasks). taskId, task, queue, attempt, runMs.",
  "task.expanded":
    "A mapped step became one task for each element (only with TASKIQ_LOG=tasks). taskId, task, queue, attempt, runMs.",
  "task.retried":
    "An attempt failed and the task is queued again. taskId, task, queue, attempt, runMs, failures, retryInMs, code, error.",
  "task.failed": "A task failed for good. taskId, task, queue, attempt, runMs, code, error.",
  "task.cancelled": "A running attempt was cancelled. taskId, task, queue, attempt.",
  "task.timeout":
    "An attempt ran longer than its timeout, was aborted, and the task is queued again. taskId, task, queue, attempt, runMs, timeoutMs, failures, retryInMs, code, error.",
  "task.shutdown": "An attempt was aborted by the drain and its task queued again. taskId, task, queue, attempt.",
  "task.lost": "An attempt no longer owns its task: it was aborted and writes nothing. taskId, task, queue, attempt.",
  "task.refused":
    "An outcome came too late and was not recorded; the later attempt owns the task. taskId, attempt, outcome.",
  "task.duplicate": "A message for a task that needs no attempt was deleted. taskId, queue, verdict.",
  "task.log": "A line that a handler wrote. taskId, task, attempt, message and the handler's own fields.",
  "slot.leaked":
    "A handler ignores its abort; its outcome is recorded without it and its slot is lost. taskId, task, leaked, slots.",
  "child.crashed":
    "The process of a task ended before its handler did: the attempt failed, and the process is replaced. pid, taskId, error.",
  "child.killed":
    "A task's process had not ended when its grace time was over, and was killed with all it started. pid, taskId, task.",
  "child.unusable": "A task's process could not load the task modules and is gone. pid, error.",
  "hook.failed": "A middleware's hook threw; the task goes on without it. hook, middleware, taskId, error.",
  "heartbeat.failed": "Leases could not be extended this time. running, sinceMs (the last time they were), error.",
  "protection.failed":
    "The ECS agent could not be asked for scale-in protection; it is asked again. Logged once until it answers. protect, code, detail.",
  "protection.refused":
    "ECS refuses scale-in protection because of a deployment or a smaller service; it is asked again. Logged once until it agrees. detail, protectedMs (how long it was protected without a break).",
  "protection.exhausted":
    "Protection was refused for longer than TASKIQ_PROTECT_LIMIT_MS: the worker takes no new work and drains. refusedMs, protectedMs.",
  "protection.changed": "The worker is protected from scale-in, or no longer (at level debug). protected.",
  "complete.failed": "Outcomes could not be written this time and are kept for the next try. outcomes, error.",

  // Queues.
  "queue.receive_failed": "A poll failed and is repeated after a pause. queue, retryInMs, error.",
  "queue.delete_failed":
    "Messages could not be deleted; they come again as duplicates, which do no harm. queue, count.",
  "queue.send_failed":
    "Copies of messages could not be sent to this queue; the messages stay where they are and come again. queue, count, code, message.",
  "message.poison":
    "A message that can never run was moved to the dead-letter queue. queue, messageId, reason, detail.",
  "queue.paused": "Workers claim nothing more from a queue. queue, by.",
  "queue.resumed": "Workers claim from a queue again. queue, by.",
  "queue.redriven":
    "Dead letters were dealt with for an operator. queue, redriven, rung, deleted, discarded, poison, failed_again, others, by.",
  "announce.failed":
    "Messages stay in the outbox for the next try: tasks wait, none is lost. queue, count, code, message.",

  // The database.
  "database.away": "The database does not answer: polling stops, running work goes on. error.",
  "schema.older": "The database's schema is older than this code: the start waits for its migration. waitMs, error.",
  "database.back": "The database answers again: polling resumes. awayMs.",
  "database.idle_error": "An idle connection broke and was replaced. error.",

  // Executor loops.
  "executor.started": "The executor loops run in this process. loops.",
  "executor.stopped": "The executor loops have ended. elapsedMs.",
  "loop.failed": "One turn of an executor loop failed; the next is tried after a pause. loop, retryInMs, error.",
  "cancel.received":
    "Requests came from the cancel queue. cancelled (at once), requested (they run), buried (their tasks are not here yet).",
  "cancel.unreadable": "A message in the cancel queue is no request, and was deleted. queue, messageId, detail.",
  "reap.recovered": "Tasks of dead workers were queued again. count, failed.",
  "run.overdue": "Runs passed their deadlines: their steps are cancelled, and they fail. count.",
  "limits.swept": "Waiters at limits with room were rung for that a release had missed. count.",
  "ring.again": "Tasks that nobody took were announced once more. queue, count.",
  "schedule.missed":
    "Times of a schedule passed while no executor ran, and its catch-up policy does not make up for all of them. scheduleId, schedule.",
  "schedule.refused":
    "The task of a due schedule cannot be made by this process; another may, and it is tried again. scheduleId, schedule, code, detail.",
  "schedule.disabled":
    "The task of a schedule could not be made for an hour: it is disabled until somebody resumes it. scheduleId, schedule, code, detail.",
  "schedule.failed": "A schedule could not be fired this time because something is away. scheduleId, schedule, error.",
  "prune.done": "Rows beyond their retention were deleted. tasks, idempotencyKeys, payloads.",
  "scaling.changed": "The service was asked for more or fewer workers. from, to, reason, backlog.",
  "scaling.failed":
    "The scaler does without this part until it works again; no worker is ended meanwhile. part, error.",
  "scaling.recovered": "The part that the scaler did without works again. part.",

  // HTTP.
  "request.failed": "A request was answered with a status of 500 or above. method, route, status, code, error.",
} as const satisfies Record<string, string>;

export type EventName = keyof typeof EVENTS;

export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export const LOG_FORMATS = ["json", "pretty"] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

export type Log = {
  /** For people who look for a cause. */
  debug(event: EventName, fields?: object): void;
  /** Something happened that an operator wants to know afterwards. */
  info(event: EventName, fields?: object): void;
  /** Something went wrong and is being dealt with; many of these need attention. */
  warn(event: EventName, fields?: object): void;
  /** Something went wrong for good: a task failed, a message is poison, a process cannot start. */
  error(event: EventName, fields?: object): void;
  /** A log whose lines all carry `fields`. */
  child(fields: object): Log;
};

export type LogOptions = {
  readonly level: LogLevel;
  /** `json` for machines; `pretty` is one readable line an event. */
  readonly format: LogFormat;
  /** The role of the process: `api`, `worker`, `executor`. */
  readonly service: string;
  /** The worker's name, where the process is one. */
  readonly worker?: string;
  /** Takes each line, with its line feed. Default: standard output. */
  readonly write?: (line: string) => void;
};

/** Opens the log of a process. Fields may hold anything: secrets are cut out, sizes bounded, cycles and bigints taken. */
export function openLog({ level, format, service, worker, write }: LogOptions): Log {
  const output = write ?? standardOutput();
  const prettify = format === "pretty" ? prettyLine(level === "debug") : undefined;
  const logger = pino(
    {
      level,
      base: worker === undefined ? { service } : { service, worker },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line) => output(prettify === undefined ? line : prettify(line)) },
  );
  return wrap(logger);
}

function wrap(logger: Logger): Log {
  const write = (level: Exclude<LogLevel, "silent">, event: EventName, fields: object = {}): void => {
    if (!logger.isLevelEnabled(level)) return;
    try {
      logger[level]({ event, ...ownFields(fields) });
    } catch {
      // The output is gone. Nothing here may fail because of it, and there is nowhere left to say so.
    }
  };
  return {
    debug: (event, fields) => write("debug", event, fields),
    info: (event, fields) => write("info", event, fields),
    warn: (event, fields) => write("warn", event, fields),
    error: (event, fields) => write("error", event, fields),
    child: (fields) => wrap(logger.child(ownFields(fields))),
  };
}

const RESERVED = ["event", "level", "time"] as const;

/** The fields as they are written. A field named like one of the line's own would make the line ambiguous. */
function ownFields(fields: object): Record<string, unknown> {
  const copy = loggable(fields);
  for (const name of RESERVED) {
    if (!Object.hasOwn(copy, name)) continue;
    copy[`field_${name}`] = copy[name];
    delete copy[name];
  }
  return copy;
}

/** One a process: two writers of the same output could break into each other's lines. */
export function standardOutput(): (line: string) => void {
  const stream = destination({ dest: 1, sync: true });
  // Without a listener a full disk behind standard output would end the process.
  stream.on("error", () => {});
  return (line) => {
    stream.write(line);
  };
}

/** Turns a JSON line into `12:30:01.250 WARN  worker-1 task.retried taskId=… error="Error: no route"`. */
function prettyLine(withStacks: boolean): (line: string) => string {
  return pinoPretty.prettyFactory({
    colorize: process.stdout.isTTY === true,
    messageKey: "event",
    translateTime: "SYS:HH:MM:ss.l",
    hideObject: true,
    messageFormat: (line) => {
      const { level: _level, time: _time, event, service, worker, ...fields } = line;
      const who = typeof worker === "string" ? worker : service;
      const pairs = Object.entries(fields).map(([name, value]) => `${name}=${shortValue(value, withStacks)}`);
      return [who, event, ...pairs].join(" ");
    },
  });
}

function shortValue(value: unknown, withStacks: boolean): string {
  if (isErrorDescription(value)) {
    const { type, message, code, stack } = value;
    const reference = code === undefined ? "" : ` (${code})`;
    return quoted(`${type}: ${message}${reference}${withStacks ? `\n${stack}` : ""}`);
  }
  return typeof value === "string" && /^[\w.:/@+-]+$/.test(value) ? value : quoted(value);
}

/** As JSON, which shows where a value ends, and without what could move the cursor of the reader's terminal. */
function quoted(value: unknown): string {
  const json = JSON.stringify(value) ?? "";
  return json.replace(/[\u007f-\u009f\u2028\u2029]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

type Described = { type: string; message: string; code?: unknown; stack?: unknown };

function isErrorDescription(value: unknown): value is Described {
  if (typeof value !== "object" || value === null) return false;
  return "type" in value && typeof value.type === "string" && "message" in value && typeof value.message === "string";
}
