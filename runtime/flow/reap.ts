/** Recover the tasks of workers that stopped renewing their leases. */

import type { Transactional } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import { freeLimits, lockLimits, type Ring } from "./limits.ts";

export type Reaped = {
  readonly id: string;
  readonly attempt: number;
  readonly state: "queued" | "failed" | "cancelled";
  readonly losses: number;
  readonly name: string;
  readonly queue: string;
  readonly worker: string;
};

type HeldRow = { id: string; run_id: string | null; limited: boolean };

const REAP = loadSql(import.meta.url, "./reap.sql");
const READ_EXPIRED_HELD = loadSql(import.meta.url, "./read-expired-held.sql");
const LOCK_FREE_RUNS = loadSql(import.meta.url, "./lock-free-runs.sql");

/**
 * At most `limit` tasks, 1 to 1,000; none when another process reaps at this moment.
 * @param ring for those who waited for their places. Default: the outbox's loop finds them.
 */
export async function reap(database: Transactional, limit: number, ring: Ring = () => {}): Promise<Reaped[]> {
  const held = await database.query<HeldRow>(READ_EXPIRED_HELD, [limit]);
  if (held.length === 0) return await database.query<Reaped>(REAP, [limit, []]);
  const runs = [...new Set(held.flatMap(({ run_id: runId }) => (runId === null ? [] : [runId])))];
  // Steps whose run is busy are recovered the next time.
  const { reaped, rung } = await database.transaction(async (tx) => {
    const locked = runs.length === 0 ? [] : await tx.query<{ id: string }>(LOCK_FREE_RUNS, [runs]);
    const free = new Set<string | null>([null, ...locked.map(({ id }) => id)]);
    const ours = held.filter(({ run_id: runId }) => free.has(runId));
    const limited = ours.filter((task) => task.limited).map(({ id }) => id);
    if (limited.length > 0) await lockLimits(tx, limited);
    const reaped = await tx.query<Reaped>(REAP, [limit, ours.map(({ id }) => id)]);
    const left = reaped.filter(({ id }) => limited.includes(id)).map(({ id }) => id);
    return { reaped, rung: left.length === 0 ? [] : await freeLimits(tx, left) };
  });
  ring(rung);
  return reaped;
}
