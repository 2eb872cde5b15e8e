/**
 * Limits by key: how many tasks run at once, how often one starts.
 *
 *   queued ──► claim, under the locks of its keys ──► running                 there is room at all of them
 *                  ├──► parked, without a doorbell ──► rung by a release      one is full
 *                  └──► queued for its turn ──► rung then                     its rate allows the next start later
 *
 * Keys are locked before rows, here and by every exit from running, each in a statement of its own. Whoever frees a place rings for the
 * best waiter in the same transaction; a task that was rung for one key and is parked at another passes the place on. What is lost
 * nevertheless, such as a waiter that is cancelled after it was rung, the sweep finds.
 */

import { allocate, type Contender, type LimitKey } from "../model/limits.ts";
import type { Queryable, Transaction, Transactional } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import type { Doorbell } from "./announce.ts";
import { type ClaimedRow, type ClaimedTask, type ClaimOptions, taskOf } from "./claim.ts";
import { lockRuns, runsOf } from "./lock-runs.ts";

export type LimitSetting = { readonly key: string; readonly max: number | null; readonly intervalMs: number | null };

/** Hears, after the commit, of the doorbells that it wrote for waiters. They are in the outbox: sending them at once saves the wait for its loop. */
export type Ring = (doorbells: readonly Doorbell[]) => void;

type KeyRow = { key: string; running: number; max: number | null; interval_ms: number | null; wait_ms: number };
type ContenderRow = { id: string; keys: string[]; has_token: boolean };

const LOCK_LIMITS = loadSql(import.meta.url, "./lock-limits.sql");
const READ_CONTENDERS = loadSql(import.meta.url, "./read-contenders.sql");
const CLAIM_LIMITED = loadSql(import.meta.url, "./claim-limited.sql");
const PARK = loadSql(import.meta.url, "./park.sql");
const FREE_LIMITS = loadSql(import.meta.url, "./free-limits.sql");
const SWEEP_LIMITS = loadSql(import.meta.url, "./sweep-limits.sql");
const ENSURE_LIMITS = loadSql(import.meta.url, "./ensure-limits.sql");

/** @param settings 1 to 1,000 different keys */
export async function ensureLimits(database: Queryable, settings: readonly LimitSetting[]): Promise<void> {
  await database.query(ENSURE_LIMITS, [
    settings.map(({ key }) => key),
    settings.map(({ max }) => max),
    settings.map(({ intervalMs }) => intervalMs),
  ]);
}

/**
 * Claims those of `ids` whose limits have room; the others are parked or get their turn. Tasks without limits are left alone.
 * @param ids 1 to 100 different ids
 */
export async function claimLimited(
  database: Transactional,
  ids: readonly string[],
  options: ClaimOptions,
  ring: Ring,
): Promise<ClaimedTask[]> {
  const { claimed, rung } = await database.transaction(async (tx) => {
    const keys = (await tx.query<KeyRow>(LOCK_LIMITS, [ids])).map(limitOf);
    const rows = await tx.query<ContenderRow>(READ_CONTENDERS, [ids, options.knownTasks]);
    const contenders = rows.map(({ id, keys: own, has_token: hasToken }): Contender => ({ id, keys: own, hasToken }));
    const { start, park, later, nextMs } = allocate(contenders, keys);
    const claimed =
      start.length === 0 ? [] : await tx.query<ClaimedRow>(CLAIM_LIMITED, [start, options.worker, options.leaseMs]);
    if (park.length + later.length + nextMs.size > 0) {
      await tx.query(PARK, [
        [...park.map(({ id }) => id), ...later.map(({ id }) => id)],
        [...park.map(({ key }) => key), ...later.map(() => null)],
        [...park.map(() => null), ...later.map(({ inMs }) => inMs)],
        [...nextMs.keys()],
        [...nextMs.values()],
      ]);
    }
    // A place that it was rung for, and does not take because another key is full, is for the next one.
    const passedOn = park.flatMap(({ id, key }) => keysOf(contenders, id).filter((other) => other !== key));
    const rung = passedOn.length > 0 ? await tx.query<Doorbell>(FREE_LIMITS, [[], passedOn]) : [];
    return { claimed, rung };
  });
  ring(rung);
  return claimed.map((row) => taskOf(row, options.queue));
}

/**
 * An exit from running of tasks with limits. `exit` is called with their keys locked, and says which of them have left; their places are free with
 * the same commit, and the best waiters are rung.
 * @param ids the tasks that may leave, 1 to 1,000  @param runIds the runs of those that are steps: runs are locked before keys
 */
export async function leaveLimits<T>(
  database: Transactional,
  ids: readonly string[],
  runIds: readonly string[],
  exit: (tx: Transaction) => Promise<{ readonly result: T; readonly left: readonly string[] }>,
  ring: Ring,
): Promise<T> {
  const { result, rung } = await database.transaction(async (tx) => {
    await lockRuns(tx, runIds);
    await lockLimits(tx, ids);
    const { result, left } = await exit(tx);
    const rung = left.length > 0 ? await freeLimits(tx, left) : [];
    return { result, rung };
  });
  ring(rung);
  return result;
}

/** First in a transaction, but for the runs of steps. */
export async function lockLimits(tx: Queryable, ids: readonly string[]): Promise<void> {
  await tx.query(LOCK_LIMITS, [ids]);
}

/** Last in the transaction in which these tasks have left. Returns what to ring after its commit. */
export async function freeLimits(tx: Queryable, ids: readonly string[]): Promise<Doorbell[]> {
  return await tx.query<Doorbell>(FREE_LIMITS, [ids, []]);
}

/** The parts of an exit that has a transaction of its own. */
export type OwnExit = {
  /** First in the transaction. */
  readonly lock: (tx: Transaction) => Promise<void>;
  /** Last in it. */
  readonly free: (tx: Transaction) => Promise<void>;
  /** After its commit. */
  readonly ring: () => void;
};

export function ownExit(
  task: { readonly id: string; readonly runId: string | null; readonly limited: boolean },
  ring: Ring,
): OwnExit {
  const { id, runId, limited } = task;
  let rung: readonly Doorbell[] = [];
  return {
    async lock(tx) {
      if (runId !== null) await lockRuns(tx, [runId]);
      if (limited) await lockLimits(tx, [id]);
    },
    async free(tx) {
      if (limited) rung = await freeLimits(tx, [id]);
    },
    ring: () => ring(rung),
  };
}

/**
 * Ends attempts, those with limits apart: `end` gives one answer an attempt, in their order, null where it was refused.
 * Most attempts have none, and stay single statements.
 */
export async function leaving<
  Item extends { readonly id: string; readonly limited: boolean; readonly runId?: string | null },
  Answer,
>(
  database: Transactional,
  items: readonly Item[],
  end: (on: Queryable, some: readonly Item[]) => Promise<(Answer | null)[]>,
  ring: Ring,
): Promise<(Answer | null)[]> {
  const limited = items.filter((item) => item.limited);
  if (limited.length === 0) return await end(database, items);
  const free = items.filter((item) => !item.limited);
  const ids = limited.map(({ id }) => id);
  const [plain, held] = await Promise.all([
    free.length === 0 ? [] : end(database, free),
    leaveLimits(
      database,
      ids,
      runsOf(limited),
      async (tx) => {
        const result = await end(tx, limited);
        return { result, left: ids.filter((_, index) => result[index] !== null) };
      },
      ring,
    ),
  ]);
  const answers = new Map<Item, Answer | null>();
  for (const [index, item] of free.entries()) answers.set(item, plain[index] ?? null);
  for (const [index, item] of limited.entries()) answers.set(item, held[index] ?? null);
  return items.map((item) => answers.get(item) ?? null);
}

/** Rings for waiters that were forgotten, at most `perKey` a key. Returns how many. */
export async function sweepLimits(database: Queryable, perKey: number): Promise<number> {
  return (await database.query(SWEEP_LIMITS, [perKey])).length;
}

function limitOf({ key, running, max, interval_ms: intervalMs, wait_ms: waitMs }: KeyRow): LimitKey {
  return { key, running, max, intervalMs, waitMs };
}

function keysOf(contenders: readonly Contender[], id: string): readonly string[] {
  return contenders.find((contender) => contender.id === id)?.keys ?? [];
}
