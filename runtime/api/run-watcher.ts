/**
 * Listeners that follow runs, with one look for all of them in this process, as watcher.ts does it for tasks. A look reads only what has started or
 * ended lately. A row becomes visible some time after the moment that stands in it, so each look reads once more what the ones before may have
 * missed, and tells it then, late.
 */
import type { Clock } from "../clock.ts";
import { TaskiqError } from "../errors.ts";
import { lookAtRuns, type RunEvent, type RunEventParts, type RunLook } from "./run-events.ts";

export type RunListener = {
  /** What has come since this function was called last, and was not told by this listener's own first look. */
  take(): readonly RunEvent[];
  /** The run is over, or gone, or this listener was too slow: nothing comes any more. */
  readonly isOver: boolean;
  /** Resolves when something has come or is over, when `signal` aborts, when stopped; with false after `limitMs`. */
  changed(limitMs: number, signal: AbortSignal): Promise<boolean>;
  leave(): void;
};

export type RunWatcher = {
  /**
   * From now on. Throws TaskiqError `too_many_listeners`.
   * @param refreshMs how soon the listener has to hear of something: the pause between two looks is the least of all listeners', or longer where all of them can
   *   wait and many runs are watched. Default 300.
   */
  listen(runId: string, refreshMs?: number): RunListener;
  /** All that has happened since a time, in microseconds since 1970. Null: there is no such run. */
  look(runId: string, sinceUs: number): Promise<RunLook | null>;
  readonly stopped: boolean;
  /** Ends every wait, now and in future. */
  stop(): void;
};

export type RunWatcherParts = RunEventParts & { readonly clock: Clock };

/** How long after the moment in it a row may become visible: the longest statement, with its waits. */
export const LATE_US = 10_000_000;
/** Almost all are visible after this, and only these are read by every look. */
const USUALLY_LATE_US = 1_000_000;
const FAR_FUTURE_US = 8e15;
const WIDE_LOOK_EVERY_MS = 3_000;
const REFRESH_MS = 300;
/** Where every listener can wait, the more so the more runs are watched: a look reads all of them, by up to three statements. */
const EACH_RUN_MS = 500;
const MAX_PACED_MS = 3_000;
/** Pause after a look that failed. */
const AWAY_POLL_MS = 1_000;
/** The pause is at least this many times as long as the look: what is watched may be large. */
const PAUSES_PER_LOOK = 5;
/** Each costs a socket and what it has not read yet. */
export const MAX_RUN_LISTENERS = 500;
/** Events that wait for a listener that reads slowly; it comes back and reads on. */
const MAX_QUEUED = 20_000;

type Queue = { readonly refreshMs: number; events: RunEvent[]; isOver: boolean; wake: () => void };

type Watched = {
  readonly queues: Set<Queue>;
  /** Ids with their times, as long as a look may find them again. */
  readonly told: Map<string, number>;
  readonly progress: Map<string, string>;
  runText: string;
  /** Of the last look that saw all. Undefined: there was none. */
  seenUs: number | undefined;
};

export function createRunWatcher(parts: RunWatcherParts): RunWatcher {
  const { clock } = parts;
  const watched = new Map<string, Watched>();
  let listeners = 0;
  let stopped = false;
  let polling = false;
  let nap = new AbortController();
  let wideMs = 0;

  async function poll(): Promise<void> {
    polling = true;
    while (watched.size > 0 && !stopped) {
      const startedMs = clock.nowMs();
      const isAnswered = await look(startedMs);
      const tookMs = clock.nowMs() - startedMs;
      nap = new AbortController();
      const pauseMs = isAnswered ? Math.max(pacedMs(), PAUSES_PER_LOOK * tookMs) : AWAY_POLL_MS;
      await clock.after(pauseMs, nap.signal).catch(() => {});
    }
    polling = false;
  }

  function pacedMs(): number {
    const least = leastRefreshMs();
    return least <= REFRESH_MS ? least : Math.max(least, Math.min(watched.size * EACH_RUN_MS, MAX_PACED_MS));
  }

  function leastRefreshMs(): number {
    const all = [...watched.values()].flatMap(({ queues }) => [...queues].map(({ refreshMs }) => refreshMs));
    return all.length === 0 ? REFRESH_MS : Math.min(...all);
  }

  /** False when the database did not answer. Listeners go on waiting: an outage is no change of their runs. */
  async function look(nowMs: number): Promise<boolean> {
    const isWide = nowMs - wideMs >= WIDE_LOOK_EVERY_MS;
    const entries = new Map(watched);
    const since = new Map([...entries].map(([id, entry]) => [id, sinceOf(entry, isWide)]));
    try {
      const looks = await lookAtRuns(since, parts);
      if (isWide) wideMs = nowMs;
      for (const [id, entry] of entries) {
        const found = looks.get(id);
        if (found === undefined) end(entry);
        else if (found.isOver && (!isWide || entry.seenUs === undefined)) await lastLook(id, entry, found.nowUs);
        else see(entry, found, isWide);
      }
      return true;
    } catch {
      return false;
    }
  }

  /** A run that is over gets no wide look later. */
  async function lastLook(id: string, entry: Watched, nowUs: number): Promise<void> {
    const sinceUs = (entry.seenUs ?? nowUs) - LATE_US;
    const found = (await lookAtRuns(new Map([[id, sinceUs]]), parts)).get(id);
    if (found === undefined) end(entry);
    else see(entry, found, true);
  }

  function see(entry: Watched, found: RunLook, isWide: boolean): void {
    const isFirst = entry.seenUs === undefined;
    if (isWide || isFirst) entry.seenUs = found.nowUs;
    const events: RunEvent[] = [];
    for (const event of found.steps) {
      if (event.id === null || entry.told.has(event.id)) continue;
      entry.told.set(event.id, event.atUs);
      events.push(event);
    }
    for (const [taskId, event] of found.progress) {
      if (entry.progress.get(taskId) === event.text) continue;
      entry.progress.set(taskId, event.text);
      events.push(event);
    }
    for (const taskId of entry.progress.keys()) if (!found.progress.has(taskId)) entry.progress.delete(taskId);
    if (found.run.text !== entry.runText) events.push(found.run);
    entry.runText = found.run.text;
    for (const [id, atUs] of entry.told) if (atUs < found.nowUs - 3 * LATE_US) entry.told.delete(id);
    tell(entry, events);
    if (found.isOver) end(entry);
  }

  return {
    listen(runId, refreshMs = REFRESH_MS) {
      if (listeners >= MAX_RUN_LISTENERS) {
        throw new TaskiqError(
          "too_many_listeners",
          `expected at most ${MAX_RUN_LISTENERS} listeners of runs in one process of the API, there are as many already.`,
        );
      }
      listeners++;
      const entry = watched.get(runId) ?? newlyWatched();
      watched.set(runId, entry);
      let woken = new AbortController();
      const queue: Queue = { refreshMs, events: [], isOver: false, wake: () => woken.abort() };
      const isFaster = refreshMs < leastRefreshMs();
      entry.queues.add(queue);
      if (!polling) void poll();
      else if (isFaster) nap.abort();
      return {
        take() {
          const { events } = queue;
          queue.events = [];
          return events;
        },
        get isOver() {
          return queue.isOver;
        },
        async changed(limitMs, signal) {
          if (queue.events.length > 0 || queue.isOver || stopped || signal.aborted) return true;
          woken = new AbortController();
          return await clock.after(limitMs, AbortSignal.any([woken.signal, signal])).then(
            () => false,
            () => true,
          );
        },
        leave() {
          if (!entry.queues.delete(queue)) return;
          listeners--;
          if (entry.queues.size > 0) return;
          if (watched.get(runId) === entry) watched.delete(runId);
          if (watched.size === 0) nap.abort();
        },
      };
    },
    async look(runId, sinceUs) {
      return (await lookAtRuns(new Map([[runId, sinceUs]]), parts)).get(runId) ?? null;
    },
    get stopped() {
      return stopped;
    },
    stop() {
      stopped = true;
      nap.abort();
      for (const { queues } of watched.values()) for (const { wake } of queues) wake();
    },
  };

  function end(entry: Watched): void {
    for (const queue of entry.queues) {
      queue.isOver = true;
      queue.wake();
    }
    for (const [id, other] of watched) if (other === entry) watched.delete(id);
  }
}

function newlyWatched(): Watched {
  return { queues: new Set(), told: new Map(), progress: new Map(), runText: "", seenUs: undefined };
}

/** Those who came before the first look have looked for themselves, after they had begun to listen. */
function sinceOf({ seenUs }: Watched, isWide: boolean): number {
  if (seenUs === undefined) return FAR_FUTURE_US;
  return seenUs - (isWide ? LATE_US : USUALLY_LATE_US);
}

function tell({ queues }: Watched, events: readonly RunEvent[]): void {
  if (events.length === 0) return;
  for (const queue of queues) {
    if (queue.events.length + events.length > MAX_QUEUED) {
      queue.events = [];
      queue.isOver = true;
    } else queue.events.push(...events);
    queue.wake();
  }
}
