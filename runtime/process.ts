/** What every long-running role does at its start and at its end. */

import type { Clock } from "./clock.ts";
import { TaskiqError } from "./errors.ts";
import type { Log } from "./log.ts";
import { checkSchema } from "./postgres/migrate.ts";
import { type Database, isConnectionError } from "./postgres/pool.ts";

const RETRY_MS = 1_000;
const EXIT_SLACK_MS = 5_000;

export type SchemaWait = {
  /** Brings the schema up to date first (role `all`, for laptops). */
  readonly migrateFirst: (() => Promise<unknown>) | null;
  /** How long to wait for somebody else to migrate an older schema. */
  readonly waitMs: number;
  readonly log: Log;
  readonly clock: Clock;
};

/**
 * Waits for the database, as long as it takes, then until its schema is one this code can work with. A process that exits because
 * the database is away, or because the migration beside it needs another second, would only be restarted, again and again.
 * @throws TaskiqError `schema_newer`; `schema_older` after `waitMs`
 */
export async function whenSchemaFits(database: Database, options: SchemaWait): Promise<void> {
  const { migrateFirst, waitMs, log, clock } = options;
  let isAway = false;
  let olderSinceMs: number | null = null;
  for (;;) {
    try {
      await migrateFirst?.();
      await checkSchema(database);
      return;
    } catch (error) {
      if (isConnectionError(error)) {
        if (!isAway) log.warn("database.away", { error });
        isAway = true;
      } else if (error instanceof TaskiqError && error.code === "schema_older") {
        if (olderSinceMs === null) log.warn("schema.older", { error, waitMs });
        olderSinceMs ??= clock.nowMs();
        if (clock.nowMs() - olderSinceMs >= waitMs) throw error;
      } else throw error;
      await clock.after(RETRY_MS);
    }
  }
}

/**
 * Stops the process in order on SIGTERM and SIGINT, and after an error that nobody handled: each of `stops` in the order they
 * were added, then exit. A second signal, or the end of the budget, exits at once: what is lost then is recovered by leases.
 * @returns begins the same stop from inside
 */
export function stopOnSignals(options: {
  readonly log: Log;
  readonly clock: Clock;
  readonly budgetMs: number;
  readonly stops: readonly (() => Promise<void>)[];
  /** After all of these, in a few seconds at most: what they said is sent. */
  readonly flush?: () => Promise<void>;
}): (why: string) => void {
  const { log, clock, budgetMs, stops } = options;
  let stopping = false;

  function stop(why: string, exitCode: number): void {
    if (stopping) return;
    stopping = true;
    void stopAll(why, exitCode);
  }

  async function stopAll(why: string, exitCode: number): Promise<void> {
    const startedMs = clock.nowMs();
    log.info("process.stopping", { signal: why, budgetMs });
    const overdue = setTimeout(() => process.exit(1), budgetMs + EXIT_SLACK_MS);
    overdue.unref();
    // The roles of one process stop side by side: the API answers while the worker drains.
    const results = await Promise.allSettled(stops.map((one) => one()));
    const failed = results.find((result) => result.status === "rejected");
    if (failed !== undefined) log.error("process.failed", { error: failed.reason });
    await options.flush?.();
    log.info("process.stopped", { exitCode, elapsedMs: Math.round(clock.nowMs() - startedMs) });
    process.exit(exitCode);
  }

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (stopping) process.exit(130);
      stop(signal, 0);
    });
  }
  process.on("uncaughtException", (error) => {
    log.error("process.failed", { error });
    stop("an error that nobody handled", 1);
  });
  // A promise that a handler forgot is that handler's fault, and no reason to end the attempts beside it.
  process.on("unhandledRejection", (error) => log.error("process.unhandled", { error }));
  return (why) => stop(why, 0);
}

/** One line on standard error for a process that cannot start, without a stack where the message says it all. */
export function describeStartFailure(error: unknown): string {
  return error instanceof TaskiqError
    ? error.message
    : error instanceof Error
      ? (error.stack ?? error.message)
      : String(error);
}
