/**
 * Statements that record outcomes, tried until the database has answered. Many attempts share one; a value that it cannot store is refused by itself;
 * an outcome that was recorded but whose answer was lost is recognised by reading the row.
 */

import type { Clock } from "../clock.ts";
import { TaskiqError } from "../errors.ts";
import { createBatcher } from "../flow/batch.ts";
import { type AttemptRef, byAttempt, keyOf } from "../flow/complete.ts";
import { readAttempts } from "../flow/extend.ts";
import type { Log } from "../log.ts";
import { isBusyError, isValueError } from "../postgres/failure.ts";
import { isConnectionError, isSerializationError, type Queryable } from "../postgres/pool.ts";
import type { Breaker } from "./breaker.ts";
import type { WorkerObserver } from "./observer.ts";

/** What the row says now. `refused`: the attempt does not own its task any more, nothing was changed. */
export type Recorded = "succeeded" | "failed" | "queued" | "cancelled" | "skipped" | "blocked" | "refused";

/** Somebody holds the row at this moment: the attempt still owns its task, unless that is its own earlier try being committed. */
type Held = { readonly kind: "held"; readonly uncertain: boolean };
type Answer = Recorded | typeof NOT_STORABLE | Held;
/** `uncertain`: an earlier try may have been committed and its answer lost. */
type Entry<Item> = { readonly item: Item; readonly uncertain: boolean };
/** `retried`: not the first try. */
type Write<Item> = (items: readonly Item[], retried: boolean) => Promise<Recorded[]>;

export type Writer<Item> = (item: Item) => Promise<Recorded | typeof NOT_STORABLE>;

export type Writers = {
  /** Shares one statement with whatever is recorded at the same time. Default: `lingerMs` of the parts, two statements at once. */
  batched<Item extends AttemptRef>(
    write: Write<Item>,
    options?: { readonly lingerMs: number; readonly maxInFlight: number },
  ): Writer<Item>;
  /** Rejects with what repeating cannot cure, and where `enough` says so after a failure. */
  untilAnswered<Item extends AttemptRef>(
    entries: readonly Entry<Item>[],
    write: Write<Item>,
    enough?: () => boolean,
  ): Promise<(Recorded | Held)[]>;
};

export type WriterParts = {
  readonly database: Queryable;
  readonly breaker: Breaker;
  readonly log: Log;
  readonly clock: Clock;
  readonly lingerMs: number;
  /** True when the process will not wait for the database any more. */
  readonly gaveUp: () => boolean;
  readonly observer?: WorkerObserver | undefined;
};

const MAX_BATCH = 200;
/** Longest wait before a statement that met a lock or an overload is repeated. */
const BUSY_PAUSE_MS = 500;
export const NOT_STORABLE = "not_storable";

export function createWriters(parts: WriterParts): Writers {
  const { database } = parts;

  /** One statement for many attempts, tried until the database has answered. A value it cannot store is refused by itself. */
  function batched<Item extends AttemptRef>(
    write: Write<Item>,
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
    write: Write<Item>,
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
    parts.observer?.databaseRetried(error);
    parts.log.debug("complete.failed", { outcomes, error });
    if (busy) return await parts.clock.after(BUSY_PAUSE_MS * Math.random());
    parts.breaker.trip(error);
    await parts.breaker.closed();
  }

  return { batched, untilAnswered };
}
