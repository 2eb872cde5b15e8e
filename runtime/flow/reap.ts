/** Recover the tasks of workers that stopped renewing their leases. */

import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";

export type Reaped = {
  readonly id: string;
  readonly attempt: number;
  readonly state: "queued" | "failed" | "cancelled";
  readonly losses: number;
  readonly name: string;
  readonly queue: string;
  readonly worker: string;
};

const REAP = loadSql(import.meta.url, "./reap.sql");

/** At most `limit` tasks, 1 to 1,000; none when another process reaps at this moment. */
export function reap(database: Queryable, limit: number): Promise<Reaped[]> {
  return database.query<Reaped>(REAP, [limit]);
}
