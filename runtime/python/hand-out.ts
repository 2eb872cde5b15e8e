/**
 * Hands tasks out to workers of Python: each is claimed, and sent as a whole TaskIQ message. What the step of a run asks for first (its references,
 * its condition, its list) is decided here, as a worker of ours would.
 */

import { type ClaimedRow, type ClaimedTask, taskOf } from "../flow/claim.ts";
import { loadSql } from "../postgres/sql.ts";
import type { Outgoing } from "../queue/queue.ts";
import { callOf, extendedKeyOf, MAX_MESSAGE_CHARS, pointerTo, wireIdOfAttempt } from "./call.ts";
import { type PythonParts, type PythonQueue, record } from "./record.ts";

/** Claimed and sent together. */
const BATCH = 50;
/** The collector looks at each before its lease ends; this is for when no collector runs. */
const SLACK_MS = 120_000;

const HAND_OUT = loadSql(import.meta.url, "./hand-out.sql");

/** True when there may be more to hand out at once. */
export async function handOut(queue: PythonQueue, parts: PythonParts): Promise<boolean> {
  const names = [...parts.tasks.keys()];
  if (names.length === 0) return false;
  const { name, holder } = queue;
  const rows = await parts.database.query<ClaimedRow>(HAND_OUT, [name, holder, SLACK_MS, names, BATCH]);
  if (rows.length === 0) return false;
  const tasks = rows.map((row) => taskOf(row, name));
  const ready = await Promise.all(tasks.map((task) => messageOf(task, queue, parts)));
  const sending = tasks.flatMap((task, index) => {
    const message = ready[index];
    return message === undefined || message === null ? [] : [{ task, message }];
  });
  const outcomes = await queue.queue.send(sending.map(({ message }) => message));
  await Promise.all(
    sending.map(async ({ task }, index) => {
      const outcome = outcomes[index];
      if (outcome?.kind === "sent") return;
      // It may have been sent all the same: the attempt that follows has another id.
      const { code, message } = outcome ?? { code: "unknown", message: "no answer" };
      parts.log.warn("queue.send_failed", { queue: name, count: 1, code, message });
      await record(task, { kind: "released" }, parts);
    }),
  );
  return rows.length === BATCH;
}

/** Null: it has come to its end without being sent. */
async function messageOf(task: ClaimedTask, { basePath }: PythonQueue, parts: PythonParts): Promise<Outgoing | null> {
  try {
    const input = await parts.readInput(task);
    if (input.kind === "decided") {
      await record(task, input.outcome, parts);
      return null;
    }
    const body = callOf(task, input.text);
    if (body.length <= MAX_MESSAGE_CHARS) return { body };
    const key = extendedKeyOf(basePath, wireIdOfAttempt(task));
    await parts.payloads.putAt(key, body);
    return pointerTo(parts.payloads.bucket, key);
  } catch (error) {
    // S3 or the database is away: somebody tries again.
    parts.log.warn("loop.failed", { loop: "python-hand-out", retryInMs: 0, error });
    await record(task, { kind: "released" }, parts);
    return null;
  }
}
