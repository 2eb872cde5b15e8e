/**
 * Overviews for all who look at them, with one look for the whole process, as watcher.ts does it for those who follow tasks: a hundred open pages cost
 * the database as much as one. Nobody listens: nothing is looked at.
 */
import type { Clock } from "../clock.ts";
import { TaskiqError } from "../errors.ts";
import type { Queryable } from "../postgres/pool.ts";
import { createCompletionHistory } from "./completion-history.ts";
import { readCounts } from "./overview-counts.ts";
import { type OverviewParts, overviewText } from "./overview-view.ts";
import type { QueueStats } from "./queue-stats.ts";
import { type FailureReason, readRecentFailures } from "./recent-failures.ts";

/** The overview as JSON text, or that there is none at the moment. */
export type OverviewNews = { readonly text: string } | "away";

export type OverviewListener = {
  /**
   * Resolves with the latest overview of the tenant when this function has not resolved with it yet, with `away` when the database does not answer any
   * more; otherwise waits for that. Undefined: nothing new after `limitMs`, or so far, or `signal` was aborted, or all is stopped.
   */
  next(limitMs: number, signal: AbortSignal): Promise<OverviewNews | undefined>;
  leave(): void;
};

export type OverviewFeed = {
  /** Throws TaskiqError `too_many_listeners`. */
  listen(tenant: string): OverviewListener;
  /** The overview of a tenant as JSON text, at most 1 s old. Throws what the database throws. */
  read(tenant: string): Promise<string>;
  readonly stopped: boolean;
  /** Ends every wait, now and in future. */
  stop(): void;
};

export type OverviewFeedParts = {
  readonly database: Queryable;
  readonly queueNames: readonly string[];
  readonly queueStats: QueueStats;
  /** Silence after which a worker is shown lost: three of its heartbeats. */
  readonly workerAliveMs: number;
  readonly clock: Clock;
};

/** From the start of one look to that of the next, while somebody listens. */
const EVERY_MS = 3_000;
/** What is so new serves whoever comes, too. */
const FRESH_MS = 1_000;
/** Failures are looked at when there are new ones, not more often than this; and so often in any case: old ones are forgotten. */
const NEW_FAILURES_MS = 6_000;
const FAILURES_EVERY_MS = 60_000;
/** Each costs a socket. */
export const MAX_OVERVIEW_LISTENERS = 1_000;

type Listening = { readonly tenant: string; wake(): void };

type Failures = {
  readonly atMs: number;
  readonly tenants: ReadonlySet<string>;
  readonly reasons: ReadonlyMap<string, readonly FailureReason[]>;
};

/** What a look has found: the parts, and the texts made of them so far. */
type Sight = {
  readonly atMs: number;
  readonly tenants: ReadonlySet<string>;
  readonly texts: Map<string, { readonly text: string }>;
  readonly parts: OverviewParts;
};

export function createOverviewFeed(parts: OverviewFeedParts): OverviewFeed {
  const { database, queueNames, queueStats, workerAliveMs, clock } = parts;
  const history = createCompletionHistory(database);
  const listeners = new Set<Listening>();
  let sight: Sight | undefined;
  let looking: Promise<Sight> | undefined;
  let isAway = false;
  let failures: Failures | undefined;
  let hasNewFailures = true;
  let polling = false;
  let stopped = false;
  /** The pause between two looks; somebody new ends it. */
  let nap = new AbortController();

  async function poll(): Promise<void> {
    polling = true;
    while (listeners.size > 0 && !stopped) {
      const startedMs = clock.nowMs();
      await lookFor([]).catch(() => {});
      for (const { wake } of listeners) wake();
      nap = new AbortController();
      const isMissing = !isAway && [...listeners].some(({ tenant }) => sight?.tenants.has(tenant) !== true);
      if (isMissing) continue;
      await clock.after(Math.max(0, startedMs + EVERY_MS - clock.nowMs()), nap.signal).catch(() => {});
    }
    polling = false;
  }

  /** A look for the tenants of all listeners and these. Whoever asks while one is under way gets that, or waits for the next. */
  async function lookFor(wanted: readonly string[]): Promise<Sight> {
    while (looking !== undefined) {
      const found = await looking;
      if (wanted.every((tenant) => found.tenants.has(tenant))) return found;
    }
    looking = look(new Set([...wanted, ...[...listeners].map(({ tenant }) => tenant)]));
    try {
      sight = await looking;
      isAway = false;
      return sight;
    } catch (error) {
      isAway = true;
      throw error;
    } finally {
      looking = undefined;
    }
  }

  async function look(tenants: ReadonlySet<string>): Promise<Sight> {
    const atMs = clock.nowMs();
    if (await history.advance()) hasNewFailures = true;
    const [counts, queues] = await Promise.all([
      readCounts(database, [...tenants], workerAliveMs),
      queueStats.read(queueNames),
    ]);
    return { atMs, tenants, texts: new Map(), parts: { history, counts, queues, failures: await failuresOf(tenants) } };
  }

  async function failuresOf(tenants: ReadonlySet<string>): Promise<Failures["reasons"]> {
    const nowMs = clock.nowMs();
    const isKnown = failures !== undefined && [...tenants].every((tenant) => failures?.tenants.has(tenant));
    const freshMs = hasNewFailures ? NEW_FAILURES_MS : FAILURES_EVERY_MS;
    if (failures !== undefined && isKnown && nowMs - failures.atMs < freshMs) {
      return failures.reasons;
    }
    const reasons = await readRecentFailures(database, [...tenants]);
    failures = { atMs: nowMs, tenants, reasons };
    hasNewFailures = false;
    return reasons;
  }

  /** One text for all listeners of a tenant. Undefined: the look was not for it. */
  function textFor(tenant: string, { tenants, texts, parts: found }: Sight): { readonly text: string } | undefined {
    if (!tenants.has(tenant)) return undefined;
    const made = texts.get(tenant) ?? { text: overviewText(tenant, found) };
    texts.set(tenant, made);
    return made;
  }

  return {
    listen(tenant) {
      if (listeners.size >= MAX_OVERVIEW_LISTENERS) {
        throw new TaskiqError(
          "too_many_listeners",
          `expected at most ${MAX_OVERVIEW_LISTENERS} listeners of overviews in one process of the API, there are as many already.`,
        );
      }
      let woken = new AbortController();
      let told: OverviewNews | undefined;
      const listening: Listening = { tenant, wake: () => woken.abort() };
      listeners.add(listening);
      if (!polling) void poll();
      else if (sight?.tenants.has(tenant) !== true) nap.abort();

      /** What was not told yet. */
      function news(): OverviewNews | undefined {
        const now = isAway ? "away" : sight && textFor(tenant, sight);
        if (now === told) return undefined;
        told = now;
        return now;
      }

      return {
        async next(limitMs, signal) {
          const known = news();
          if (known !== undefined || stopped || signal.aborted) return known;
          woken = new AbortController();
          await clock.after(limitMs, AbortSignal.any([woken.signal, signal])).catch(() => {});
          return news();
        },
        leave() {
          listeners.delete(listening);
          if (listeners.size === 0) nap.abort();
        },
      };
    },
    async read(tenant) {
      const isFresh = sight?.tenants.has(tenant) === true && clock.nowMs() - sight.atMs < FRESH_MS;
      const found = isFresh && sight !== undefined ? sight : await lookFor([tenant]);
      // The look was for this tenant.
      return textFor(tenant, found)?.text ?? "";
    },
    get stopped() {
      return stopped;
    },
    stop() {
      stopped = true;
      nap.abort();
      for (const { wake } of listeners) wake();
    },
  };
}
