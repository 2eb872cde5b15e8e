/**
 * Collects what workers of Python have written: results become outcomes of the attempts they belong to, and no others; an attempt without a result is
 * over at its timeout. Which attempts are out is in their rows, so any process may collect, also after all of them were restarted.
 */

import { type ClaimedRow, type ClaimedTask, taskOf } from "../flow/claim.ts";

import { loadSql } from "../postgres/sql.ts";
import { decodeResult } from "../wire/result.ts";
import type { WritableOutcome } from "../worker/record.ts";
import { extendedKeyOf, resultKeyOf, wireIdOfAttempt } from "./call.ts";
import { type PythonParts, type PythonQueue, record } from "./record.ts";

/** Looked at in one turn. */
const MAX_OUT = 5_000;
/** Results read at the same time. */
const READ_AT_ONCE = 16;
/** Keys of results that are there already; what is over it is seen in one of the next turns, as those before are deleted. */
const MAX_LISTED = 5_000;

const READ_HANDED_OUT = loadSql(import.meta.url, "./read-handed-out.sql");

type OutRow = ClaimedRow & { is_overdue: boolean; is_cancelled: boolean };
type Out = { readonly task: ClaimedTask; readonly isOverdue: boolean; readonly isCancelled: boolean };

/** Returns how many attempts came to an end. */
export async function collect(queue: PythonQueue, parts: PythonParts): Promise<number> {
  const { name, holder, basePath } = queue;
  const rows = await parts.database.query<OutRow>(READ_HANDED_OUT, [name, holder, MAX_OUT]);
  if (rows.length === 0) return 0;
  const out = new Map<string, Out>();
  for (const row of rows) {
    const task = taskOf(row, name);
    const key = resultKeyOf(basePath, wireIdOfAttempt(task));
    out.set(key, { task, isOverdue: row.is_overdue, isCancelled: row.is_cancelled });
  }
  const listed = await parts.payloads.listAt(resultKeyOf(basePath, ""), MAX_LISTED);
  const there = listed.filter((key) => out.has(key));
  for (let first = 0; first < there.length; first += READ_AT_ONCE) {
    await Promise.all(there.slice(first, first + READ_AT_ONCE).map((key) => take(key, out.get(key), queue, parts)));
  }
  const waiting = [...out].filter(([key]) => !there.includes(key));
  let ended = there.length;
  for (const [, { task, isOverdue, isCancelled }] of waiting) {
    if (!isOverdue && !isCancelled) continue;
    // What runs in Python goes on, and nobody looks at its result.
    await record(task, isCancelled ? cancelled(task) : timedOut(task), parts);
    ended++;
  }
  return ended;
}

async function take(key: string, out: Out | undefined, { basePath }: PythonQueue, parts: PythonParts): Promise<void> {
  if (out === undefined) return;
  const { bucket } = parts.payloads;
  const text = await parts.payloads.getFrom({ bucket, key }, resultKeyOf(basePath, ""));
  await record(out.task, outcomeOf(text), parts);
  // Kept until the outcome is: whoever collects after a crash finds it again.
  await parts.payloads.removeAt([key, extendedKeyOf(basePath, wireIdOfAttempt(out.task))]);
}

function outcomeOf(text: string): WritableOutcome {
  const result = decodeResult(text);
  switch (result.kind) {
    case "value":
      return { kind: "succeeded", output: null, resultText: result.text === "null" ? null : result.text };
    case "error": {
      const { type, message } = result.error;
      const code = type === "TimeoutError" ? "timeout" : "handler_error";
      return { kind: "failed", error: { code, type, message }, retry: { kind: "policy" } };
    }
    case "unreadable":
      return {
        kind: "failed",
        error: { code: "result_unreadable", type: "ResultUnreadable", message: result.detail },
        retry: { kind: "policy" },
      };
  }
}

function cancelled({ attempt }: ClaimedTask): WritableOutcome {
  const message = `Attempt ${attempt} was cancelled. What runs in Python goes on.`;
  return { kind: "cancelled", error: { code: "cancelled", type: "Cancelled", message } };
}

function timedOut({ policy }: ClaimedTask): WritableOutcome {
  const message = `No result came within ${policy.timeoutMs} ms of the message. Its worker may be gone, or busy: raise timeoutMs or add workers.`;
  return { kind: "failed", error: { code: "timeout", type: "TimeoutError", message }, retry: { kind: "policy" } };
}
