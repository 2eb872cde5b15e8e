/**
 * Turns: a step that one process may take per interval, while any number of processes run its loop.
 *
 * Nobody is elected and nobody leads: whoever asks first after the interval has the turn, so a process that dies is followed by
 * the next one to ask. What a turn stores, the next one is given. A process that is overtaken (it was frozen, or its turn took
 * longer than the interval) is told so when it stores: storing before acting keeps two processes from acting in one turn.
 */

import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";

export type Turn = {
  readonly name: string;
  /** Grows with every turn: the fence of `storeMemory`. */
  readonly number: number;
  /** What an earlier turn stored, as JSON gives it back; null: nothing yet. */
  readonly memory: unknown;
  /** The database's time, milliseconds since 1970. Times in a memory are read by other processes: take them from here. */
  readonly nowMs: number;
};

const TAKE_TURN = loadSql(import.meta.url, "./take-turn.sql");
const STORE_MEMORY = loadSql(import.meta.url, "./store-memory.sql");

/**
 * The next turn of the step `name`, or null: its last turn began less than `everyMs` (from 0) ago.
 * @param name of the step, the same in every process
 */
export async function takeTurn(database: Queryable, name: string, everyMs: number): Promise<Turn | null> {
  type Row = { number: number; memory: string | null; now_ms: number };
  const [row] = await database.query<Row>(TAKE_TURN, [name, everyMs]);
  if (row === undefined) return null;
  const memory: unknown = row.memory === null ? null : JSON.parse(row.memory);
  return { name, number: row.number, memory, nowMs: row.now_ms };
}

/** Stores what the next turn is given. False: the turn is over, so nothing was stored and nothing may be done in its name. */
export async function storeMemory(database: Queryable, turn: Turn, memory: unknown): Promise<boolean> {
  const rows = await database.query(STORE_MEMORY, [turn.name, turn.number, JSON.stringify(memory)]);
  return rows.length > 0;
}
