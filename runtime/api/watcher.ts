/**
 * Listeners that follow tasks, with one look for all of them in this process, as waiter.ts does it for those who wait for the end. A listener
 * compares what it sees with what it has told, so a look that is late or left out costs it nothing but time.
 */
import type { Clock } from "../clock.ts";
import { TaskiqError } from "../errors.ts";
import type { TaskState } from "../model/task.ts";
import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import { type AttemptRow, mayHaveFailed, readUnsuccessful } from "./attempts.ts";

/** A row of read-watched.sql. */
export type WatchedRow = {
  readonly id: string;
  readonly tenant: string;
  readonly state: TaskState;
  readonly attempt: number;
  readonly failures: number;
  readonly losses: number;
  readonly worker: string | null;
  readonly progress: number | null;
  readonly progress_message: string | null;
  readonly cancel_requested: boolean;
};

/** A task at one moment, with its latest unsuccessful attempts; null: there is no such task. */
export type Sight = { readonly row: WatchedRow; readonly attempts: readonly AttemptRow[] } | null;

export type Listener = {
  /** Undefined before the first look. */
  sight(): Sight | undefined;
  /** Resolves when the sight has changed since this function was called last, when `signal` aborts, when stopped; with false after `limitMs`. */
  changed(limitMs: number, signal: AbortSignal): Promise<boolean>;
  leave(): void;
};

export type Watcher = {
  /**
   * Throws TaskiqError `too_many_listeners`.
   * @param refreshMs how soon the listener has to hear of something: the pause between two looks is the least of all listeners'. Default 200.
   */
  listen(taskId: string, refreshMs?: number): Listener;
  /** True once it was stopped: listeners hear nothing any more. */
  readonly stopped: boolean;
  /** Ends every wait, now and in future. */
  stop(): void;
};

export type WatcherParts = { readonly database: Queryable; readonly clock: Clock };

const READ_WATCHED = loadSql(import.meta.url, "./read-watched.sql");
const REFRESH_MS = 200;
/** Pause after a look that failed. */
const AWAY_POLL_MS = 1_000;
/** Each costs a socket and a row per look. */
export const MAX_LISTENERS = 1_000;
/** Kept in memory for every task that is watched. */
const MAX_ATTEMPTS = 10;

/** By what wakes each of them: its `refreshMs`. */
type Watched = { readonly listeners: Map<() => void, number>; sight: Sight | undefined; version: number };

export function createWatcher({ database, clock }: WatcherParts): Watcher {
  const watched = new Map<string, Watched>();
  let listeners = 0;
  let stopped = false;
  let polling = false;
  /** The pause between two looks; somebody new ends it. */
  let nap = new AbortController();

  async function poll(): Promise<void> {
    polling = true;
    while (watched.size > 0 && !stopped) {
      const isAnswered = await look();
      const pauseMs = isAnswered ? leastRefreshMs() : AWAY_POLL_MS;
      const isNew = [...watched.values()].some(({ sight }) => sight === undefined);
      nap = new AbortController();
      if (!isNew || !isAnswered) await clock.after(pauseMs, nap.signal).catch(() => {});
    }
    polling = false;
  }

  function leastRefreshMs(): number {
    let least = Number.POSITIVE_INFINITY;
    for (const { listeners: all } of watched.values()) for (const ms of all.values()) least = Math.min(least, ms);
    return Number.isFinite(least) ? least : REFRESH_MS;
  }

  /** False when the database did not answer. Listeners go on waiting: an outage is no change of their tasks. */
  async function look(): Promise<boolean> {
    const ids = [...watched.keys()];
    try {
      const rows = new Map((await database.query<WatchedRow>(READ_WATCHED, [ids])).map((row) => [row.id, row]));
      const moved = ids.filter((id) => hasMoved(watched.get(id)?.sight, rows.get(id)));
      const failed = moved.filter((id) => mayHaveFailed(rows.get(id) ?? NEVER_RAN));
      const attempts = failed.length === 0 ? undefined : await readUnsuccessful(database, failed, MAX_ATTEMPTS);
      for (const id of ids) see(id, rows.get(id), moved.includes(id) ? (attempts?.get(id) ?? []) : undefined);
      return true;
    } catch {
      return false;
    }
  }

  /** `attempts` undefined: as they were. */
  function see(id: string, row: WatchedRow | undefined, attempts: readonly AttemptRow[] | undefined): void {
    const entry = watched.get(id);
    if (entry === undefined) return;
    const before = entry.sight;
    const sight = row === undefined ? null : { row, attempts: attempts ?? before?.attempts ?? [] };
    if (before !== undefined && attempts === undefined && isSame(before?.row, sight?.row)) return;
    entry.sight = sight;
    entry.version++;
    for (const wake of entry.listeners.keys()) wake();
  }

  return {
    listen(taskId, refreshMs = REFRESH_MS) {
      if (listeners >= MAX_LISTENERS) {
        throw new TaskiqError(
          "too_many_listeners",
          `expected at most ${MAX_LISTENERS} listeners in one process of the API, there are as many already.`,
        );
      }
      listeners++;
      const entry = watched.get(taskId) ?? { listeners: new Map(), sight: undefined, version: 0 };
      watched.set(taskId, entry);
      let woken = new AbortController();
      let seen = 0;
      const wake = (): void => woken.abort();
      const isFaster = refreshMs < leastRefreshMs();
      entry.listeners.set(wake, refreshMs);
      if (!polling) void poll();
      else if (entry.sight === undefined || isFaster) nap.abort();
      return {
        sight: () => entry.sight,
        async changed(limitMs, signal) {
          let passed = false;
          if (entry.version === seen && !stopped && !signal.aborted) {
            woken = new AbortController();
            const ended = AbortSignal.any([woken.signal, signal]);
            passed = await clock.after(limitMs, ended).then(
              () => true,
              () => false,
            );
          }
          seen = entry.version;
          return !passed;
        },
        leave() {
          if (!entry.listeners.delete(wake)) return;
          listeners--;
          if (entry.listeners.size === 0) watched.delete(taskId);
        },
      };
    },
    get stopped() {
      return stopped;
    },
    stop() {
      stopped = true;
      nap.abort();
      for (const { listeners: all } of watched.values()) for (const wake of all.keys()) wake();
    },
  };
}

const NEVER_RAN = { state: "queued", attempt: 0 } as const;

/** Whether attempts may have ended in between. Every end of one changes the state or a counter. */
function hasMoved(before: Sight | undefined, now: WatchedRow | undefined): boolean {
  if (now === undefined) return false;
  if (before === undefined || before === null) return true;
  const { state, attempt, failures, losses } = before.row;
  return state !== now.state || attempt !== now.attempt || failures !== now.failures || losses !== now.losses;
}

function isSame(a: WatchedRow | undefined, b: WatchedRow | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
