/** The worker's own row: who is alive, with how many slots. */

import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";

export type WorkerRow = {
  readonly name: string;
  readonly version: string;
  readonly queues: readonly string[];
  readonly slots: number;
  readonly running: number;
  readonly draining: boolean;
  /** Of its task definition; null outside ECS. */
  readonly revision: number | null;
};

/** Three of the usual heartbeats. */
const ALIVE_MS = 30_000;

const BEAT = loadSql(import.meta.url, "./beat.sql");
const RETIRE = loadSql(import.meta.url, "./retire.sql");

/** Returns the highest revision among the workers that are alive; null where none has one. */
export async function beat(database: Queryable, worker: WorkerRow): Promise<number | null> {
  const [row] = await database.query<{ newest: number | null }>(BEAT, [
    worker.name,
    worker.version,
    worker.queues,
    worker.slots,
    worker.running,
    worker.draining,
    worker.revision,
    ALIVE_MS,
  ]);
  return row?.newest ?? null;
}

/** The worker has stopped in good order and is forgotten. */
export async function retire(database: Queryable, name: string): Promise<void> {
  await database.query(RETIRE, [name]);
}
