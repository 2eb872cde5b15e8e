/**
 * The ends of the last quarter of an hour, in memory: the first look goes back so far, the others only tell what has ended since. By intervals of ten
 * seconds, because percentiles cannot be added up, but the counts of durations they are made from can.
 */
import { type CompletionGroup, readCompletions } from "../metrics/completions.ts";
import { addUp, type Histogram, percentile } from "../metrics/histogram.ts";
import type { TerminalState } from "../model/task.ts";
import type { Queryable } from "../postgres/pool.ts";

export type Ends = { readonly [Outcome in TerminalState]: number } & {
  /** From due to the start of the last attempt. Null: nothing that ended had been started. */
  readonly wait_p50_ms: number | null;
  readonly wait_p95_ms: number | null;
  readonly wait_p99_ms: number | null;
  /** From the start of the last attempt to the end. */
  readonly run_p50_ms: number | null;
  readonly run_p95_ms: number | null;
  readonly run_p99_ms: number | null;
};

export type Point = { readonly at: Date } & Ends;

export type CompletionHistory = {
  /**
   * Looks at what has ended since the look before. True when a task failed among it, or when this was the first look. Throws what the database throws,
   * and is then as it was.
   */
  advance(): Promise<boolean>;
  /** Where the last look ended, a little before it was made. */
  readonly until: Date;
  /** By intervals, oldest first, empty ones included; the last one is not over. */
  pointsOf(tenant: string): Point[];
  /** Of all those intervals. */
  totalsOf(tenant: string): Ends;
  /** Tasks of all tenants that ended in a queue within a minute, per second: within the last six intervals that are over. */
  rateOf(queue: string): number;
};

export const INTERVAL_MS = 10_000;
export const INTERVALS = 90;
const SPAN_MS = INTERVALS * INTERVAL_MS;
/** Where so much has ended that a look back takes too long, the history starts shorter. */
const LOOKS_BACK_MS = [SPAN_MS, SPAN_MS / 5, INTERVAL_MS] as const;
const RATE_INTERVALS = 6;

type Slot = { counts: Record<TerminalState, number>; waits: Histogram[]; runs: Histogram[] };

export function createCompletionHistory(database: Queryable): CompletionHistory {
  /** By tenant, then by the start of the interval. */
  const slots = new Map<string, Map<number, Slot>>();
  /** By the start of the interval, then by queue. */
  const endsOfQueues = new Map<number, Map<string, number>>();
  let untilUs: number | null = null;
  let refusals = 0;

  function put({ tenant, queue, outcome, intervalMs, count, wait, run }: CompletionGroup): void {
    const ofTenant = slots.get(tenant) ?? new Map<number, Slot>();
    slots.set(tenant, ofTenant);
    const slot = ofTenant.get(intervalMs) ?? emptySlot();
    ofTenant.set(intervalMs, slot);
    slot.counts[outcome] += count;
    slot.waits = [addUp([...slot.waits, wait])];
    slot.runs = [addUp([...slot.runs, run])];
    const ends = endsOfQueues.get(intervalMs) ?? new Map<string, number>();
    endsOfQueues.set(intervalMs, ends);
    ends.set(queue, (ends.get(queue) ?? 0) + count);
  }

  /** The starts of the intervals that count, oldest first. */
  function starts(): number[] {
    const last = Math.floor((untilUs ?? 0) / 1_000 / INTERVAL_MS) * INTERVAL_MS;
    return Array.from({ length: INTERVALS }, (_, index) => last - (INTERVALS - 1 - index) * INTERVAL_MS);
  }

  function forget(): void {
    const [oldest = 0] = starts();
    for (const [tenant, ofTenant] of slots) {
      for (const start of ofTenant.keys()) if (start < oldest) ofTenant.delete(start);
      if (ofTenant.size === 0) slots.delete(tenant);
    }
    for (const start of endsOfQueues.keys()) if (start < oldest) endsOfQueues.delete(start);
  }

  return {
    async advance() {
      const isFirst = untilUs === null;
      const maxAgeMs = isFirst ? (LOOKS_BACK_MS[refusals] ?? INTERVAL_MS) : SPAN_MS;
      try {
        const look = await readCompletions(database, { sinceUs: untilUs, maxAgeMs, intervalMs: INTERVAL_MS });
        untilUs = look.untilUs;
        for (const group of look.groups) put(group);
        forget();
        return isFirst || look.groups.some(({ outcome }) => outcome === "failed");
      } catch (error) {
        refusals = Math.min(refusals + 1, LOOKS_BACK_MS.length - 1);
        throw error;
      }
    },
    get until() {
      return new Date((untilUs ?? 0) / 1_000);
    },
    pointsOf(tenant) {
      const ofTenant = slots.get(tenant);
      return starts().map((start) => ({ at: new Date(start), ...endsIn([ofTenant?.get(start) ?? EMPTY_SLOT]) }));
    },
    totalsOf(tenant) {
      const ofTenant = slots.get(tenant);
      return endsIn(starts().map((start) => ofTenant?.get(start) ?? EMPTY_SLOT));
    },
    rateOf(queue) {
      const over = starts().slice(-1 - RATE_INTERVALS, -1);
      const ends = over.reduce((sum, start) => sum + (endsOfQueues.get(start)?.get(queue) ?? 0), 0);
      return ends / ((RATE_INTERVALS * INTERVAL_MS) / 1_000);
    },
  };
}

function emptySlot(): Slot {
  return { counts: { succeeded: 0, failed: 0, cancelled: 0, skipped: 0 }, waits: [], runs: [] };
}

const EMPTY_SLOT: Slot = emptySlot();

function endsIn(slots: readonly Slot[]): Ends {
  const count = (outcome: TerminalState) => slots.reduce((sum, { counts }) => sum + counts[outcome], 0);
  const waits = addUp(slots.flatMap(({ waits }) => waits));
  const runs = addUp(slots.flatMap(({ runs }) => runs));
  return {
    succeeded: count("succeeded"),
    failed: count("failed"),
    cancelled: count("cancelled"),
    skipped: count("skipped"),
    wait_p50_ms: rounded(percentile(waits, 0.5)),
    wait_p95_ms: rounded(percentile(waits, 0.95)),
    wait_p99_ms: rounded(percentile(waits, 0.99)),
    run_p50_ms: rounded(percentile(runs, 0.5)),
    run_p95_ms: rounded(percentile(runs, 0.95)),
    run_p99_ms: rounded(percentile(runs, 0.99)),
  };
}

/** To a tenth: the buckets they come from are wider. */
function rounded(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms * 10) / 10;
}
