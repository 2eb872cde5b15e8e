/**
 * The cancel queue: the same request as at the API, for producers that may send to a queue but cannot call one. Any executor takes it and applies the
 * same statement, which may be repeated; who owns the task hears of it as always. A cancellation may come before its task, and then refuses it.
 */

import { z } from "zod";
import { describeError } from "../describe-error.ts";
import { cancelAhead, cancelLate, MAX_CANCEL_REASON_CHARS } from "../flow/cancel.ts";
import type { Log } from "../log.ts";
import type { Transactional } from "../postgres/pool.ts";
import type { Delivery, Queue } from "../queue/queue.ts";
import { taskIdOf } from "../wire/task-id.ts";
import type { ExecutorLoop } from "./loop.ts";

export type CancelRequestParts = {
  readonly queue: Queue;
  readonly database: Transactional;
  readonly log: Log;
};

const MAX_MESSAGES = 10;
/** Bounds how long a stopping executor waits for its open poll, which is never cut off. */
const WAIT_MS = 5_000;
const MAX_ID_CHARS = 1_000;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** `task_id`: as our API gives it, or as a TaskIQ producer chose it. */
const REQUEST = z.strictObject({
  task_id: z.string().min(1).max(MAX_ID_CHARS),
  reason: z.string().max(MAX_CANCEL_REASON_CHARS).nullish(),
});
type Request = { readonly id: string; readonly reason: string | null };

/** A loop of the executor. Messages are deleted when their request is recorded; one that is none is logged and deleted. */
export function createCancelRequests({ queue, database, log }: CancelRequestParts): ExecutorLoop {
  async function step(): Promise<boolean> {
    const messages = await queue.receive({ max: MAX_MESSAGES, waitMs: WAIT_MS });
    await cancelLate(database);
    if (messages.length === 0) return false;
    const requests = messages.flatMap((message) => requestOf(message) ?? []);
    for (const [reason, ids] of byReason(requests)) {
      const { found, buried } = await cancelAhead(database, ids, reason);
      log.info("cancel.received", {
        cancelled: found.filter(({ was, state }) => was !== state).length,
        requested: found.filter(({ state }) => state === "running").length,
        buried: buried.length,
      });
    }
    await queue.remove(messages.map(({ receiptHandle }) => receiptHandle));
    return messages.length === MAX_MESSAGES;
  }

  function requestOf(message: Delivery): Request | null {
    try {
      const { task_id: id, reason } = REQUEST.parse(JSON.parse(message.body));
      return { id: UUID.test(id) ? id : taskIdOf(id).id, reason: reason ?? null };
    } catch (error) {
      const detail = describeError(error).message.slice(0, 200);
      log.warn("cancel.unreadable", { queue: queue.name, messageId: message.messageId, detail });
      return null;
    }
  }

  return { name: "cancel-requests", intervalMs: 100, step };
}

function byReason(requests: readonly Request[]): Map<string | null, string[]> {
  const groups = new Map<string | null, string[]>();
  for (const { id, reason } of requests) {
    const ids = groups.get(reason) ?? [];
    if (!ids.includes(id)) ids.push(id);
    groups.set(reason, ids);
  }
  return groups;
}
