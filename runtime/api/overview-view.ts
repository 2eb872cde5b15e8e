/** An overview as the API shows it: how a deployment does, in one answer. */
import { z } from "zod";
import { type CompletionHistory, INTERVAL_MS } from "./completion-history.ts";
import { DOCS } from "./docs.ts";
import type { OverviewCounts } from "./overview-counts.ts";
import { QUEUE, type QueueView } from "./queue-stats.ts";
import type { FailureReason } from "./recent-failures.ts";

export type OverviewParts = {
  readonly history: CompletionHistory;
  readonly counts: OverviewCounts;
  readonly queues: readonly QueueView[];
  readonly failures: ReadonlyMap<string, readonly FailureReason[]>;
};

/** As JSON text. Tasks, runs, schedules and failures are those of the tenant; queues and workers are shared by all. */
export function overviewText(tenant: string, { history, counts, queues, failures }: OverviewParts): string {
  return JSON.stringify({
    at: history.until,
    tenant,
    interval_seconds: INTERVAL_MS / 1_000,
    points: history.pointsOf(tenant),
    totals: history.totalsOf(tenant),
    ...counts.of(tenant),
    queues: queues.map((queue) => ({ ...queue, rate_per_second: history.rateOf(queue.name) })),
    workers: counts.workers,
    failures: (failures.get(tenant) ?? []).map(({ task, queue, code, message, count, last_at, last_id }) => ({
      task,
      queue,
      code,
      message,
      count,
      last_at,
      last_task_id: last_id,
    })),
  });
}

const count = z.int().min(0);
const ms = z.number().min(0).nullable();

const ENDS = {
  succeeded: count,
  failed: count,
  cancelled: count,
  skipped: count,
  wait_p50_ms: ms,
  wait_p95_ms: ms,
  wait_p99_ms: ms,
  run_p50_ms: ms,
  run_p95_ms: ms,
  run_p99_ms: ms,
};

/** For the OpenAPI document only: answers are written by `overviewText`. */
export const OVERVIEW = z
  .object({
    at: z.iso.datetime().register(DOCS, { description: "Until when ends of tasks were counted." }),
    tenant: z.string(),
    interval_seconds: z.number(),
    points: z.array(z.object({ at: z.iso.datetime(), ...ENDS })).register(DOCS, {
      description:
        "Tasks that ended within 15 minutes, by interval, oldest first; the last interval is not over. `wait`: from due to the start of the last attempt, " +
        "`run`: from there to the end; to about a tenth, null where nothing ended that had been started.",
    }),
    totals: z.object(ENDS).register(DOCS, { description: "Of all those intervals." }),
    tasks: z
      .object({ blocked: count, queued: count, running: count })
      .register(DOCS, { description: "Now. Counted among the newest 10,000 of each state, those of all tenants." }),
    runs: z
      .object({ running: count, succeeded: count, failed: count, cancelled: count })
      .register(DOCS, { description: "Those that run, and those that ended within an hour, counted up to 10,000." }),
    schedules: z.object({ active: count, paused: count, disabled: count }),
    queues: z.array(
      QUEUE.extend({
        rate_per_second: z
          .number()
          .register(DOCS, { description: "Tasks of all tenants that ended, on average over the last minute." }),
      }),
    ),
    workers: z
      .object({ alive: count, draining: count, lost: count, slots: count, running: count })
      .register(DOCS, { description: "`slots` and `running` of those that are not lost, as they said last." }),
    failures: z
      .array(
        z.object({
          task: z.string(),
          queue: z.string(),
          code: z.string(),
          message: z.string().nullable(),
          count,
          last_at: z.iso.datetime(),
          last_task_id: z.uuid(),
        }),
      )
      .register(DOCS, {
        description: "The ten most frequent reasons, by task and code, for which tasks failed within an hour.",
      }),
  })
  .register(DOCS, { id: "Overview" });
