/**
 * Run the handler of one attempt. Returns an outcome, never throws: whatever a handler does, there is something to record.
 * Over 300 lines: one for each way to end, and they exclude each other only where they stand together.
 */

import type { Context, HostContext, TaskLog } from "../define/context.ts";
import { RetryableError, TerminalError } from "../define/errors.ts";
import type { ExecutingTask, Middlewares } from "../define/middleware.ts";
import type { TaskDefinition } from "../define/task.ts";
import { describeError } from "../describe-error.ts";
import { TaskiqError } from "../errors.ts";
import { inWords, issuesOf } from "../issues.ts";
import type { Log } from "../log.ts";
import type { AbortReason, TaskError, TaskPolicy } from "../model/task.ts";
import { encodeJson } from "../payload/json.ts";
import type { PayloadStore } from "../payload/payload.ts";
import { NO_PIPES } from "../pipes/session.ts";
import { attemptIds } from "../tracing/attempt-ids.ts";
import { traceparentOf } from "../tracing/carrier.ts";
import type { Attempt } from "./attempt.ts";
import type { ClaimedTask } from "./claim.ts";

export type Outcome =
  /** `resultText` null: the result is null. */
  | { readonly kind: "succeeded"; readonly output: unknown; readonly resultText: string | null }
  | { readonly kind: "failed"; readonly error: TaskError; readonly retry: Retry }
  /** The abort for a cancel was obeyed, or its grace time is over. */
  | { readonly kind: "cancelled"; readonly error: TaskError }
  /** A step whose condition does not hold. */
  | { readonly kind: "skipped" }
  /** A mapped step: these are to be run instead. */
  | { readonly kind: "expanded"; readonly elements: readonly NewElement[] }
  /** Given back unfinished: queued again at no cost. */
  | { readonly kind: "released" }
  /** Another attempt owns the task: write nothing. */
  | { readonly kind: "lost" };

/** `inputText` null: its input is null. */
export type NewElement = {
  readonly id: string;
  readonly key: string;
  readonly inputText: string | null;
  /** Its input is a template still, to be filled in when it is claimed. */
  readonly refers: boolean;
};

/** What an attempt begins with: the text of its input, or what it comes to without its handler. */
export type Input =
  | { readonly kind: "input"; readonly text: string | null }
  | {
      readonly kind: "decided";
      readonly outcome: Extract<Outcome, { kind: "skipped" | "expanded" | "failed" | "released" }>;
    };

/** What follows a failure: the task's policy decides, or the handler did. */
export type Retry =
  | { readonly kind: "policy" }
  | { readonly kind: "after"; readonly delayMs: number }
  | { readonly kind: "never" };

export type Execution = {
  readonly outcome: Outcome;
  readonly context: Context;
  /** Resolves when a handler that was abandoned ends after all; null when none was. */
  readonly leaked: Promise<void> | null;
};

export type ExecuteParts = {
  readonly payloads: PayloadStore;
  /** Reads the input of an attempt, wherever it is, with what it refers to. */
  readonly readInput: (task: ClaimedTask) => Input | Promise<Input>;
  /** What `ctx.parent` reads. */
  readonly readParent: (task: ClaimedTask, key: string) => AsyncIterable<unknown>;
  readonly middlewares: Middlewares;
  readonly log: Log;
  readonly maxPayloadBytes: number;
  /** Runs the handlers of tasks with isolation `process`; absent where a worker is given none to run. */
  readonly processes?: TaskProcesses;
};

/** How an attempt in a process of its own ended. `killed`: its grace time was over. */
export type Reported =
  | { readonly kind: "killed" }
  | { readonly kind: "succeeded"; readonly resultText: string | null }
  | Extract<Outcome, { kind: "failed" }>;

export type TaskProcesses = {
  /**
   * Runs the handler of the definition of this name in another process, which is killed when the attempt is abandoned.
   * @param inputText exact JSON text, checked against the schema over there; null for null
   * @throws TaskiqError when there is no process, or it is gone before the handler ended
   */
  run(attempt: Attempt, definition: TaskDefinition, inputText: string | null, context: Context): Promise<Reported>;
};

type Ending =
  /** The schema has changed since the task was accepted: no attempt can cure that. */
  | { readonly kind: "unfit"; readonly error: unknown }
  | { readonly kind: "returned"; readonly output: unknown }
  | { readonly kind: "threw"; readonly error: unknown }
  | { readonly kind: "reported"; readonly outcome: Settled }
  | Extract<Input, { kind: "decided" }>
  | { readonly kind: "killed" };

const MAX_RETRY_AFTER_MS = 86_400_000;
const ABANDONED = Symbol("abandoned");
const MAX_PROGRESS_MESSAGE = 1_000;
/** How long a process may take to be gone after SIGKILL: longer only where the system itself hangs. */
const KILL_MS = 5_000;

export async function execute(
  attempt: Attempt,
  definition: TaskDefinition,
  executing: ExecutingTask,
  parts: ExecuteParts,
): Promise<Execution> {
  const context = contextOf(attempt, executing, parts);
  const running = run(attempt, definition, executing, context, parts);
  const ending = await Promise.race([running, leftBehind(attempt, definition).then(() => ABANDONED)]);
  attempt.settle();
  if (ending === ABANDONED) {
    const outcome = outcomeOfAbandoned(attempt);
    if (outcome.kind === "failed") await parts.middlewares.call("onError", executing, outcome.error);
    return { outcome, context, leaked: running.then(() => undefined) };
  }
  // Narrowed: the race has two kinds of winners.
  const settled = ending as Ending;
  const outcome = outcomeOf(attempt, settled, parts.maxPayloadBytes);
  if (outcome.kind === "failed") {
    await parts.middlewares.call("onError", executing, "error" in settled ? settled.error : outcome.error);
  }
  return { outcome, context, leaked: null };
}

/** When nobody waits for the handler any more. What runs in a process is killed then, and ends: its slot never leaks. */
async function leftBehind(attempt: Attempt, definition: TaskDefinition): Promise<void> {
  await attempt.abandoned;
  if (isolationOf(attempt, definition) === "inline") return;
  await new Promise<void>((resolve) => void setTimeout(resolve, KILL_MS).unref());
}

function isolationOf({ task }: Attempt, { policy }: TaskDefinition): TaskPolicy["isolation"] {
  return task.step?.isolation ?? policy.isolation;
}

async function run(
  attempt: Attempt,
  definition: TaskDefinition,
  executing: ExecutingTask,
  context: Context,
  parts: ExecuteParts,
): Promise<Ending> {
  const { readInput, middlewares } = parts;
  try {
    const reading = readInput(attempt.task);
    // Most inputs stand in the row: their handlers begin in this turn of the event loop.
    const read = reading instanceof Promise ? await reading : reading;
    if (read.kind === "decided") return read;
    const { text } = read;
    const apart = isolationOf(attempt, definition) === "process";
    // The text goes over as it is, and is read by who runs the handler.
    const fit = apart ? NOT_READ : fitInput(definition, text === null ? null : JSON.parse(text));
    if (fit.kind === "unfit") return fit;
    const hooks = middlewares.call("preExecute", executing);
    if (hooks !== null) await hooks;
    // Aborted while its input was read: what has not begun need not be stopped.
    if (attempt.abortReason !== null) throw new Error(`aborted before it began: ${attempt.abortReason}`);
    if (apart) return await runApart(attempt, definition, text, context, parts);
    return { kind: "returned", output: await definition.run(fit.input, context) };
  } catch (error) {
    return { kind: "threw", error };
  }
}

async function runApart(
  attempt: Attempt,
  definition: TaskDefinition,
  inputText: string | null,
  context: Context,
  { processes, maxPayloadBytes }: ExecuteParts,
): Promise<Ending> {
  if (processes === undefined) {
    const message = `expected a worker with processes for the task ${definition.name}. Hand it a pool.`;
    throw new TaskiqError("internal", message);
  }
  const reported = await processes.run(attempt, definition, inputText, context);
  if (reported.kind === "killed") return reported;
  if (reported.kind === "failed") return { kind: "reported", outcome: reported };
  const { resultText } = reported;
  // Only a commit wants the value; the row takes the text.
  const output: unknown = definition.commit === undefined || resultText === null ? null : JSON.parse(resultText);
  return { kind: "reported", outcome: bounded(output, resultText, maxPayloadBytes) };
}

const NOT_READ = { kind: "fit", input: null } as const;

/** A null that the schema takes for absent was stored as such. */
export function fitInput(
  definition: TaskDefinition,
  value: unknown,
): { kind: "fit"; input: unknown } | { kind: "unfit"; error: unknown } {
  const checked = definition.input.safeParse(value);
  if (checked.success) return { kind: "fit", input: checked.data };
  const absent = value === null ? definition.input.safeParse(undefined) : checked;
  if (absent.success) return { kind: "fit", input: absent.data };
  const message = `${inWords(issuesOf(checked.error, ["input"]))}. The schema of ${definition.name} has changed since the task was accepted: deploy one that takes both.`;
  return { kind: "unfit", error: new TaskiqError("input_invalid", message) };
}

function outcomeOf(attempt: Attempt, ending: Ending, maxPayloadBytes: number): Outcome {
  const reason = attempt.abortReason;
  if (reason === "timeout") {
    const grace = attempt.task.policy.graceMs;
    const how =
      ending.kind === "killed"
        ? `and its process was killed after its grace time of ${grace} ms`
        : "and its signal was aborted";
    return timedOut(attempt, how);
  }
  if (ending.kind === "decided") return reason === null ? ending.outcome : aborted(reason, attempt);
  if (ending.kind === "returned") return succeeded(ending.output, maxPayloadBytes);
  if (ending.kind === "reported" && ending.outcome.kind === "succeeded") return ending.outcome;
  if (reason !== null) return aborted(reason, attempt);
  if (ending.kind === "reported") return ending.outcome;
  if (ending.kind === "killed") return failed(new TaskiqError("internal", "expected no kill without an abort."));
  if (ending.kind === "unfit") return { kind: "failed", error: taskErrorOf(ending.error), retry: { kind: "never" } };
  return failed(ending.error);
}

/** What the handler would have said is unknown, and nobody waits for it. */
function outcomeOfAbandoned(attempt: Attempt): Outcome {
  const reason = attempt.abortReason ?? "timeout";
  const ignored = `and it ignored its signal for ${attempt.task.policy.graceMs} ms`;
  return reason === "timeout" ? timedOut(attempt, ignored) : aborted(reason, attempt);
}

function aborted(reason: Exclude<AbortReason, "timeout">, attempt: Attempt): Outcome {
  switch (reason) {
    case "cancelled":
      return {
        kind: "cancelled",
        error: { code: "cancelled", type: "Cancelled", message: `Attempt ${attempt.task.attempt} was cancelled.` },
      };
    case "shutdown":
      return { kind: "released" };
    case "lease_lost":
      return { kind: "lost" };
  }
}

function timedOut(attempt: Attempt, how: string): Outcome {
  const message = `The attempt ran longer than its timeout of ${attempt.task.policy.timeoutMs} ms ${how}. Raise timeoutMs or make the task shorter.`;
  return { kind: "failed", error: { code: "timeout", type: "TimeoutError", message }, retry: { kind: "policy" } };
}

type Settled = Extract<Outcome, { kind: "succeeded" | "failed" }>;

/** The outcome of a handler that returned this. */
export function succeeded(output: unknown, maxPayloadBytes: number): Settled {
  if (output === undefined || output === null) return { kind: "succeeded", output, resultText: null };
  let text: string;
  try {
    text = encodeJson(output, { maxChars: maxPayloadBytes });
  } catch (error) {
    return { kind: "failed", error: { ...taskErrorOf(error), code: "result_not_storable" }, retry: { kind: "never" } };
  }
  return bounded(output, text, maxPayloadBytes);
}

function bounded(output: unknown, text: string | null, maxPayloadBytes: number): Settled {
  const bytes = text === null ? 0 : Buffer.byteLength(text);
  if (bytes > maxPayloadBytes) {
    const message = `The result has ${bytes} bytes, the limit is ${maxPayloadBytes} (TASKIQ_MAX_PAYLOAD_BYTES). Store it yourself and return a reference.`;
    const error: TaskError = { code: "result_not_storable", type: "ResultTooLarge", message };
    return { kind: "failed", error, retry: { kind: "never" } };
  }
  return { kind: "succeeded", output, resultText: text };
}

export function failed(thrown: unknown): Extract<Outcome, { kind: "failed" }> {
  const error = taskErrorOf(thrown);
  if (isA(thrown, TerminalError)) return { kind: "failed", error, retry: { kind: "never" } };
  if (isA(thrown, RetryableError)) {
    const delayMs: unknown = thrown.retryAfterMs;
    // Its constructor checks it, but a handler can write whatever it likes into its own error.
    if (typeof delayMs === "number" && Number.isFinite(delayMs) && delayMs >= 0) {
      return { kind: "failed", error, retry: { kind: "after", delayMs: Math.min(delayMs, MAX_RETRY_AFTER_MS) } };
    }
  }
  return { kind: "failed", error, retry: { kind: "policy" } };
}

/** Our own errors keep their code; a handler's has `handler_error`, whatever `code` a library put on it. */
function taskErrorOf(thrown: unknown): TaskError {
  const { type, message, stack } = describeError(thrown);
  const code = isA(thrown, TaskiqError) ? thrown.code : "handler_error";
  return { code, type, message, ...(stack !== undefined && { stack }) };
}

/** `instanceof` for anything that can be thrown: asking a revoked proxy for its prototype throws. */
function isA<Instance>(thrown: unknown, type: abstract new (...args: never[]) => Instance): thrown is Instance {
  try {
    return thrown instanceof type;
  } catch {
    return false;
  }
}

/** The attempt as hooks and logs see it. @param traceContext of its span, where it has one */
export function executingOf(task: ClaimedTask, traceContext: string | null): ExecutingTask {
  return {
    id: task.id,
    name: task.name,
    queue: task.queue,
    tenant: task.tenant,
    attempt: task.attempt,
    labels: task.labels,
    traceContext,
    step: task.step,
    waitMs: task.waitMs,
    failures: task.failures,
    timeoutMs: task.policy.timeoutMs,
  };
}

/** What the handler of an attempt is given. */
export function contextOf(
  attempt: Attempt,
  executing: ExecutingTask,
  {
    log,
    payloads,
    maxPayloadBytes,
    readParent,
  }: Pick<ExecuteParts, "log" | "payloads" | "maxPayloadBytes" | "readParent">,
): HostContext {
  const { task } = attempt;
  let ownLog: TaskLog | undefined;
  return {
    taskId: task.id,
    task: task.name,
    queue: task.queue,
    tenant: task.tenant,
    attempt: task.attempt,
    failures: task.failures,
    labels: task.labels,
    idempotencyKey: task.id,
    traceparent: traceparentOf(executing.traceContext),
    get signal() {
      return attempt.signal();
    },
    get log() {
      ownLog ??= taskLog(log.child(attemptIds(executing)));
      return ownLog;
    },
    progress(fraction, message) {
      if (Number.isNaN(fraction)) return;
      attempt.progress = Math.min(1, Math.max(0, fraction));
      // Text columns cannot hold U+0000.
      if (message !== undefined)
        attempt.progressMessage = message.slice(0, MAX_PROGRESS_MESSAGE).replaceAll("\0", "\\0");
    },
    parent: (key) => readParent(task, key),
    pipes: NO_PIPES,
    abandoned: attempt.abandoned,
    store: async (value) => await payloads.put(task.id, encodeJson(value, { maxChars: maxPayloadBytes })),
  };
}

/** Whatever a handler writes is `task.log`: alarms match on the names of the other events. */
function taskLog(log: Log): TaskLog {
  const own = (message: string, fields: object): object => {
    try {
      return { ...fields, message };
    } catch {
      // A getter that throws costs the fields, not the attempt.
      return { message };
    }
  };
  return {
    debug: (message, fields = {}) => log.debug("task.log", own(message, fields)),
    info: (message, fields = {}) => log.info("task.log", own(message, fields)),
    warn: (message, fields = {}) => log.warn("task.log", own(message, fields)),
    error: (message, fields = {}) => log.error("task.log", own(message, fields)),
  };
}
