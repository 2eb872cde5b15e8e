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
};

const BEAT = loadSql(import.meta.url, "./beat.sql");
const RETIRE = loadSql(import.meta.url, "./retire.sql");

export async function beat(database: Queryable, worker: WorkerRow): Promise<void> {
  await database.query(BEAT, [
    worker.name,
    worker.version,
    worker.queues,
    worker.slots,
    worker.running,
    worker.draining,
  ]);
}

/** The worker has stopped in good order and is forgotten. */
export async function retire(database: Queryable, name: string): Promise<void> {
  await database.query(RETIRE, [name]);
}
