/** Record the success of attempts: many in one statement, or one together with the effects its handler commits. */

import { TaskiqError } from "../errors.ts";
import type { Database, Queryable, Transaction } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import type { OwnExit } from "./limits.ts";

/** An attempt by its fence. */
export type AttemptRef = { readonly id: string; readonly attempt: number };

export type Success = AttemptRef & {
  /** Exact JSON text; null for a null result or one in the payload store. */
  readonly resultText: string | null;
  readonly resultRef: string | null;
};

const COMPLETE = loadSql(import.meta.url, "./complete.sql");
const LOCK_ATTEMPT = loadSql(import.meta.url, "./lock-attempt.sql");

/** Whether each success was recorded, in their order. False: the attempt does not own its task any more, nothing was changed. */
export async function complete(database: Queryable, successes: readonly Success[]): Promise<boolean[]> {
  const rows = await database.query<AttemptRef>(COMPLETE, [
    successes.map((success) => success.id),
    successes.map((success) => success.attempt),
    successes.map((success) => success.resultText),
    successes.map((success) => success.resultRef),
  ]);
  const recorded = byAttempt(rows);
  return successes.map((success) => recorded.has(keyOf(success)));
}

/** Rows of a statement by their attempt: two attempts of one task may be in one batch. */
export function byAttempt<Row extends AttemptRef>(rows: readonly Row[]): Map<string, Row> {
  return new Map(rows.map((row) => [keyOf(row), row]));
}

export function keyOf({ id, attempt }: AttemptRef): string {
  return `${id}:${attempt}`;
}

/**
 * Records one success in the transaction in which `effects` writes: the fence first, then the effects, then the outcome.
 * @param exit of a step or a task with limits: locks its run and its keys first, frees them last, and rings for their waiters after the commit
 * @param finish records the success. Default: that of a task outside a run
 * @returns false when the attempt does not own its task any more; `effects` was not called then
 * @throws what `effects` threw; `commit_unknown` when the answer to the commit was lost
 */
export async function completeWithEffects(
  database: Database,
  success: Success,
  effects: (tx: Transaction) => Promise<void>,
  exit: OwnExit | null = null,
  finish: (tx: Transaction) => Promise<boolean> = async (tx) => (await complete(tx, [success]))[0] === true,
): Promise<boolean> {
  const recorded = await database.transaction(async (tx) => {
    // The run and the keys before the row. Others of them wait for the effects, which are bounded.
    await exit?.lock(tx);
    const held = await tx.query(LOCK_ATTEMPT, [success.id, success.attempt]);
    if (held.length === 0) return false;
    await effects(tx);
    if (!(await finish(tx))) {
      throw new TaskiqError(
        "internal",
        `Task ${success.id}: expected attempt ${success.attempt} to own the row it has locked, its completion was refused. The commit must not change taskiq's tables.`,
      );
    }
    await exit?.free(tx);
    return true;
  });
  exit?.ring();
  return recorded;
}
