/**
 * A claim may have been committed and its answer lost: those attempts are ours, and nobody runs them. Given back when the database answers, they
 * cost nothing; left alone, each would cost its task a lost lease.
 */
import type { AttemptRef } from "../flow/complete.ts";
import { leaving, type Ring } from "../flow/limits.ts";
import { release } from "../flow/release.ts";
import type { Transactional } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import type { Breaker } from "./breaker.ts";

type Own = AttemptRef & { readonly limited: boolean; readonly runId: string | null };

const TRIES = 10;

const READ_OWN = loadSql(import.meta.url, "./read-own.sql");

/** @param ids the tasks that may have been claimed; null: any */
export async function giveBackUnseen(
  ids: readonly string[] | null,
  parts: {
    readonly database: Transactional;
    readonly breaker: Breaker;
    readonly worker: string;
    /** Whether an attempt of this task runs here. */
    readonly holds: (taskId: string) => boolean;
    readonly ring: Ring;
  },
): Promise<void> {
  const { database, breaker, ring } = parts;
  for (let tries = 0; tries < TRIES; tries++) {
    await breaker.closed();
    try {
      const own = await database.query<Own>(READ_OWN, [ids, parts.worker]);
      const unseen = own.filter((attempt) => !parts.holds(attempt.id));
      if (unseen.length > 0) await leaving(database, unseen, (on, some) => release(on, some), ring);
      return;
    } catch (error) {
      // Away again. When that goes on, the leases run out and the reaper finds the tasks.
      breaker.trip(error);
    }
  }
}
