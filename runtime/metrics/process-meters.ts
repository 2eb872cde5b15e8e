/** What every process can say of itself: its version, its memory and CPU, its event loop and its connections to Postgres. */

import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Clock } from "../clock.ts";
import type { Database } from "../postgres/pool.ts";
import type { Meters } from "./meters.ts";

export type ProcessMeterParts = {
  readonly meters: Meters;
  readonly version: string;
  readonly role: string;
  readonly clock: Clock;
};

export type EventLoopDelay = {
  /** The 99th percentile since the last look, in milliseconds; undefined before anything was measured. */
  takeMs(): number | undefined;
  stop(): void;
};

/** The histogram measures from timer to timer: this much of every value is no delay. */
const RESOLUTION_MS = 20;

export function readProcess({ meters, version, role, clock }: ProcessMeterParts): void {
  const delay = watchEventLoopDelay();
  const startedSeconds = clock.wallMs() / 1_000 - process.uptime();
  const one = (value: () => number | undefined) => () => {
    const found = value();
    return found === undefined ? [] : [{ labels: {}, value: found }];
  };
  meters.read("taskq_build_info", () => [{ labels: { version, role }, value: 1 }]);
  meters.read(
    "nodejs_eventloop_lag_p99_seconds",
    one(() => {
      const ms = delay.takeMs();
      return ms === undefined ? undefined : ms / 1_000;
    }),
  );
  meters.read(
    "nodejs_heap_size_used_bytes",
    one(() => process.memoryUsage().heapUsed),
  );
  meters.read(
    "process_resident_memory_bytes",
    one(() => process.memoryUsage.rss()),
  );
  meters.read(
    "process_start_time_seconds",
    one(() => startedSeconds),
  );
  meters.read(
    "process_cpu_seconds_total",
    one(() => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    }),
  );
}

/** @param pool what its connections are for, as Postgres is told */
export function readPool(meters: Meters, pool: string, database: Pick<Database, "clients">): void {
  meters.read("taskq_db_pool_clients", () =>
    Object.entries(database.clients).map(([state, value]) => ({ labels: { pool, state }, value })),
  );
}

export function watchEventLoopDelay(): EventLoopDelay {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delays.enable();
  return {
    takeMs() {
      if (delays.count === 0) return undefined;
      const ms = Math.max(0, Math.round((delays.percentile(99) / 1e6 - RESOLUTION_MS) * 10) / 10);
      delays.reset();
      return ms;
    },
    stop: () => void delays.disable(),
  };
}
