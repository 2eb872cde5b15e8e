/**
 * The entry of a task's process: loads the task modules as the worker does, then runs one attempt after the other as it is told.
 *
 * It ends with its worker, and takes with it what handlers have started: the channel to the worker closes, and the group is killed. Where a
 * handler computes without a pause nothing here can run, and the worker's guard does it (groups.ts).
 */
import { systemClock } from "../clock.ts";
import { createRegistry, loadTasks, type Registry } from "../define/registry.ts";
import type { TaskDefinition } from "../define/task.ts";
import { describeError } from "../describe-error.ts";
import { TaskiqError } from "../errors.ts";
import { failed, fitInput, succeeded } from "../flow/execute.ts";
import { TASKS } from "../tasks/index.ts";
import { withinTrace } from "../tracing/tracing.ts";
import { type ChildContext, createChildContext } from "./child-context.ts";
import type { ChildOutcome, FromChild, ToChild } from "./messages.ts";

let registry: Registry = new Map();
let current: { readonly run: number; readonly context: ChildContext } | null = null;

function send(message: FromChild, sent: () => void = () => {}): void {
  // Else the worker is gone, and the channel's end ends this process too.
  if (process.connected) process.send?.(message, undefined, undefined, sent);
}

async function load(modules: readonly string[]): Promise<void> {
  try {
    registry = createRegistry([...TASKS, ...(await loadTasks(modules))]);
    send({ kind: "ready" });
  } catch (error) {
    send({ kind: "unusable", message: describeError(error).message }, () => process.exit(1));
  }
}

async function run(message: Extract<ToChild, { kind: "run" }>): Promise<void> {
  const context = createChildContext(message.run, message.facts, systemClock.nowMs, send);
  current = { run: message.run, context };
  const outcome = await outcomeOf(message, context);
  end(message.run, outcome, false);
}

async function outcomeOf(message: Extract<ToChild, { kind: "run" }>, context: ChildContext): Promise<ChildOutcome> {
  try {
    const definition = registry.get(message.facts.task);
    if (definition === undefined) throw unknownHere(message.facts.task);
    const value: unknown = message.inputText === null ? null : JSON.parse(message.inputText);
    const fit = fitInput(definition, value);
    if (fit.kind === "unfit") return { ...failure(fit.error), retry: { kind: "never" } };
    return await result(definition, fit.input, context, message.maxPayloadBytes);
  } catch (error) {
    return failure(error);
  }
}

async function result(
  definition: TaskDefinition,
  input: unknown,
  context: ChildContext,
  maxPayloadBytes: number,
): Promise<ChildOutcome> {
  // Where the handler's own modules register an SDK of OpenTelemetry, what they trace belongs to this attempt.
  const returned = withinTrace(context.context.traceparent, () => definition.run(input, context.context));
  const outcome = succeeded(await returned, maxPayloadBytes);
  return outcome.kind === "succeeded" ? { kind: "succeeded", resultText: outcome.resultText } : outcome;
}

function failure(error: unknown): Extract<ChildOutcome, { kind: "failed" }> {
  return failed(error);
}

/** Says how the attempt ended, unless that was said before. */
function end(run: number, outcome: ChildOutcome, last: boolean, sent?: () => void): void {
  if (current?.run !== run) return;
  current.context.close();
  current = null;
  send({ kind: "ended", run, outcome, last }, sent);
}

function unknownHere(task: string): TaskiqError {
  return new TaskiqError(
    "process_crashed",
    `expected the task ${task} in the process that is to run it, its modules define none. Load it by TASKIQ_TASK_MODULES, or in runtime/tasks/index.ts.`,
  );
}

// The channel carries what the worker sends, and nobody else has its other end.
process.on("message", (message: ToChild) => {
  switch (message.kind) {
    case "load":
      void load(message.modules);
      break;
    case "run":
      void run(message);
      break;
    case "abort":
      if (current?.run === message.run) current.context.abort(message.reason);
  }
});

process.on("disconnect", () => {
  try {
    process.kill(-process.pid, "SIGKILL");
  } catch {
    process.exit(1);
  }
});

// For what the handler has started; the handler itself has its signal, and its time to clean up.
process.on("SIGTERM", () => {});

process.on("uncaughtException", (error) => {
  if (current === null) {
    process.stderr.write(`${describeError(error).stack ?? String(error)}\n`);
    process.exit(1);
  }
  // Thrown where nobody waits, by a timer or a stream of the handler's: what it left undone is unknown.
  end(current.run, failure(error), true, () => process.exit(1));
});

// A promise that a handler forgot is no reason to end it, as in the worker.
process.on("unhandledRejection", (error) => {
  const { message, stack } = describeError(error);
  process.stderr.write(`a promise was rejected and nobody listened: ${stack ?? message}\n`);
});
