/** Ring for queued tasks whose doorbell was rung long ago and that nobody took. */

import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";

const RING_AGAIN = loadSql(import.meta.url, "./ring-again.sql");

/**
 * Puts a doorbell into the outbox for at most `limit` tasks of one queue, oldest first.
 * @param afterMs silence before the first ring; doubled with each further one
 * @returns ids of the tasks rung
 */
export async function ringAgain(
  database: Queryable,
  queue: string,
  options: { readonly afterMs: number; readonly limit: number },
): Promise<string[]> {
  const rows = await database.query<{ id: string }>(RING_AGAIN, [queue, options.afterMs, options.limit]);
  return rows.map((row) => row.id);
}
