/**
 * The second phase of an attempt: write its outcome down. It may be repeated for as long as the database is away, because every write is fenced.
 * A switch over the kinds of outcomes, each with its few lines: the result or the elements stored first, the commit with its own transaction.
 * Over 300 lines by its switch: apart, each kind would have to be handed what all of them share.
 */

import type { Clock } from "../clock.ts";
import type { CommitClient, Context } from "../define/context.ts";
import type { TaskDefinition } from "../define/task.ts";
import { TaskiqError } from "../errors.ts";
import type { Attempt } from "../flow/attempt.ts";
import type { ClaimedTask } from "../flow/claim.ts";
import { type AttemptRef, complete, completeWithEffects, type Success } from "../flow/complete.ts";
import { completeSteps, type StepsCompleted } from "../flow/complete-steps.ts";
import { failed, type NewElement, type Outcome } from "../flow/execute.ts";
import { expand, type StoredElement } from "../flow/expand.ts";
import { type Failure, fail } from "../flow/fail.ts";
import { leaving, ownExit } from "../flow/limits.ts";
import { release } from "../flow/release.ts";
import { retryDelayMs } from "../model/retry.ts";
import { type RunState, SIMPLE_RUN_TASK } from "../model/run.ts";
import type { TaskError } from "../model/task.ts";
import type { PayloadStore } from "../payload/payload.ts";
import { isUnstorable } from "../postgres/failure.ts";
import type { Database } from "../postgres/pool.ts";
import { CommitRejected, commitClient } from "./commit-client.ts";
import { createStepRecorder, type StepItem, type StepRecorderParts } from "./record-steps.ts";
import { createWriters, NOT_STORABLE, type Recorded, type WriterParts } from "./until-recorded.ts";

/** `limited`: the attempt holds room at limit keys. `runId`: it is one of a step. */
type Exit = { readonly limited: boolean; readonly runId: string | null };

export type Recorder = {
  /** Resolves when the outcome is in the database or was refused; rejects only when the process stops before. */
  record(
    attempt: Attempt,
    outcome: WritableOutcome,
    definition: TaskDefinition,
    context: Context,
    /** Whether its slot may go on with another step. */
    continues?: boolean,
  ): Promise<Entered>;
};

export type Entered = {
  readonly recorded: Recorded;
  /** What was written as the cause: also that of a success whose commit failed. Null where nothing failed. */
  readonly error: TaskError | null;
  /** When a failed task is due again; null where it is not queued for that reason. */
  readonly retryInMs: number | null;
  /** A step that was readied and claimed with this outcome, for the slot of this attempt. */
  readonly next: ClaimedTask | null;
};

export type WritableOutcome = Exclude<Outcome, { kind: "lost" }>;

export type RecorderParts = WriterParts &
  StepRecorderParts & {
    readonly database: Database;
    /** Connections for `commit(tx)`: handlers that are slow there cannot take those the others record through. */
    readonly commitDatabase: Database;
    readonly payloads: PayloadStore;
    readonly clock: Clock;
    readonly commitTimeoutMs: number;
    readonly inlinePayloadBytes: number;
  };

/** A commit whose connection breaks every time is the handler's own doing. */
const COMMIT_TRIES = 5;
const NO_RESULT = { resultText: null, resultRef: null };

export function createRecorder(parts: RecorderParts): Recorder {
  const { database, payloads } = parts;
  const { batched, untilAnswered } = createWriters(parts);
  const steps = createStepRecorder(parts, { batched });
  const successes = batched<Success & Exit>(async (items) => {
    const recorded = await leaving(
      database,
      items,
      async (on, some) => (await complete(on, some)).map((accepted) => (accepted ? ("succeeded" as const) : null)),
      parts.ring,
    );
    return recorded.map((state) => state ?? "refused");
  });
  const failures = batched<Failure & Exit>(async (items) => {
    const states = await leaving(database, items, fail, parts.ring);
    return states.map((state) => state ?? "refused");
  });
  const releases = batched<AttemptRef & Exit>(async (items) => {
    const states = await leaving(database, items, release, parts.ring);
    return states.map((state) => state ?? "refused");
  });

  async function record(
    attempt: Attempt,
    outcome: WritableOutcome,
    definition: TaskDefinition,
    context: Context,
    continues = false,
  ): Promise<Entered> {
    const { id, attempt: fence, limited, step } = attempt.task;
    const runId = step?.runId ?? null;
    switch (outcome.kind) {
      case "released":
        return plainly(ended(await releases({ id, attempt: fence, limited, runId })));
      case "skipped":
        return plainly(ended(await steps.write(stepItem(attempt, NO_RESULT, true, continues))), attempt);
      case "expanded":
        return await recordExpansion(attempt, outcome.elements, definition, context);
      case "cancelled":
        // The flag is in the row, and fail.sql ends such a row cancelled.
        return await recordFailure({
          id,
          attempt: fence,
          limited,
          runId,
          error: outcome.error,
          retryAfterMs: null,
          deadLetter: false,
        });
      case "failed":
        return await recordFailure(failureOf(attempt, outcome));
      case "succeeded": {
        const recorded = await recordSuccess(attempt, outcome, definition, context, continues);
        if (typeof recorded !== "string") return record(attempt, recorded, definition, context);
        return plainly(recorded, attempt);
      }
    }
  }

  function plainly(recorded: Recorded, attempt?: Attempt): Entered {
    const next = attempt === undefined ? null : steps.takeNext({ id: attempt.task.id, attempt: attempt.task.attempt });
    return { recorded, error: null, retryInMs: null, next };
  }

  function stepItem(
    { task }: Attempt,
    result: Pick<Success, "resultText" | "resultRef">,
    skipped: boolean,
    continues: boolean,
  ): StepItem {
    const { id, attempt, limited, step, queue } = task;
    if (step === null) throw new RangeError(`expected task ${id} to be a step`);
    return { id, attempt, limited, runId: step.runId, skipped, queue: continues ? queue : null, ...result };
  }

  /** The step is blocked then, and waits for its elements; one that was cancelled meanwhile is not expanded. */
  async function recordExpansion(
    attempt: Attempt,
    elements: readonly NewElement[],
    definition: TaskDefinition,
    context: Context,
  ): Promise<Entered> {
    const { task } = attempt;
    const stored = await storedElements(elements).catch((error) => error as Error);
    if (!Array.isArray(stored)) return record(attempt, failed(stored) as WritableOutcome, definition, context); // `failed` makes no `lost`.
    const write = async (): Promise<Recorded[]> => {
      const expansion = await expand(database, task, stored);
      parts.announce(expansion.readied);
      if (expansion.state === "blocked") parts.observer?.expanded(task, stored.length);
      return [expansion.state];
    };
    const entry = { item: { id: task.id, attempt: task.attempt }, uncertain: false };
    const [recorded] = await untilAnswered([entry], write);
    if (recorded === "cancelled") {
      const message = "Cancelled before it was expanded.";
      return record(
        attempt,
        { kind: "cancelled", error: { code: "cancelled", type: "Cancelled", message } },
        definition,
        context,
      );
    }
    return plainly(typeof recorded === "string" ? recorded : "refused");
  }

  async function storedElements(elements: readonly NewElement[]): Promise<StoredElement[]> {
    const result: StoredElement[] = [];
    for (const { id, key, inputText, refers } of elements) {
      const { resultText, resultRef } = await stored("input", id, inputText);
      result.push({ id, key, inputText: resultText, inputRef: resultRef, refers });
    }
    return result;
  }

  async function recordFailure(failure: Failure & Exit): Promise<Entered> {
    const recorded = ended(await failures(failure));
    return {
      recorded,
      error: failure.error,
      retryInMs: recorded === "queued" ? failure.retryAfterMs : null,
      next: null,
    };
  }

  /** The outcome to record instead, where the success could not be: its commit failed, or its result cannot be stored. */
  async function recordSuccess(
    attempt: Attempt,
    outcome: Extract<Outcome, { kind: "succeeded" }>,
    definition: TaskDefinition,
    context: Context,
    continues: boolean,
  ): Promise<Recorded | WritableOutcome> {
    const { id, attempt: fence, limited, step } = attempt.task;
    let success: Success & Exit;
    let result: Pick<Success, "resultText" | "resultRef">;
    try {
      result = await stored("result", id, outcome.resultText);
      success = { id, attempt: fence, limited, runId: step?.runId ?? null, ...result };
    } catch (error) {
      return failed(error) as WritableOutcome; // `failed` makes no `lost`.
    }
    if (definition.commit === undefined) {
      const recorded = await (step === null
        ? successes(success)
        : steps.write(stepItem(attempt, result, false, continues)));
      return recorded === NOT_STORABLE ? notStorable() : recorded;
    }
    const commit = definition.commit.bind(definition);
    let tries = 0;
    const write = async (): Promise<Recorded[]> => {
      const accepted = await commitWithin(success, outcomeOfRun(definition, outcome.output), (tx) => {
        tries++;
        return commit(tx, outcome.output, context);
      });
      return [accepted ? "succeeded" : "refused"];
    };
    try {
      const [recorded] = await untilAnswered([{ item: success, uncertain: false }], write, () => tries >= COMMIT_TRIES);
      return typeof recorded === "string" ? recorded : "refused";
    } catch (error) {
      if (parts.gaveUp()) throw error;
      // A constraint that is checked at the commit refuses the handler's effects, not our result.
      if (isUnstorable(error)) return notStorable();
      return failed(error instanceof CommitRejected ? error.cause : error) as WritableOutcome; // `failed` makes no `lost`.
    }
  }

  async function stored(
    kind: "input" | "result",
    id: string,
    text: string | null,
  ): Promise<Pick<Success, "resultText" | "resultRef">> {
    if (text === null) return NO_RESULT;
    const bytes = Buffer.byteLength(text);
    parts.observer?.payloadStored(kind, bytes);
    if (bytes <= parts.inlinePayloadBytes) return { resultText: text, resultRef: null };
    return { resultText: null, resultRef: await payloads.put(id, text) };
  }

  /** Bounded by `commitTimeoutMs`: afterwards the transaction is rolled back and its client refuses every statement. */
  async function commitWithin(
    success: Success & Exit,
    outcome: RunState | null,
    commit: (tx: CommitClient) => void | Promise<void>,
  ): Promise<boolean> {
    const limitMs = parts.commitTimeoutMs;
    const { runId } = success;
    let readied: StepsCompleted["readied"] = [];
    const recorded = await completeWithEffects(
      parts.commitDatabase,
      success,
      async (tx) => {
        const client = commitClient(tx);
        const overdue = new AbortController();
        try {
          await Promise.race([
            (async () => commit(client.facade))().catch((error) => {
              // What a handler throws is its failure, whatever it looks like: a refused connection may be that of another
              // service, and repeating would go on for ever. Only what undid this very transaction is ours.
              throw client.broken() ?? new CommitRejected(error);
            }),
            parts.clock.after(limitMs, overdue.signal).then(() => {
              throw new TaskiqError(
                "commit_timeout",
                `commit(tx): expected it to end within ${limitMs} ms, it still runs. Write less in it, or raise TASKIQ_COMMIT_TIMEOUT_MS.`,
              );
            }),
          ]);
        } finally {
          overdue.abort();
          client.close();
        }
      },
      success.limited || runId !== null ? ownExit(success, parts.ring) : null,
      runId === null
        ? undefined
        : async (tx) => {
            const completed = await completeSteps(tx, [{ ...success, runId, skipped: false, outcome }], null);
            readied = completed.readied;
            return completed.recorded[0] === true;
          },
    );
    parts.announce(readied);
    return recorded;
  }

  return { record };
}

/** A run of the mode `simple` is one step, whose result says how the run has ended. */
function outcomeOfRun(definition: TaskDefinition, output: unknown): RunState | null {
  if (definition.name !== SIMPLE_RUN_TASK) return null;
  return (output as { readonly state: RunState }).state; // As that task makes it.
}

function failureOf(attempt: Attempt, outcome: Extract<Outcome, { kind: "failed" }>): Failure & Exit {
  const { id, attempt: fence, limited, policy, failures, step } = attempt.task;
  const runId = step?.runId ?? null;
  const count = failures + 1;
  const fallback = retryDelayMs(policy, count, Math.random());
  const { retry } = outcome;
  const retryAfterMs =
    retry.kind === "never" || fallback === null ? null : retry.kind === "after" ? retry.delayMs : fallback;
  return { id, attempt: fence, limited, runId, error: outcome.error, retryAfterMs, deadLetter: retry.kind !== "never" };
}

/** Errors and references are bounded ASCII-safe JSON of ours: the database can store them. */
function ended(recorded: Recorded | typeof NOT_STORABLE): Recorded {
  if (recorded !== NOT_STORABLE) return recorded;
  throw new TaskiqError("internal", "expected a failure that Postgres can store; its error text broke the statement.");
}

function notStorable(): WritableOutcome {
  const message = "Postgres cannot store the result. Return plain JSON values.";
  return {
    kind: "failed",
    error: { code: "result_not_storable", type: "ResultNotStorable", message },
    retry: { kind: "never" },
  };
}
