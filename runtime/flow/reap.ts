/** Recover the tasks of workers that stopped renewing their leases. */

import type { Transactional } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import { leaveLimits, type Ring } from "./limits.ts";

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
const READ_EXPIRED_LIMITED = loadSql(import.meta.url, "./read-expired-limited.sql");

/**
 * At most `limit` tasks, 1 to 1,000; none when another process reaps at this moment.
 * @param ring for those who waited for their places. Default: the outbox's loop finds them.
 */
export async function reap(database: Transactional, limit: number, ring: Ring = () => {}): Promise<Reaped[]> {
  const limited = (await database.query<{ id: string }>(READ_EXPIRED_LIMITED, [limit])).map(({ id }) => id);
  if (limited.length === 0) return await database.query<Reaped>(REAP, [limit, []]);
  return await leaveLimits(
    database,
    limited,
    async (tx) => {
      const reaped = await tx.query<Reaped>(REAP, [limit, limited]);
      const held = new Set(limited);
      return { result: reaped, left: reaped.flatMap(({ id }) => (held.has(id) ? [id] : [])) };
    },
    ring,
  );
}
