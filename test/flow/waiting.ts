/** For races that a test decides itself: who holds a row, and whether the other one has come to wait for it. */
import type { Database, Transaction, Transactional } from "../../runtime/postgres/pool.ts";
import { ask } from "../support/tasks.ts";
import { until } from "../support/until.ts";

/** Resolves when `count` connections of this application wait for a lock. */
export async function untilWaiting(observer: Database, applicationName: string, count = 1): Promise<void> {
  await until(async () => (await waiting(observer, applicationName)) >= count, {
    what: `${count} connections of ${applicationName} that wait for a lock`,
  });
}

/** Resolves when each of these statements of an application is over or waits for a lock. */
export async function untilStuck(
  observer: Database,
  applicationName: string,
  statements: readonly Promise<unknown>[],
): Promise<void> {
  let over = 0;
  const count = () => {
    over++;
  };
  for (const statement of statements) statement.then(count, count);
  await until(async () => (await waiting(observer, applicationName)) + over >= statements.length, {
    what: `${statements.length} statements of ${applicationName} that are over or wait for a lock`,
  });
}

export type Holder = {
  /** Commits, or undoes it when `undo`, and resolves when that is done. */
  end(undo?: "undo"): Promise<void>;
  readonly tx: Transaction;
};

const UNDO = Symbol("undo");

/** Opens a transaction, does `work` in it and keeps it open, with whatever rows it locked. */
export async function hold(database: Database, work: (tx: Transaction) => Promise<unknown>): Promise<Holder> {
  const opened = Promise.withResolvers<Transaction>();
  const closing = Promise.withResolvers<void>();
  const over = database
    .transaction(async (tx) => {
      await work(tx);
      opened.resolve(tx);
      await closing.promise;
    })
    .catch((error: unknown) => {
      opened.reject(error);
      if (error !== UNDO) throw error;
    });
  // Heard by whoever ends it; until then its failure is that of `opened`.
  over.catch(() => {});
  const tx = await opened.promise;
  return {
    tx,
    async end(undo) {
      if (undo === "undo") closing.reject(UNDO);
      else closing.resolve();
      await over;
    },
  };
}

async function waiting(observer: Database, applicationName: string): Promise<number> {
  const [row] = await ask<{ waiting: number }>(
    observer,
    `select count(*)::int as waiting from pg_stat_activity
      where datname = current_database() and application_name = $1 and wait_event_type = 'Lock'`,
    [applicationName],
  );
  return row?.waiting ?? 0;
}

/** A transaction that is open, where a step may want to begin one. */
export function within(tx: Transaction): Transactional {
  return { query: tx.query, transaction: (work) => work(tx) };
}
