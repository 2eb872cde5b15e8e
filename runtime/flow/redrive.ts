/**
 * Redrive: dead letters of a queue go back to work. Receive from the dead-letter queue, put the tasks back in one transaction (redrive-tasks.ts), then
 * delete the messages. Nothing is kept anywhere else, so it may stop at any point and simply be asked for again; and it needs no message-move task of
 * SQS, which would bring the message back and leave the task failed.
 *
 * What fails after the begin is left there: a redrive of tasks that still fail would never end.
 *
 * One call works for a bounded time. Messages that are not touched (poison, another queue's, another tenant's) stay hidden while the caller goes on
 * asking, else they would be received first every time and nothing behind them would ever be reached.
 */

import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import type { Database, Queryable } from "../postgres/pool.ts";
import type { Delivery, Queue } from "../queue/queue.ts";
import { decodeMessage } from "../wire/message.ts";
import { readPointer } from "../wire/pointer.ts";
import {
  foreseeRedrive,
  type RedriveFate,
  type RedrivenTask,
  type RedriveScope,
  redriveBegin,
  redriveTasks,
} from "./redrive-tasks.ts";

export type RedriveParts = {
  readonly database: Pick<Database, "query" | "transaction">;
  readonly deadLetter: Queue;
  readonly log: Log;
  readonly clock: Clock;
  /** How long a message is hidden that was received. Default 120,000 ms: well above the time of one call. */
  readonly hiddenMs?: number;
  /** How long the first receive of a round waits: a short one asks only some of SQS's servers. Default 1,000 ms. */
  readonly waitMs?: number;
};

export type RedriveOptions = Omit<RedriveScope, "beginMs"> & {
  /** Of a redrive that goes on: `beginMs` of its first report. Null: it begins now. What failed later is left there. */
  readonly beginMs: number | null;
  /** Most tasks a second that go back to work, from 1. */
  readonly ratePerSecond: number;
  /** Most tasks of this call; null: no limit. */
  readonly limit: number | null;
  /** Look only: everything is counted as it would be, and given back. */
  readonly dryRun: boolean;
  /** Delete messages that no task can come of, instead of leaving them. */
  readonly discardPoison: boolean;
  /** How long to work, apart from the round that is then under way. */
  readonly workMs: number;
  /** Writes down who asked for this: once, in the first transaction that changes something. */
  readonly record?: (tx: Queryable) => Promise<void>;
};

export type RedriveCounts = {
  /** Tasks that had failed and are queued again. */
  redriven: number;
  /** Tasks that were queued, whose doorbell had been received too often. */
  rung: number;
  /** Messages deleted because their task succeeded, runs, was cancelled or is gone. */
  deleted: number;
  /** Messages deleted that no task can come of. */
  discarded: number;
  /** Messages left there that no task can come of. */
  poison: number;
  /** Messages left there because their task failed after the redrive had begun. */
  again: number;
  /** Messages left there for another queue or another tenant. */
  others: number;
};

export type RedriveReport = RedriveCounts & {
  /** What went back to work, and the poison (`task` null), by task and reason, most first; at most 100. */
  readonly tasks: readonly { readonly task: string | null; readonly reason: string; readonly count: number }[];
  /** When it began: the database's time, milliseconds since 1970. */
  readonly beginMs: number;
  /** The dead-letter queue had nothing more. */
  readonly done: boolean;
};

type Fate = RedriveFate | "poison";
type Judged = {
  readonly delivery: Delivery;
  readonly fate: Fate;
  readonly task: string | null;
  readonly reason: string;
};

const HIDDEN_MS = 120_000;
const WAIT_MS = 1_000;
const MAX_RECEIVE = 10;
/** In one statement. */
const MAX_ROUND = 100;
const ROUNDS_A_SECOND = 5;
const MAX_LISTED = 100;
/** SQS moved it itself, after too many receives. */
const MOVED_BY_SQS = "received_too_often";

/** Throws `queue_unavailable` and what the database throws; what was received and not dealt with is then given back. */
export async function redrive(parts: RedriveParts, options: RedriveOptions): Promise<RedriveReport> {
  const { clock } = parts;
  const { limit, dryRun, ratePerSecond, workMs } = options;
  const startedMs = clock.nowMs();
  const roundSize = dryRun ? MAX_ROUND : Math.min(MAX_ROUND, Math.max(1, Math.floor(ratePerSecond / ROUNDS_A_SECOND)));
  const counts: RedriveCounts = { redriven: 0, rung: 0, deleted: 0, discarded: 0, poison: 0, again: 0, others: 0 };
  const beginMs = options.beginMs ?? (await redriveBegin(parts.database));
  const listed = createList();
  const record = once(options.record);
  const left: string[] = [];
  let unsettled: readonly Delivery[] = [];
  let end: "done" | "limit" | "time" | "failed" = "failed";

  try {
    for (;;) {
      const backAtWork = counts.redriven + counts.rung;
      // Also after the last round: the next call starts with a round of its own.
      if (!dryRun) await pause(startedMs + (backAtWork * 1_000) / ratePerSecond - clock.nowMs(), clock);
      const room = (limit ?? Number.POSITIVE_INFINITY) - backAtWork;
      end = room <= 0 ? "limit" : "time";
      if (end === "limit" || clock.nowMs() - startedMs >= workMs) break;
      end = "failed";
      unsettled = await receiveRound(parts, Math.min(roundSize, room));
      if (unsettled.length === 0) {
        end = "done";
        break;
      }
      const judged = await judge(unsettled, parts, { ...options, beginMs, record });
      const over = judged.filter(({ fate }) => isOver(fate, options));
      const handles = new Set(over.map(({ delivery }) => delivery.receiptHandle));
      if (!dryRun) {
        if (over.some(({ fate }) => fate === "poison")) await record(parts.database);
        await remove([...handles], parts);
      }
      left.push(
        ...unsettled.map(({ receiptHandle }) => receiptHandle).filter((handle) => dryRun || !handles.has(handle)),
      );
      unsettled = [];
      for (const entry of judged) {
        counts[countOf(entry.fate, options)]++;
        if (entry.fate === "redriven" || entry.fate === "rung" || entry.fate === "poison") listed.add(entry);
      }
    }
  } finally {
    // Not before the caller has gone through the rest, unless this call was the last.
    const back = end === "time" && !dryRun ? [] : [...left, ...unsettled.map(({ receiptHandle }) => receiptHandle)];
    if (back.length > 0) {
      await parts.deadLetter.changeVisibility(back.map((receiptHandle) => ({ receiptHandle, visibilityMs: 0 })));
    }
  }
  return { ...counts, tasks: listed.most(MAX_LISTED), beginMs, done: end === "done" };
}

/** Up to `max` messages. A first receive that is not full has emptied the queue, or nearly. */
async function receiveRound(parts: RedriveParts, max: number): Promise<Delivery[]> {
  const { deadLetter, hiddenMs = HIDDEN_MS, waitMs = WAIT_MS } = parts;
  const receive = (size: number, wait: number): Promise<Delivery[]> =>
    deadLetter.receive({ max: size, waitMs: wait, visibilityMs: hiddenMs });
  const first = await receive(Math.min(MAX_RECEIVE, max), waitMs);
  const wanted = max - first.length;
  if (first.length < MAX_RECEIVE || wanted <= 0) return first;
  const sizes = Array.from({ length: Math.ceil(wanted / MAX_RECEIVE) }, (_, nth) =>
    Math.min(MAX_RECEIVE, wanted - nth * MAX_RECEIVE),
  );
  // One that fails must not lose what the others brought: it fails again in the next round, alone.
  const more = await Promise.allSettled(sizes.map((size) => receive(size, 0)));
  return [...first, ...more.flatMap((one) => (one.status === "fulfilled" ? one.value : []))];
}

type Recording = Omit<RedriveOptions, "beginMs"> & {
  readonly beginMs: number;
  readonly record: (tx: Queryable) => Promise<void>;
};

async function judge(messages: readonly Delivery[], parts: RedriveParts, options: Recording): Promise<Judged[]> {
  const read = messages.map((delivery) => ({ delivery, ...subjectOf(delivery) }));
  const ids = [...new Set(read.flatMap(({ id }) => (id === null ? [] : [id])))];
  const act = options.dryRun ? foreseeRedrive : redriveTasks;
  const tasks: Map<string, RedrivenTask> =
    ids.length === 0 ? new Map() : await act(parts.database, ids, options, options.record);
  const seen = new Set<string>();
  return read.map(({ delivery, id, isDoorbell }): Judged => {
    const said = delivery.attributes.reason;
    const task = id === null ? undefined : tasks.get(id);
    if (id === null || task === undefined) {
      // Ours without a row: its task was pruned.
      return { delivery, fate: isDoorbell ? "idle" : "poison", task: null, reason: said ?? MOVED_BY_SQS };
    }
    const isRepeated = seen.has(id);
    seen.add(id);
    const isTouched = task.fate !== "others" && task.fate !== "again";
    const fate = isRepeated && isTouched ? "idle" : task.fate;
    return {
      delivery,
      fate,
      task: task.name,
      reason: fate === "rung" ? MOVED_BY_SQS : (task.code ?? said ?? "failed"),
    };
  });
}

/** A message whose id has a row is never poison, whatever else it is. */
function subjectOf(delivery: Delivery): { readonly id: string | null; readonly isDoorbell: boolean } {
  const decoded = decodeMessage(delivery.body);
  const isPlain = readPointer(delivery.body, delivery.attributes).kind === "none";
  return { id: decoded.id, isDoorbell: decoded.kind === "doorbell" && isPlain };
}

function isOver(fate: Fate, { discardPoison }: RedriveOptions): boolean {
  return fate === "poison" ? discardPoison : fate !== "others" && fate !== "again";
}

function countOf(fate: Fate, { discardPoison }: RedriveOptions): keyof RedriveCounts {
  if (fate === "idle") return "deleted";
  return fate === "poison" && discardPoison ? "discarded" : fate;
}

async function remove(handles: readonly string[], { deadLetter, log }: RedriveParts): Promise<void> {
  const undeleted = handles.length === 0 ? 0 : await deadLetter.remove(handles);
  // They come again, and change nothing then.
  if (undeleted > 0) log.warn("queue.delete_failed", { queue: deadLetter.name, count: undeleted });
}

async function pause(ms: number, clock: Clock): Promise<void> {
  if (ms > 0) await clock.after(ms);
}

function once(record: RedriveOptions["record"]): (tx: Queryable) => Promise<void> {
  let isRecorded = record === undefined;
  return async (tx) => {
    if (!isRecorded) await record?.(tx);
    isRecorded = true;
  };
}

/** Counts by task and reason. */
function createList() {
  const counts = new Map<string, { task: string | null; reason: string; count: number }>();
  return {
    add({ task, reason }: Pick<Judged, "task" | "reason">): void {
      const key = JSON.stringify([task, reason]);
      const entry = counts.get(key) ?? { task, reason, count: 0 };
      entry.count++;
      counts.set(key, entry);
    },
    most: (max: number) => [...counts.values()].toSorted((one, other) => other.count - one.count).slice(0, max),
  };
}
