/**
 * The second phase of an attempt: write its outcome down. It may be repeated for as long as the database is away, because every
 * write is fenced; an outcome that was recorded but whose answer was lost is recognised by reading the row.
 */

import type { Clock } from "../clock.ts";
import type { CommitClient, Context } from "../define/context.ts";
import type { TaskDefinition } from "../define/task.ts";
import { TaskiqError } from "../errors.ts";
import type { Attempt } from "../flow/attempt.ts";
import { type Batcher, createBatcher } from "../flow/batch.ts";
import { type AttemptRef, byAttempt, complete, completeWithEffects, keyOf, type Success } from "../flow/complete.ts";
import { failed, type Outcome } from "../flow/execute.ts";
import { readAttempts } from "../flow/extend.ts";
import { type Failure, fail } from "../flow/fail.ts";
import { release } from "../flow/release.ts";
import type { Log } from "../log.ts";
import { retryDelayMs } from "../model/retry.ts";
import type { PayloadStore } from "../payload/payload.ts";
import { isBusyError, isValueError } from "../postgres/failure.ts";
import { type Database, isConnectionError, isSerializationError, type Transaction } from "../postgres/pool.ts";
import type { Breaker } from "./breaker.ts";

/** What the row says now. `refused`: the attempt does not own its task any more, nothing was changed. */
export type Recorded = "succeeded" | "failed" | "queued" | "cancelled" | "refused";

export type Recorder = {
  /** Resolves when the outcome is in the database or was refused; rejects only when the process stops before. */
  record(attempt: Attempt, outcome: WritableOutcome, definition: TaskDefinition, context: Context): Promise<Recorded>;
};

export type WritableOutcome = Exclude<Outcome, { kind: "lost" }>;

export type RecorderParts = {
  readonly database: Database;
  /** Connections for `commit(tx)`: handlers that are slow there cannot take those the others record through. */
  readonly commitDatabase: Database;
  readonly payloads: PayloadStore;
  readonly breaker: Breaker;
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
const NOT_STORABLE = "not_storable";

/** Control of the transaction is ours; savepoints are the handler's. */
const TRANSACTION_CONTROL =
  /^\s*(?:begin|start\s+transaction|commit|end|abort|rollback(?!\s+to\b)|prepare\s+transaction)\b/i;

export function createRecorder(parts: RecorderParts): Recorder {
  const { database, payloads } = parts;
  const successes = batched<Success>(async (items) => {
    const recorded = await complete(database, items);
    return recorded.map((accepted) => (accepted ? "succeeded" : "refused"));
  });
  const failures = batched<Failure>(async (items) => {
    const states = await fail(database, items);
    return states.map((state) => state ?? "refused");
  });
  const releases = batched<AttemptRef>(async (items) => {
    const states = await release(database, items);
    return states.map((state) => state ?? "refused");
  });

  /** One statement for many attempts, tried until the database has answered. A value it cannot store is refused by itself. */
  function batched<Item extends AttemptRef>(
    write: (items: readonly Item[]) => Promise<Recorded[]>,
  ): Batcher<Item, Recorded | typeof NOT_STORABLE> {
    const writeApart = async (items: readonly Item[]): Promise<(Recorded | typeof NOT_STORABLE)[]> => {
      try {
        return await untilAnswered(items, write);
      } catch (error) {
        if (!isValueError(error)) throw error;
        if (items.length === 1) return [NOT_STORABLE];
        const results = await Promise.all(items.map((item) => writeApart([item])));
        return results.flat();
      }
    };
    return createBatcher({ maxItems: MAX_BATCH, lingerMs: parts.lingerMs, maxInFlight: 2, run: writeApart });
  }

  async function untilAnswered<Item extends AttemptRef>(
    items: readonly Item[],
    write: (items: readonly Item[]) => Promise<Recorded[]>,
  ): Promise<Recorded[]> {
    let uncertain = false;
    for (;;) {
      try {
        const recorded = await write(items);
        return uncertain ? await withLostAnswers(items, recorded) : recorded;
      } catch (error) {
        uncertain = true;
        await pauseAfter(error, items.length);
      }
    }
  }

  /** An earlier try may have been committed and its answer lost: then the row is over, or queued, with our attempt in it. */
  async function withLostAnswers(items: readonly AttemptRef[], recorded: readonly Recorded[]): Promise<Recorded[]> {
    const refused = items.filter((_, index) => recorded[index] === "refused");
    if (refused.length === 0) return [...recorded];
    const rows = byAttempt(await readAttempts(database, refused));
    return items.map((item, index) => {
      const state = rows.get(keyOf(item))?.state;
      if (recorded[index] !== "refused" || state === undefined || state === "running")
        return recorded[index] ?? "refused";
      return state as Recorded; // A row whose newest attempt is ours and has ended is in one of these states.
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
  ): Promise<Recorded> {
    const { id, attempt: fence } = attempt.task;
    switch (outcome.kind) {
      case "released":
        return ended(await releases.add({ id, attempt: fence }));
      case "cancelled":
        // The flag is in the row, and fail.sql ends such a row cancelled.
        return ended(
          await failures.add({ id, attempt: fence, error: outcome.error, retryAfterMs: null, deadLetter: false }),
        );
      case "failed":
        return ended(await failures.add(failureOf(attempt, outcome)));
      case "succeeded": {
        const recorded = await recordSuccess(attempt, outcome, definition, context);
        return typeof recorded === "string" ? recorded : record(attempt, recorded, definition, context);
      }
    }
  }

  /** The outcome to record instead, where the success could not be: its commit failed, or its result cannot be stored. */
  async function recordSuccess(
    attempt: Attempt,
    outcome: Extract<Outcome, { kind: "succeeded" }>,
    definition: TaskDefinition,
    context: Context,
  ): Promise<Recorded | WritableOutcome> {
    const { id, attempt: fence } = attempt.task;
    let success: Success;
    try {
      success = { id, attempt: fence, ...(await stored(id, outcome.resultText)) };
    } catch (error) {
      return failed(error) as WritableOutcome; // `failed` makes no `lost`.
    }
    if (definition.commit === undefined) {
      const recorded = await successes.add(success);
      return recorded === NOT_STORABLE ? notStorable() : recorded;
    }
    const commit = definition.commit.bind(definition);
    try {
      const [recorded] = await untilAnswered([success], async () => [
        (await commitWithin(success, (tx) => commit(tx, outcome.output, context))) ? "succeeded" : "refused",
      ]);
      return recorded ?? "refused";
    } catch (error) {
      if (isConnectionError(error)) throw error;
      return failed(error) as WritableOutcome; // `failed` makes no `lost`.
    }
  }

  async function stored(id: string, text: string | null): Promise<Pick<Success, "resultText" | "resultRef">> {
    if (text === null || Buffer.byteLength(text) <= parts.inlinePayloadBytes)
      return { resultText: text, resultRef: null };
    return { resultText: null, resultRef: await payloads.put(id, text) };
  }

  /** Bounded by `commitTimeoutMs`: afterwards the transaction is rolled back and its client refuses every statement. */
  async function commitWithin(success: Success, commit: (tx: CommitClient) => void | Promise<void>): Promise<boolean> {
    const limitMs = parts.commitTimeoutMs;
    return await completeWithEffects(parts.commitDatabase, success, async (tx) => {
      const client = commitClient(tx);
      const overdue = new AbortController();
      try {
        await Promise.race([
          commit(client.facade),
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
    });
  }

  return { record };
}

function commitClient(tx: Transaction): { facade: CommitClient; close(): void } {
  let open = true;
  return {
    facade: {
      async query<Row extends Record<string, unknown>>(text: string, values: readonly unknown[] = []) {
        if (!open) {
          throw new TaskiqError(
            "commit_timeout",
            "commit(tx): the transaction is over; nothing more can be written in it.",
          );
        }
        if (TRANSACTION_CONTROL.test(text)) {
          throw new TaskiqError(
            "handler_error",
            `commit(tx): expected a statement, got ${JSON.stringify(text.slice(0, 40))}. The transaction is committed with the completion; use savepoints inside it.`,
          );
        }
        const result = await tx.raw.query<Row>(text, [...values]);
        return { rows: result.rows, rowCount: result.rowCount ?? 0 };
      },
    },
    close() {
      open = false;
    },
  };
}

function failureOf(attempt: Attempt, outcome: Extract<Outcome, { kind: "failed" }>): Failure {
  const { id, attempt: fence, policy, failures } = attempt.task;
  const count = failures + 1;
  const fallback = retryDelayMs(policy, count, Math.random());
  const { retry } = outcome;
  const retryAfterMs =
    retry.kind === "never" || fallback === null ? null : retry.kind === "after" ? retry.delayMs : fallback;
  return { id, attempt: fence, error: outcome.error, retryAfterMs, deadLetter: retry.kind !== "never" };
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
