/**
 * The outbox is the one way a message is sent, and the one delay mechanism.
 *
 * `ring` is the fast path: the submitter sends right after its commit and forgets the rows that SQS took. Whatever it does not
 * manage (a crash, a failed entry, an overload) is still in the outbox, where `announceDue` finds it.
 */

import type { Log } from "../log.ts";
import { delayOfPriorityMs, type QueueOptions } from "../model/queue.ts";
import type { TaskError, TaskState } from "../model/task.ts";
import type { PayloadStore } from "../payload/payload.ts";
import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import type { Outgoing, Queue, SendOutcome } from "../queue/queue.ts";
import type { QueueSet } from "../queue/queue-set.ts";
import { deadTaskAttributes } from "../wire/dead-letter.ts";
import { sqsGroupOf } from "../wire/group.ts";
import { memberTexts } from "../wire/json-text.ts";
import { encodeDoorbell } from "../wire/message.ts";
import { encodeResult } from "../wire/result.ts";

/** A doorbell that is due, and the outbox row that stands for it. */
export type Doorbell = {
  readonly outboxId: number;
  readonly id: string;
  readonly name: string;
  readonly queue: string;
  readonly tenant: string;
  /** Its group, on a FIFO queue. */
  readonly group: string | null;
  readonly priority: number;
};

export type Announcer = {
  /** Sends soon, in the background. What fails stays in the outbox. */
  ring(doorbells: readonly Doorbell[]): void;
  /** Leases and sends what is due, at most `limit` rows (1 to 1,000). Returns how many were leased. */
  announceDue(limit: number): Promise<number>;
  /** Resolves when nothing is being sent by `ring`. */
  idle(): Promise<void>;
};

export type AnnouncerParts = {
  readonly database: Queryable;
  readonly queues: QueueSet;
  readonly payloads: PayloadStore;
  readonly log: Log;
};

/** One round of sending takes far less; a sender that died in it delays its rows by this much. */
const SEND_LEASE_MS = 30_000;
/** What was not sent is tried again after this time: an outage of SQS delays tasks by little more than itself. */
const RETRY_AFTER_MS = 3_000;
/** Doorbells sent and settled together by the fast path. */
const ROUND = 200;
const ROUNDS_IN_FLIGHT = 2;
/** Beyond this the outbox is the better place to wait. */
const MAX_WAITING = 20_000;

const LEASE_OUTBOX = loadSql(import.meta.url, "./lease-outbox.sql");
const SETTLE_OUTBOX = loadSql(import.meta.url, "./settle-outbox.sql");
const POSTPONE_OUTBOX = loadSql(import.meta.url, "./postpone-outbox.sql");
const READ_RECORDED = loadSql(import.meta.url, "./read-recorded.sql");

type LeasedRow = {
  outbox_id: number;
  kind: "doorbell" | "result" | "dead_letter";
  id: string;
  queue: string;
  name: string;
  /** Null when the task is gone. */
  state: TaskState | null;
  attempt: number;
  error: string | null;
  worker: string | null;
  finished_at: Date | null;
  tenant: string;
  group_key: string | null;
  priority: number;
};

type RecordedRow = {
  id: string;
  wire_id: string | null;
  reply_key: string;
  state: TaskState;
  result: string | null;
  result_ref: string | null;
  error: string | null;
  labels: string | null;
  failures: number;
  execution_ms: string | null;
};

export function createAnnouncer(parts: AnnouncerParts): Announcer {
  const { database, queues, payloads, log } = parts;
  let waiting: Doorbell[] = [];
  let inFlight = 0;
  let idlers: (() => void)[] = [];

  function ring(doorbells: readonly Doorbell[]): void {
    if (waiting.length + doorbells.length > MAX_WAITING) return;
    waiting = waiting.length === 0 ? [...doorbells] : waiting.concat(doorbells);
    pump();
  }

  function pump(): void {
    while (waiting.length > 0 && inFlight < ROUNDS_IN_FLIGHT) {
      const round = waiting.slice(0, ROUND);
      waiting = waiting.slice(ROUND);
      inFlight++;
      void sendRound(round).finally(() => {
        inFlight--;
        pump();
        if (inFlight > 0) return;
        for (const idler of idlers) idler();
        idlers = [];
      });
    }
  }

  async function sendRound(round: readonly Doorbell[]): Promise<void> {
    try {
      const sent = await sendDoorbells(round);
      if (sent.length > 0) await database.query(SETTLE_OUTBOX, [sent]);
    } catch (error) {
      // The rows are still there: the loop sends them again, and the doubled message loses at the claim.
      log.debug("announce.failed", { count: round.length, error });
    }
  }

  /** The outbox ids of what SQS took. */
  async function sendDoorbells(doorbells: readonly Doorbell[]): Promise<number[]> {
    const settled: number[] = [];
    for (const [queueName, group] of byQueue(doorbells)) {
      const options = queues.options(queueName);
      // Nobody there hears one: the executor hands such tasks out by itself.
      if (options.wire === "taskiq") {
        settled.push(...group.map(({ outboxId }) => outboxId));
        continue;
      }
      const outcomes = await sendTo(
        queueName,
        group.map((doorbell) => messageOf(doorbell, options)),
      );
      for (const [index, doorbell] of group.entries()) {
        if (outcomes[index]?.kind === "sent") settled.push(doorbell.outboxId);
      }
    }
    return settled;
  }

  async function sendTo(queueName: string, messages: readonly Outgoing[], deadLetter = false): Promise<SendOutcome[]> {
    const queue = destinationOf(queueName, deadLetter);
    if (queue === undefined) {
      log.warn("announce.failed", { queue: queueName, count: messages.length, code: "unknown_queue" });
      return [];
    }
    const outcomes = await queue.send(messages);
    const failed = outcomes.filter((outcome) => outcome.kind === "failed");
    if (failed[0] !== undefined) {
      log.warn("announce.failed", {
        queue: queue.name,
        count: failed.length,
        code: failed[0].code,
        message: failed[0].message,
      });
    }
    return outcomes;
  }

  /** Undefined where the configuration has changed since the row was written: it waits for one that knows the queue. */
  function destinationOf(queueName: string, deadLetter: boolean): Queue | undefined {
    try {
      return deadLetter ? queues.deadLetter(queueName) : queues.get(queueName);
    } catch {
      return undefined;
    }
  }

  async function announceDue(limit: number): Promise<number> {
    const rows = await database.query<LeasedRow>(LEASE_OUTBOX, [limit, SEND_LEASE_MS]);
    if (rows.length === 0) return 0;
    // A task that is gone, or that somebody claimed already, needs no doorbell any more.
    const moot = rows.filter((row) => row.state === null || (row.kind === "doorbell" && row.state !== "queued"));
    const live = rows.filter((row) => !moot.includes(row));
    const settled = await Promise.all([
      sendDoorbells(live.filter((row) => row.kind === "doorbell").map(doorbellOf)),
      sendDeadLetters(live.filter((row) => row.kind === "dead_letter")),
      writeResults(live.filter((row) => row.kind === "result")),
    ]);
    const done = new Set([...moot.map((row) => row.outbox_id), ...settled.flat()]);
    if (done.size > 0) await database.query(SETTLE_OUTBOX, [[...done]]);
    const failed = rows.map((row) => row.outbox_id).filter((id) => !done.has(id));
    if (failed.length > 0) await database.query(POSTPONE_OUTBOX, [failed, RETRY_AFTER_MS]);
    return rows.length;
  }

  async function sendDeadLetters(rows: readonly LeasedRow[]): Promise<number[]> {
    const settled: number[] = [];
    for (const [queueName, group] of byQueue(rows)) {
      const isFifo = queues.options(queueName).type === "fifo";
      const outcomes = await sendTo(
        queueName,
        group.map((row) => deadLetterOf(row, isFifo)),
        true,
      );
      for (const [index, row] of group.entries()) if (outcomes[index]?.kind === "sent") settled.push(row.outbox_id);
    }
    return settled;
  }

  async function writeResults(rows: readonly LeasedRow[]): Promise<number[]> {
    if (rows.length === 0) return [];
    const recorded = await database.query<RecordedRow>(READ_RECORDED, [rows.map((row) => row.id)]);
    const written = new Set<string>();
    for (const row of recorded) {
      try {
        await payloads.putAt(row.reply_key, await resultOf(row, payloads));
        written.add(row.id);
      } catch (error) {
        log.warn("announce.failed", { taskId: row.id, code: "result", error });
      }
    }
    return rows.filter((row) => written.has(row.id)).map((row) => row.outbox_id);
  }

  return {
    ring,
    announceDue,
    idle: () =>
      inFlight === 0 && waiting.length === 0 ? Promise.resolve() : new Promise((resolve) => idlers.push(resolve)),
  };
}

/** Forgets doorbells that nobody has to hear any more. @param outboxIds 1 to 1,000 */
export async function settleDoorbells(database: Queryable, outboxIds: readonly number[]): Promise<void> {
  await database.query(SETTLE_OUTBOX, [outboxIds]);
}

function doorbellOf(row: LeasedRow): Doorbell {
  const { outbox_id: outboxId, id, name, queue, tenant, group_key: group, priority } = row;
  return { outboxId, id, name, queue, tenant, group, priority };
}

/** The doorbell as its queue wants it. A repeated send of one outbox row is one message on a FIFO queue. */
function messageOf(doorbell: Doorbell, { type, fair, delayByPriority }: QueueOptions): Outgoing {
  const body = encodeDoorbell({ taskId: doorbell.id, taskName: doorbell.name });
  if (type === "fifo") {
    return { body, groupId: doorbell.group ?? doorbell.id, deduplicationId: String(doorbell.outboxId) };
  }
  const delayMs = delayByPriority ? delayOfPriorityMs(doorbell.priority) : 0;
  return {
    body,
    ...(fair && { groupId: sqsGroupOf(doorbell.tenant) }),
    ...(delayMs > 0 && { delayMs }),
  };
}

/** The doorbell of the task, so that a redrive rings for it, with what an operator wants to know at a glance. */
function deadLetterOf(row: LeasedRow, isFifo: boolean): Outgoing {
  const error: TaskError | null = row.error === null ? null : JSON.parse(row.error);
  return {
    body: encodeDoorbell({ taskId: row.id, taskName: row.name }),
    ...(isFifo && { groupId: row.group_key ?? row.id, deduplicationId: String(row.outbox_id) }),
    attributes: deadTaskAttributes({
      reason: error?.code ?? "failed",
      errorType: error?.type ?? null,
      taskId: row.id,
      task: row.name,
      queue: row.queue,
      attempt: row.attempt,
      worker: row.worker,
      failedAt: row.finished_at,
    }),
  };
}

async function resultOf(row: RecordedRow, payloads: PayloadStore): Promise<string> {
  const error: TaskError | null = row.error === null ? null : JSON.parse(row.error);
  return encodeResult({
    outcome: row.state === "succeeded" || row.state === "cancelled" ? row.state : "failed",
    resultText: row.result_ref === null ? row.result : await payloads.get(row.result_ref),
    error,
    executionMs: row.execution_ms === null ? null : Number(row.execution_ms),
    labels: row.failures === 0 ? row.labels : withRetries(row.labels, row.failures),
  });
}

/** TaskIQ counts earlier failures in a label. */
function withRetries(labels: string | null, failures: number): string {
  const members = labels === null ? new Map<string, string>() : memberTexts(labels);
  members.set("_retries", String(failures));
  return `{${Array.from(members, ([name, text]) => `${JSON.stringify(name)}:${text}`).join(",")}}`;
}

function byQueue<Entry extends { readonly queue: string }>(entries: readonly Entry[]): Map<string, Entry[]> {
  const groups = new Map<string, Entry[]>();
  for (const entry of entries) {
    const group = groups.get(entry.queue);
    if (group === undefined) groups.set(entry.queue, [entry]);
    else group.push(entry);
  }
  return groups;
}
