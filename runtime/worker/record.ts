/**
 * The second phase of an attempt: write its outcome down. It may be repeated for as long as the database is away, because every
 * write is fenced; an outcome that was recorded but whose answer was lost is recognised by reading the row.
 */

import type { Clock } from "../clock.ts";
import type { CommitClient, Context } from "../define/context.ts";
import type { TaskDefinition } from "../define/task.ts";
import { TaskiqError } from "../errors.ts";
import type { Attempt } from "../flow/attempt.ts";
import { createBatcher } from "../flow/batch.ts";
import type { ClaimedTask } from "../flow/claim.ts";
import { type AttemptRef, byAttempt, complete, completeWithEffects, keyOf, type Success } from "../flow/complete.ts";
import { completeSteps, type Offer, type StepSuccess, type StepsCompleted } from "../flow/complete-steps.ts";
import { failed, type NewElement, type Outcome } from "../flow/execute.ts";
import { expand, type StoredElement } from "../flow/expand.ts";
import { readAttempts } from "../flow/extend.ts";
import { type Failure, fail } from "../flow/fail.ts";
import { leaveLimits, leaving, ownExit, type Ring } from "../flow/limits.ts";
import { runsOf } from "../flow/lock-runs.ts";
import { release } from "../flow/release.ts";
import type { Log } from "../log.ts";
import { retryDelayMs } from "../model/retry.ts";
import { type RunState, SIMPLE_RUN_TASK } from "../model/run.ts";
import type { TaskError } from "../model/task.ts";
import type { PayloadStore } from "../payload/payload.ts";
import { isBusyError, isUnstorable, isValueError } from "../postgres/failure.ts";
import { type Database, isConnectionError, isSerializationError } from "../postgres/pool.ts";
import type { Breaker } from "./breaker.ts";
import { CommitRejected, commitClient } from "./commit-client.ts";

/** Somebody holds the row at this moment: the attempt still owns its task, unless that is its own earlier try being committed. */
type Held = { readonly kind: "held"; readonly uncertain: boolean };
type Answer = Recorded | typeof NOT_STORABLE | Held;
/** `uncertain`: an earlier try may have been committed and its answer lost. */
/** `limited`: the attempt holds room at limit keys. `runId`: it is one of a step. */
type Exit = { readonly limited: boolean; readonly runId: string | null };
/** `queue`: where its slot may go on with another step; null: nowhere. */
type StepItem = StepSuccess & Exit & { readonly runId: string; readonly queue: string | null };
type Entry<Item> = { readonly item: Item; readonly uncertain: boolean };
type Writer<Item> = (item: Item) => Promise<Recorded | typeof NOT_STORABLE>;

/** What the row says now. `refused`: the attempt does not own its task any more, nothing was changed. */
export type Recorded = "succeeded" | "failed" | "queued" | "cancelled" | "skipped" | "blocked" | "refused";

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

export type RecorderParts = {
  readonly database: Database;
  /** Connections for `commit(tx)`: handlers that are slow there cannot take those the others record through. */
  readonly commitDatabase: Database;
  readonly payloads: PayloadStore;
  readonly breaker: Breaker;
  readonly ring: Ring;
  /** Sends the doorbells of steps that were readied. */
  readonly announce: Ring;
  /** For steps that this worker goes on with. */
  readonly offer: Omit<Offer, "queues">;
  /** Steps may have been claimed with an outcome whose answer was lost. */
  readonly giveBackUnseen: () => void;
  readonly log: Log;
  readonly clock: Clock;
  readonly lingerMs: number;
  readonly commitTimeoutMs: number;
  readonly inlinePayloadBytes: number;
  /** True when the process will not wait for the database any more. */
  readonly gaveUp: () => boolean;
};

const MAX_BATCH = 200;
/** Longest wait before a statement that met a lock or an overload is repeated. */
const BUSY_PAUSE_MS = 500;
/** A commit whose connection breaks every time is the handler's own doing. */
const COMMIT_TRIES = 5;
const NOT_STORABLE = "not_storable";
const NO_RESULT = { resultText: null, resultRef: null };
const NO_STEPS: StepsCompleted = { recorded: [], continued: [], readied: [] };

export function createRecorder(parts: RecorderParts): Recorder {
  const { database, payloads } = parts;
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

  const continued = new Map<string, ClaimedTask>();
  const steps = batched<StepItem>(
    async (items, retried) => {
      const offer = retried ? null : { ...parts.offer, queues: items.flatMap(({ queue }) => queue ?? []) };
      const [free, held] = [items.filter(({ limited }) => !limited), items.filter(({ limited }) => limited)];
      try {
        const [plain, apart] = await Promise.all([
          free.length === 0 ? NO_STEPS : completeSteps(database, free, offer),
          held.length === 0 ? NO_STEPS : leaveAsSteps(held),
        ]);
        parts.announce([...plain.readied, ...apart.readied]);
        goOn(free, plain.continued);
        const recorded = new Map([
          ...free.map((item, index) => [item, plain.recorded[index]] as const),
          ...held.map((item, index) => [item, apart.recorded[index]] as const),
        ]);
        return items.map((item) => (recorded.get(item) !== true ? "refused" : item.skipped ? "skipped" : "succeeded"));
      } catch (error) {
        if (isConnectionError(error)) parts.giveBackUnseen();
        throw error;
      }
    },
    // Whoever waits for company makes the steps after it wait as well. A second statement would wait for the first one's runs: one with the steps of
    // both costs a third less.
    { lingerMs: 0, maxInFlight: 1 },
  );

  /** Keys are locked after runs and before rows. */
  async function leaveAsSteps(items: readonly StepItem[]): Promise<StepsCompleted> {
    return await leaveLimits(
      database,
      items.map(({ id }) => id),
      runsOf(items),
      async (tx) => {
        const result = await completeSteps(tx, items, null);
        return { result, left: items.filter((_, index) => result.recorded[index]).map(({ id }) => id) };
      },
      parts.ring,
    );
  }

  /** Each step that was claimed goes to the slot of one that made room on its queue. */
  function goOn(items: readonly StepItem[], tasks: readonly ClaimedTask[]): void {
    const rooms = [...items];
    for (const task of tasks) {
      const place = rooms.findIndex(({ queue }) => queue === task.queue);
      const [room] = place < 0 ? [] : rooms.splice(place, 1);
      if (room === undefined) throw new RangeError(`expected room for step ${task.id} on queue ${task.queue}`);
      continued.set(keyOf(room), task);
    }
  }

  /** One statement for many attempts, tried until the database has answered. A value it cannot store is refused by itself. */
  function batched<Item extends AttemptRef>(
    write: (items: readonly Item[], retried: boolean) => Promise<Recorded[]>,
    { lingerMs, maxInFlight } = { lingerMs: parts.lingerMs, maxInFlight: 2 },
  ): Writer<Item> {
    const writeApart = async (entries: readonly Entry<Item>[]): Promise<Answer[]> => {
      try {
        return await untilAnswered(entries, write);
      } catch (error) {
        if (!isValueError(error)) throw error;
        if (entries.length === 1) return [NOT_STORABLE];
        const results = await Promise.all(entries.map((entry) => writeApart([entry])));
        return results.flat();
      }
    };
    const batcher = createBatcher({ maxItems: MAX_BATCH, lingerMs, maxInFlight, run: writeApart });
    return async (item) => {
      for (let uncertain = false; ; ) {
        const answer = await batcher.add({ item, uncertain });
        if (typeof answer === "string") return answer;
        uncertain = answer.uncertain;
        if (parts.gaveUp())
          throw new TaskiqError("database_unavailable", "expected to record an outcome, its row is held.");
        await parts.clock.after(BUSY_PAUSE_MS * Math.random());
      }
    };
  }

  async function untilAnswered<Item extends AttemptRef>(
    entries: readonly Entry<Item>[],
    write: (items: readonly Item[], retried: boolean) => Promise<Recorded[]>,
    enough: () => boolean = () => false,
  ): Promise<(Recorded | Held)[]> {
    let tried = entries;
    for (let retried = false; ; retried = true) {
      try {
        return await withRefused(
          tried,
          await write(
            tried.map(({ item }) => item),
            retried,
          ),
        );
      } catch (error) {
        tried = tried.map(({ item }) => ({ item, uncertain: true }));
        if (enough()) throw error;
        await pauseAfter(error, entries.length);
      }
    }
  }

  /**
   * What was refused is looked at once more. Still running: somebody holds the row, so try again later. Over, after a try whose answer
   * was lost: that try was committed, and the row says what it led to.
   */
  async function withRefused(
    entries: readonly Entry<AttemptRef>[],
    recorded: readonly Recorded[],
  ): Promise<(Recorded | Held)[]> {
    const refused = entries.filter((_, index) => recorded[index] === "refused").map(({ item }) => item);
    if (refused.length === 0) return [...recorded];
    const rows = byAttempt(await readAttempts(database, refused));
    return entries.map(({ item, uncertain }, index) => {
      const answer = recorded[index] ?? "refused";
      const state = answer === "refused" ? rows.get(keyOf(item))?.state : undefined;
      if (state === "running") return { kind: "held", uncertain };
      return uncertain && state !== undefined ? (state as Recorded) : answer; // A row whose newest attempt is ours and has ended.
    });
  }

  /** Waits for the database to come back; throws what repeating cannot cure. */
  async function pauseAfter(error: unknown, outcomes: number): Promise<void> {
    const lostCommit = error instanceof TaskiqError && error.code === "commit_unknown";
    const busy = isBusyError(error) || isSerializationError(error);
    if (!lostCommit && !busy && !isConnectionError(error)) throw error;
    if (parts.gaveUp()) throw error;
    parts.log.debug("complete.failed", { outcomes, error });
    if (busy) return await parts.clock.after(BUSY_PAUSE_MS * Math.random());
    parts.breaker.trip(error);
    await parts.breaker.closed();
  }

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
        return plainly(ended(await steps(stepItem(attempt, NO_RESULT, true, continues))), attempt);
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
    const key = attempt === undefined ? null : keyOf({ id: attempt.task.id, attempt: attempt.task.attempt });
    const next = key === null ? null : (continued.get(key) ?? null);
    if (key !== null) continued.delete(key);
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
      const { resultText, resultRef } = await stored(id, inputText);
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
      result = await stored(id, outcome.resultText);
      success = { id, attempt: fence, limited, runId: step?.runId ?? null, ...result };
    } catch (error) {
      return failed(error) as WritableOutcome; // `failed` makes no `lost`.
    }
    if (definition.commit === undefined) {
      const recorded = await (step === null ? successes(success) : steps(stepItem(attempt, result, false, continues)));
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

  async function stored(id: string, text: string | null): Promise<Pick<Success, "resultText" | "resultRef">> {
    if (text === null || Buffer.byteLength(text) <= parts.inlinePayloadBytes)
      return { resultText: text, resultRef: null };
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
