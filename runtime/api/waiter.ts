/**
 * Callers that wait for a task to be over, with one poll for all of them in this process: a thousand long polls cost the
 * database as much as one. Whoever has just come is looked after quickly, because most tasks that are waited for are short.
 */
import type { Clock } from "../clock.ts";
import type { Queryable } from "../postgres/pool.ts";
import { loadSql, type Statement } from "../postgres/sql.ts";

export type Waiter = {
  /**
   * Resolves when the task has finished or is gone, after `limitMs`, when `signal` (of this wait alone) is aborted, or
   * when the waiter is stopped. Never rejects, also while the database is away: the caller reads the row afterwards and sees.
   */
  finished(taskId: string, limitMs: number, signal: AbortSignal): Promise<void>;
  /** Ends every wait, now and in future. */
  stop(): void;
};

export type WaiterParts = {
  readonly database: Queryable;
  readonly clock: Clock;
  /** Says which of the ids in its one parameter nobody has to wait for any more. Default: of tasks. */
  readonly statement?: Statement;
};

const READ_FINISHED = loadSql(import.meta.url, "./read-finished.sql");
const QUICK_POLL_MS = 50;
const QUICK_FOR_MS = 1_000;
const SLOW_POLL_MS = 200;
/** Pause after a poll that failed. */
const AWAY_POLL_MS = 1_000;

type Wait = { readonly sinceMs: number; readonly over: AbortController };

export function createWaiter({ database, clock, statement = READ_FINISHED }: WaiterParts): Waiter {
  const waiting = new Map<string, Set<Wait>>();
  let stopped = false;
  let polling = false;
  /** The pause of a poll that is not in a hurry; somebody new ends it. */
  let nap: AbortController | undefined;

  async function poll(): Promise<void> {
    polling = true;
    let pauseMs = QUICK_POLL_MS;
    while (waiting.size > 0) {
      if (!(await rest(pauseMs))) pauseMs = QUICK_POLL_MS;
      else if (waiting.size > 0) pauseMs = (await endFinished()) ? nextPauseMs() : AWAY_POLL_MS;
    }
    polling = false;
  }

  /** False when it was ended. */
  async function rest(pauseMs: number): Promise<boolean> {
    const ended = new AbortController();
    if (pauseMs > QUICK_POLL_MS) nap = ended;
    try {
      await clock.after(pauseMs, ended.signal);
      return true;
    } catch {
      return false;
    } finally {
      nap = undefined;
    }
  }

  /** False when the database did not answer. */
  async function endFinished(): Promise<boolean> {
    let rows: { id: string }[];
    try {
      rows = await database.query<{ id: string }>(statement, [[...waiting.keys()]]);
    } catch {
      // Those who wait go on waiting: an outage shorter than their patience does not concern them.
      return false;
    }
    for (const { id } of rows) for (const { over } of waiting.get(id) ?? []) over.abort();
    return true;
  }

  function nextPauseMs(): number {
    const quickSinceMs = clock.nowMs() - QUICK_FOR_MS;
    for (const waits of waiting.values()) {
      for (const { sinceMs, over } of waits) if (sinceMs > quickSinceMs && !over.signal.aborted) return QUICK_POLL_MS;
    }
    return SLOW_POLL_MS;
  }

  function enter(taskId: string, wait: Wait): void {
    const waits = waiting.get(taskId);
    if (waits === undefined) waiting.set(taskId, new Set([wait]));
    else waits.add(wait);
    nap?.abort();
    if (!polling) void poll();
  }

  function leave(taskId: string, wait: Wait): void {
    const waits = waiting.get(taskId);
    waits?.delete(wait);
    if (waits?.size === 0) waiting.delete(taskId);
  }

  return {
    async finished(taskId, limitMs, signal) {
      if (stopped || signal.aborted) return;
      const over = new AbortController();
      const wait = { sinceMs: clock.nowMs(), over };
      signal.addEventListener("abort", () => over.abort(), { once: true });
      enter(taskId, wait);
      try {
        await clock.after(limitMs, over.signal);
      } catch {
        // Aborted: the wait is over.
      } finally {
        leave(taskId, wait);
      }
    },
    stop() {
      stopped = true;
      for (const waits of waiting.values()) for (const { over } of waits) over.abort();
    },
  };
}
