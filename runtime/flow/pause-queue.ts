/**
 * Pause a queue and let it go on. Workers look every second (worker/signals.ts): they finish what runs, claim nothing more, and give back what an open
 * poll still brings. Tasks may be submitted meanwhile.
 */

import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";

export type Pause = {
  readonly pausedAt: Date;
  readonly pausedBy: string | null;
};

const PAUSE_QUEUE = loadSql(import.meta.url, "./pause-queue.sql");
const RESUME_QUEUE = loadSql(import.meta.url, "./resume-queue.sql");

/** The pause that holds now: an earlier one stays as it is. */
export async function pauseQueue(database: Queryable, queue: string, who: string): Promise<Pause> {
  const [row] = await database.query<{ paused_at: Date; paused_by: string | null }>(PAUSE_QUEUE, [queue, who]);
  if (row === undefined) throw new Error("expected one row of pause-queue.sql, got none");
  return { pausedAt: row.paused_at, pausedBy: row.paused_by };
}

/** False: it was not paused. */
export async function resumeQueue(database: Queryable, queue: string): Promise<boolean> {
  const rows = await database.query(RESUME_QUEUE, [queue]);
  return rows.length > 0;
}
