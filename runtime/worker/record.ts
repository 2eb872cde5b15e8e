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
import { type AttemptRef, byAttempt, complete, completeWithEffects, keyOf, type Success } from "../flow/complete.ts";
import { failed, type Outcome } from "../flow/execute.ts";
import { readAttempts } from "../flow/extend.ts";
import { type Failure, fail } from "../flow/fail.ts";
import { leaving, limitsOf, type Ring } from "../flow/limits.ts";
import { release } from "../flow/release.ts";
import type { Log } from "../log.ts";
import { retryDelayMs } from "../model/retry.ts";
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
/** The attempt holds room at limit keys. */
type Limited = { readonly limited: boolean };
type Entry<Item> = { readonly item: Item; readonly uncertain: boolean };
type Writer<Item> = (item: Item) => Promise<Recorded | typeof NOT_STORABLE>;

/** What the row says now. `refused`: the attempt does not own its task any more, nothing was changed. */
export type Recorded = "succeeded" | "failed" | "queued" | "cancelled" | "refused";

export type Recorder = {
  /** Resolves when the outcome is in the database or was refused; rejects only when the process stops before. */
  record(attempt: Attempt, outcome: WritableOutcome, definition: TaskDefinition, context: Context): Promise<Entered>;
};

export type Entered = {
  readonly recorded: Recorded;
  /** What was written as the cause: also that of a success whose commit failed. Null where nothing failed. */
  readonly error: TaskError | null;
  /** When a failed task is due again; null where it is not queued for that reason. */
  readonly retryInMs: number | null;
};

export type WritableOutcome = Exclude<Outcome, { kind: "lost" }>;

export type RecorderParts = {
  readonly database: Database;
  /** Connections for `commit(tx)`: handlers that are slow there cannot take those the others record through. */
  readonly commitDatabase: Database;
  readonly payloads: PayloadStore;
  readonly breaker: Breaker;
  readonly ring: Ring;
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

export function createRecorder(parts: RecorderParts): Recorder {
  const { database, payloads } = parts;
  const successes = batched<Success & Limited>(async (items) => {
    const recorded = await leaving(
      database,
      items,
      async (on, some) => (await complete(on, some)).map((accepted) => (accepted ? ("succeeded" as const) : null)),
      parts.ring,
    );
    return recorded.map((state) => state ?? "refused");
  });
  const failures = batched<Failure & Limited>(async (items) => {
    const states = await leaving(database, items, fail, parts.ring);
    return states.map((state) => state ?? "refused");
  });
  const releases = batched<AttemptRef & Limited>(async (items) => {
    const states = await leaving(database, items, release, parts.ring);
    return states.map((state) => state ?? "refused");
  });

  /** One statement for many attempts, tried until the database has answered. A value it cannot store is refused by itself. */
  function batched<Item extends AttemptRef>(write: (items: readonly Item[]) => Promise<Recorded[]>): Writer<Item> {
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
    const batcher = createBatcher({ maxItems: MAX_BATCH, lingerMs: parts.lingerMs, maxInFlight: 2, run: writeApart });
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
    write: (items: readonly Item[]) => Promise<Recorded[]>,
    enough: () => boolean = () => false,
  ): Promise<(Recorded | Held)[]> {
    let tried = entries;
    for (;;) {
      try {
        return await withRefused(tried, await write(tried.map(({ item }) => item)));
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
  ): Promise<Entered> {
    const { id, attempt: fence, limited } = attempt.task;
    switch (outcome.kind) {
      case "released":
        return { recorded: ended(await releases({ id, attempt: fence, limited })), error: null, retryInMs: null };
      case "cancelled":
        // The flag is in the row, and fail.sql ends such a row cancelled.
        return await recordFailure({
          id,
          attempt: fence,
          limited,
          error: outcome.error,
          retryAfterMs: null,
          deadLetter: false,
        });
      case "failed":
        return await recordFailure(failureOf(attempt, outcome));
      case "succeeded": {
        const recorded = await recordSuccess(attempt, outcome, definition, context);
        if (typeof recorded !== "string") return record(attempt, recorded, definition, context);
        return { recorded, error: null, retryInMs: null };
      }
    }
  }

  async function recordFailure(failure: Failure & Limited): Promise<Entered> {
    const recorded = ended(await failures(failure));
    return { recorded, error: failure.error, retryInMs: recorded === "queued" ? failure.retryAfterMs : null };
  }

  /** The outcome to record instead, where the success could not be: its commit failed, or its result cannot be stored. */
  async function recordSuccess(
    attempt: Attempt,
    outcome: Extract<Outcome, { kind: "succeeded" }>,
    definition: TaskDefinition,
    context: Context,
  ): Promise<Recorded | WritableOutcome> {
    const { id, attempt: fence, limited } = attempt.task;
    let success: Success & Limited;
    try {
      success = { id, attempt: fence, limited, ...(await stored(id, outcome.resultText)) };
    } catch (error) {
      return failed(error) as WritableOutcome; // `failed` makes no `lost`.
    }
    if (definition.commit === undefined) {
      const recorded = await successes(success);
      return recorded === NOT_STORABLE ? notStorable() : recorded;
    }
    const commit = definition.commit.bind(definition);
    let tries = 0;
    const write = async (): Promise<Recorded[]> => {
      const accepted = await commitWithin(success, (tx) => {
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
    success: Success & Limited,
    commit: (tx: CommitClient) => void | Promise<void>,
  ): Promise<boolean> {
    const limitMs = parts.commitTimeoutMs;
    return await completeWithEffects(
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
      success.limited ? limitsOf(success.id, parts.ring) : null,
    );
  }

  return { record };
}

function failureOf(attempt: Attempt, outcome: Extract<Outcome, { kind: "failed" }>): Failure & Limited {
  const { id, attempt: fence, limited, policy, failures } = attempt.task;
  const count = failures + 1;
  const fallback = retryDelayMs(policy, count, Math.random());
  const { retry } = outcome;
  const retryAfterMs =
    retry.kind === "never" || fallback === null ? null : retry.kind === "after" ? retry.delayMs : fallback;
  return { id, attempt: fence, limited, error: outcome.error, retryAfterMs, deadLetter: retry.kind !== "never" };
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
