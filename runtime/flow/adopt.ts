/**
 * A message of another producer is its task: the first sight of an id that nobody knows writes the row, and claims it in the same statement where it
 * may start at once. From then on the row is the truth, and every further message with that id is a duplicate.
 */

import type { TaskError, TaskPolicy, TaskState } from "../model/task.ts";
import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import { type ClaimedRow, type ClaimedTask, type ClaimOptions, taskOf } from "./claim.ts";

/** A task as its producer's message says it. */
export type ForeignTask = {
  readonly id: string;
  /** What the producer calls it, where that does not follow from `id`. */
  readonly wireId: string | null;
  readonly name: string;
  readonly tenant: string;
  readonly priority: number;
  readonly labels: Readonly<Record<string, string>>;
  /** JSON text of the labels with the types they came with: the result carries them back. */
  readonly replyLabels: string;
  readonly traceContext: string | null;
  readonly inputText: string | null;
  readonly inputRef: string | null;
  /** Where the producer looks for the result, in the payload bucket. */
  readonly replyKey: string | null;
  readonly policy: TaskPolicy;
  /** The group of its message, on a FIFO queue. */
  readonly group: string | null;
  /** Keys of its limits. */
  readonly limits: readonly string[];
  /** Why it can never run; null: it can. */
  readonly error: TaskError | null;
};

/** `task`: it was claimed as well. */
export type Adopted = { readonly state: TaskState; readonly task: ClaimedTask | null };

export type AdoptOptions = Pick<ClaimOptions, "queue" | "worker" | "leaseMs"> & {
  /** The queue is ordered by priority. */
  readonly byRank: boolean;
  /** Whether each task has a slot. */
  readonly claims: boolean;
};

const ADOPT = loadSql(import.meta.url, "./adopt.sql");
/** Between the keys of one task; no key has it. */
const SEPARATOR = "\u001f";

/**
 * Those that were not there before, by their ids.
 * @param tasks 1 to 100, in the order of their messages; no id twice
 */
export async function adopt(
  database: Queryable,
  tasks: readonly ForeignTask[],
  { queue, worker, leaseMs, byRank, claims }: AdoptOptions,
): Promise<Map<string, Adopted>> {
  const column = <Value>(value: (task: ForeignTask) => Value): Value[] => tasks.map(value);
  const rows = await database.query<ClaimedRow & { state: TaskState }>(ADOPT, [
    column(({ id }) => id),
    column(({ wireId }) => wireId),
    column(({ name }) => name),
    column(({ tenant }) => tenant),
    column(({ priority }) => priority),
    column(({ labels }) => (Object.keys(labels).length === 0 ? null : JSON.stringify(labels))),
    column(({ replyLabels }) => replyLabels),
    column(({ traceContext }) => traceContext),
    column(({ inputText }) => inputText),
    column(({ inputRef }) => inputRef),
    column(({ replyKey }) => replyKey),
    column(({ policy }) => policy.timeoutMs),
    column(({ policy }) => policy.graceMs),
    column(({ policy }) => policy.maxAttempts),
    column(({ policy }) => policy.backoffMs),
    column(({ policy }) => policy.maxBackoffMs),
    column(({ policy }) => policy.maxLosses),
    column(({ policy }) => policy.isolation),
    column(({ policy }) => policy.onLost),
    column(({ group }) => group),
    column(({ limits }) => (limits.length === 0 ? null : limits.join(SEPARATOR))),
    column(({ error }) => (error === null ? null : JSON.stringify(error))),
    queue,
    byRank,
    claims,
    worker,
    leaseMs,
  ]);
  return new Map(
    rows.map((row) => [row.id, { state: row.state, task: row.state === "running" ? taskOf(row, queue) : null }]),
  );
}
