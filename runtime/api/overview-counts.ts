/** What an overview counts anew each time. Everything is counted to a bound, so that looking at a backlog never becomes the load. */
import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";

export type TenantCounts = {
  readonly tasks: { readonly blocked: number; readonly queued: number; readonly running: number };
  /** Those that run now, and those that ended within an hour. */
  readonly runs: {
    readonly running: number;
    readonly succeeded: number;
    readonly failed: number;
    readonly cancelled: number;
  };
  readonly schedules: { readonly active: number; readonly paused: number; readonly disabled: number };
};

/** Of all tenants. */
export type WorkerCounts = {
  readonly alive: number;
  readonly draining: number;
  readonly lost: number;
  /** Of those that are not lost, as they said last. */
  readonly slots: number;
  readonly running: number;
};

export type OverviewCounts = { readonly workers: WorkerCounts; of(tenant: string): TenantCounts };

type Row = {
  readonly tenant: string | null;
  readonly kind: "task" | "run" | "schedule" | "worker";
  readonly name: string;
  readonly count: number;
};

const READ_OVERVIEW = loadSql(import.meta.url, "./read-overview.sql");
/** Of each state or kind, those of all tenants: some milliseconds. */
const MOST = 10_000;

/** Throws what the database throws. */
export async function readCounts(
  database: Queryable,
  tenants: readonly string[],
  workerAliveMs: number,
): Promise<OverviewCounts> {
  const rows = await database.query<Row>(READ_OVERVIEW, [[...tenants], MOST, workerAliveMs]);
  const counts = new Map(rows.map(({ tenant, kind, name, count }) => [keyOf(tenant, kind, name), count]));
  const count = (tenant: string | null, kind: Row["kind"], name: string): number =>
    counts.get(keyOf(tenant, kind, name)) ?? 0;
  return {
    workers: {
      alive: count(null, "worker", "alive"),
      draining: count(null, "worker", "draining"),
      lost: count(null, "worker", "lost"),
      slots: count(null, "worker", "slots"),
      running: count(null, "worker", "running"),
    },
    of: (tenant) => ({
      tasks: {
        blocked: count(tenant, "task", "blocked"),
        queued: count(tenant, "task", "queued"),
        running: count(tenant, "task", "running"),
      },
      runs: {
        running: count(tenant, "run", "running"),
        succeeded: count(tenant, "run", "succeeded"),
        failed: count(tenant, "run", "failed"),
        cancelled: count(tenant, "run", "cancelled"),
      },
      schedules: {
        active: count(tenant, "schedule", "active"),
        paused: count(tenant, "schedule", "paused"),
        disabled: count(tenant, "schedule", "disabled"),
      },
    }),
  };
}

function keyOf(tenant: string | null, kind: string, name: string): string {
  return JSON.stringify([tenant, kind, name]);
}
