/**
 * The mode `simple`: a whole run as one task. Its steps run in this process, by the same rules as those of other runs (model/interpret.ts), and
 * leave a record of how each ended as the task's result. Fewer messages and rows; after a crash the run begins again.
 *
 * A step is tried like a task: by its schema, with its own timeout, grace time and retries, and what it returns goes through JSON. What concerns
 * the fleet does not apply to it: queue, priority, ordering key, limits. A run whose steps failed is a task that succeeded: only so is there a
 * record, and its `state` says how the run ended. An abort of the task aborts the steps that run, and ends it without a record.
 *
 * Over 300 lines: the loop over the steps and the attempts in it share the run, its clock and its abort.
 */

import { v5 as uuidv5 } from "uuid";
import { z } from "zod";
import type { Clock } from "../clock.ts";
import type { CommitClient, Context } from "../define/context.ts";
import { GRAPH_SCHEMA } from "../define/graph-schema.ts";
import type { Registry } from "../define/registry.ts";
import { defineSystemTask, type TaskDefinition } from "../define/task.ts";
import { shapesOf } from "../define/task-shape.ts";
import { TaskiqError } from "../errors.ts";
import { type Attempt, startAttempt } from "../flow/attempt.ts";
import { execute, failed, type Outcome } from "../flow/execute.ts";
import { policyOf } from "../flow/prepare-run.ts";
import { inWords } from "../issues.ts";
import type { Log } from "../log.ts";
import { elementKey, type Step } from "../model/graph.ts";
import { planGraph } from "../model/graph-check.ts";
import { type RunInMemory, type StepEnd, startRun } from "../model/interpret.ts";
import { retryDelayMs } from "../model/retry.ts";
import { mappedKeyOf, type RunState, SIMPLE_RUN_TASK } from "../model/run.ts";
import { type AbortReason, isTerminal, POLICY_LIMITS, type TaskError, type TaskState } from "../model/task.ts";
import { encodeJson } from "../payload/json.ts";
import type { PayloadStore } from "../payload/payload.ts";
import { type AttemptSpan, inSpan, type Tracing } from "../tracing/tracing.ts";

export type SimpleRunParts = {
  readonly payloads: PayloadStore;
  readonly log: Log;
  readonly clock: Clock;
  /** Of each step's result, and of the record of the whole run. */
  readonly maxPayloadBytes: number;
  /** Makes a span of each try of a step. Absent: there are none. */
  readonly tracing?: Tracing;
};

/** What is left of a run: the result of its task. */
export type SimpleRunRecord = {
  readonly state: RunState;
  /** Of all steps and elements, by key. */
  readonly steps: Readonly<Record<string, StepRecord>>;
  /** Null unless the run has succeeded. */
  readonly result: unknown;
};

export type StepRecord = {
  readonly state: TaskState;
  readonly result: unknown;
  readonly error: TaskError | null;
  /** How often it was tried; 0 for a mapped step, whose elements are. */
  readonly attempts: number;
  /** ISO 8601; null: it never was. */
  readonly started_at: string | null;
  readonly finished_at: string | null;
};

const INPUT = z.strictObject({
  run_id: z.uuid(),
  /** With the run's input in it. */
  graph: GRAPH_SCHEMA,
  /** How many steps run at once, from 1 to 1,000. */
  concurrency: z.int().min(1).max(1_000).default(8),
});
type Input = z.output<typeof INPUT>;

/** What a step writes in the transaction of the whole run. */
type Effect = (tx: CommitClient) => Promise<void>;

/** @param registry the tasks that steps may be */
export function createSimpleRun(
  registry: Registry,
  parts: SimpleRunParts,
): TaskDefinition<typeof INPUT, SimpleRunRecord> {
  const shapes = shapesOf(registry);
  // By record: one definition has many runs at the same time.
  const effectsOf = new WeakMap<SimpleRunRecord, readonly Effect[]>();
  return defineSystemTask({
    name: SIMPLE_RUN_TASK,
    input: INPUT,
    // The run has its own deadline, and each step its timeout and grace time.
    timeoutMs: POLICY_LIMITS.timeoutMs.max,
    graceMs: POLICY_LIMITS.graceMs.max,
    async run(input: Input, ctx): Promise<SimpleRunRecord> {
      const plan = planGraph(input.graph, null, shapes);
      if (plan.kind === "invalid") {
        const issues = inWords(plan.issues);
        throw new TaskiqError("graph_invalid", `${issues}. The tasks have changed since the run was accepted.`);
      }
      const run = startRun(plan.steps);
      const { record, effects } = await runSteps(run, plan.steps.length, input, ctx, registry, parts);
      effectsOf.set(record, effects);
      return record;
    },
    async commit(tx, record) {
      for (const effect of effectsOf.get(record) ?? []) await effect(tx);
    },
  });
}

/** What `ctx.parent` reads. */
async function* resultsOf(run: RunInMemory, key: string): AsyncIterable<unknown> {
  const state = run.states().get(key);
  if (state === undefined || !isTerminal(state)) {
    const found = state === undefined ? "there is none" : `it is ${state}`;
    const message = `ctx.parent(${JSON.stringify(key)}): expected the key of a step of this run that has ended, ${found}. Name it in after.`;
    throw new TaskiqError("reference_invalid", message);
  }
  const elements = run.elementsOf(key);
  if (elements === null) yield run.get(key).result ?? null;
  else for (let index = 0; index < elements; index++) yield run.get(elementKey(key, index)).result ?? null;
}

async function runSteps(
  run: RunInMemory,
  stepCount: number,
  { run_id: runId, graph, concurrency }: Input,
  outer: Context,
  registry: Registry,
  parts: SimpleRunParts,
): Promise<{ readonly record: SimpleRunRecord; readonly effects: readonly Effect[] }> {
  const { clock } = parts;
  const book = openBook(run, stepCount, clock, outer);
  const effects: Effect[] = [];
  const attempts = new Set<Attempt>();
  const abort = () => {
    for (const attempt of attempts) attempt.abort(reasonOf(outer.signal));
  };

  /** Null: it was not ended, because the run is aborted. */
  async function runStep(key: string, step: Step, input: unknown): Promise<StepEnd | null> {
    const definition = registry.get(step.task);
    // The plan knows no other tasks.
    if (definition === undefined) throw new TaskiqError("internal", `expected a task called ${step.task}.`);
    const policy = policyOf(step, definition);
    let inputText: string | null;
    try {
      inputText = input === null ? null : encodeJson(input, { maxChars: parts.maxPayloadBytes });
    } catch (error) {
      // Results of parents that are fine by themselves, and too much together.
      book.tried(key);
      return { kind: "failed", error: failed(error).error };
    }
    for (let failures = 0; ; ) {
      // What is started after the abort would not hear of it.
      if (outer.signal.aborted) return null;
      book.tried(key);
      const { outcome, context } = await tryStep(key, step, definition, inputText, failures);
      if (outcome.kind === "succeeded") {
        const { commit } = definition;
        const { output, resultText } = outcome;
        if (commit !== undefined) effects.push(effectOf(key, (tx) => commit.call(definition, tx, output, context)));
        return { kind: "succeeded", result: resultText === null ? null : JSON.parse(resultText) };
      }
      if (outer.signal.aborted || outcome.kind !== "failed") return null;
      failures++;
      const fallbackMs = retryDelayMs(policy, failures, Math.random());
      const { error, retry } = outcome;
      if (fallbackMs === null || retry.kind === "never") return { kind: "failed", error };
      const delayMs = retry.kind === "after" ? retry.delayMs : fallbackMs;
      await clock.after(delayMs, outer.signal).catch(() => {});
    }
  }

  async function tryStep(
    key: string,
    step: Step,
    definition: TaskDefinition,
    inputText: string | null,
    failures: number,
  ): Promise<{ readonly outcome: Outcome; readonly context: Context }> {
    const attempt = startAttempt(
      {
        id: outer.taskId,
        attempt: failures + 1,
        failures,
        name: definition.name,
        queue: outer.queue,
        tenant: outer.tenant,
        priority: 0,
        inputText,
        inputRef: null,
        labels: { ...outer.labels, ...step.labels },
        traceContext: outer.traceparent,
        step: null,
        limited: false,
        policy: policyOf(step, definition),
        createdAt: new Date(clock.wallMs()),
        waitMs: 0,
      },
      clock.nowMs(),
    );
    attempts.add(attempt);
    const own = (ctx: Context): Context => ({
      ...ctx,
      idempotencyKey: uuidv5(key, runId),
      progress: (_fraction, message) => book.report(message === undefined ? key : `${key}: ${message}`),
    });
    const told: TaskDefinition = { ...definition, run: (input, ctx) => definition.run(input, own(ctx)) };
    const { timeoutMs } = attempt.task.policy;
    const traced = { ...attempt.task, step: { runId, key } };
    const span = parts.tracing?.step(traced) ?? null;
    const executing = { ...traced, traceContext: span?.traceContext ?? traced.traceContext, timeoutMs };
    const { outcome, context } = await inSpan(span, () =>
      execute(attempt, told, executing, {
        payloads: parts.payloads,
        // In another turn of the event loop: who starts the run gets hold of it first.
        readInput: async () => ({ kind: "input", text: inputText }),
        readParent: (_, parent) => resultsOf(run, parent),
        // Hooks are about tasks: those of the whole run are called.
        middlewares: { call: () => null },
        log: parts.log,
        maxPayloadBytes: parts.maxPayloadBytes,
      }),
    );
    span?.end(endOf(outcome));
    attempts.delete(attempt);
    return { outcome, context: own(context) };
  }

  outer.signal.addEventListener("abort", abort);
  try {
    await inParallel(concurrency, () => {
      for (const key of run.queued) {
        if (outer.signal.aborted) return null;
        const begun = run.begin(key);
        book.begun(key, begun.kind === "expanded" ? begun.elements.length : 0);
        if (begun.kind !== "running") continue;
        return runStep(key, begun.step, begun.input).then((end) => {
          if (end !== null) run.end(key, end);
          book.note(key);
        });
      }
      return null;
    });
  } finally {
    outer.signal.removeEventListener("abort", abort);
  }
  if (run.state() === "running") {
    outer.signal.throwIfAborted();
    throw new TaskiqError("internal", "expected every step to be over, as nothing runs and nothing is aborted.");
  }
  return { record: { state: run.state(), steps: book.steps(), result: run.result(graph.result) }, effects };
}

/** Starts what `next` has to start, at most so many at once, until nothing runs and there is nothing more. */
async function inParallel(atOnce: number, next: () => Promise<void> | null): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    let running = 0;
    const fill = (): void => {
      while (running < atOnce) {
        const started = next();
        if (started === null) break;
        running++;
        started
          .then(() => {
            running--;
            fill();
          })
          .catch(reject);
      }
      if (running === 0) resolve();
    };
    fill();
  });
}

/** When each step began and ended, and how far the run is. */
function openBook(run: RunInMemory, stepCount: number, clock: Clock, outer: Context) {
  const startedAt = new Map<string, string>();
  const finishedAt = new Map<string, string>();
  const attempts = new Map<string, number>();
  const elementCounts = new Map<string, number>();
  let noted = 0;
  let share = 0;
  const nowText = () => new Date(clock.wallMs()).toISOString();
  const tried = (key: string) => void attempts.set(key, (attempts.get(key) ?? 0) + 1);

  /** Of the steps; an element is its part of one. */
  function shareOf(key: string): number {
    const mapped = mappedKeyOf(key);
    if (mapped !== null) return 1 / (elementCounts.get(mapped) ?? 1);
    return (elementCounts.get(key) ?? 0) > 0 ? 0 : 1;
  }

  function note(message: string): void {
    for (; noted < run.over.length; noted++) {
      const key = run.over[noted] ?? "";
      finishedAt.set(key, nowText());
      share += shareOf(key) / stepCount;
    }
    outer.progress(share, message);
  }

  return {
    note,
    tried,
    report: (message: string) => outer.progress(share, message),
    begun(key: string, elements: number): void {
      startedAt.set(key, nowText());
      elementCounts.set(key, elements);
      // It has failed without its handler.
      if (run.get(key).state === "failed") tried(key);
      note(key);
    },
    steps: (): Record<string, StepRecord> =>
      Object.fromEntries(
        [...run.states().keys()].map((key) => [
          key,
          {
            ...run.get(key),
            attempts: attempts.get(key) ?? 0,
            started_at: startedAt.get(key) ?? null,
            finished_at: finishedAt.get(key) ?? null,
          },
        ]),
      ),
  };
}

/** Named by its step: the transaction is that of all. */
function effectOf(key: string, commit: (tx: CommitClient) => void | Promise<void>): Effect {
  return async (tx) => {
    try {
      await commit(tx);
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`commit(tx) of step ${key}: ${message}`, { cause });
    }
  };
}

function endOf(outcome: Outcome): Parameters<AttemptSpan["end"]>[0] {
  switch (outcome.kind) {
    case "failed":
    case "cancelled":
      return { recorded: outcome.kind, error: outcome.error };
    case "succeeded":
    case "skipped":
      return { recorded: outcome.kind, error: null };
    case "expanded":
      return { recorded: "blocked", error: null };
    case "released":
      return { recorded: "queued", error: null };
    case "lost":
      return { recorded: "nothing", error: null };
  }
}

/** What the worker aborts with is one of these words. */
function reasonOf({ reason }: AbortSignal): AbortReason {
  return reason as AbortReason;
}
