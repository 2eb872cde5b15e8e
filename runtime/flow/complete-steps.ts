/**
 * Record the end of steps together with what follows in their graphs: the last parent to end readies the child, in the same transaction. No loop
 * looks for steps that have become ready. A worker with a slot goes on with one of them at once, without a message.
 */

import type { RunState } from "../model/run.ts";
import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import type { Doorbell } from "./announce.ts";
import { type ClaimedRow, type ClaimedTask, taskOf } from "./claim.ts";
import { byAttempt, keyOf, type Success } from "./complete.ts";
import { runsOf } from "./lock-runs.ts";

export type StepSuccess = Success & {
  readonly runId: string;
  /** Its condition does not hold: it was not run. */
  readonly skipped: boolean;
  /** How the run has ended, where this step is the whole of it (mode `simple`). */
  readonly outcome?: RunState | null;
};

/** Slots that become free with these completions: one an element, by queue. */
export type Offer = {
  readonly worker: string;
  readonly leaseMs: number;
  readonly knownTasks: readonly string[];
  readonly queues: readonly string[];
};

export type StepsCompleted = {
  /** Whether each was recorded, in their order. False: the attempt does not own its task any more, nothing was changed. */
  readonly recorded: readonly boolean[];
  /** Claimed for the worker that made the offer. */
  readonly continued: readonly ClaimedTask[];
  /** Readied, and to be rung after the commit: they are in the outbox. */
  readonly readied: readonly Doorbell[];
};

/** How long the worker has to ring by itself before the executor's loop does. */
const FAST_PATH_MS = 5_000;

const COMPLETE_STEPS = loadSql(import.meta.url, "./complete-steps.sql");

type Row = ClaimedRow & {
  ended: boolean;
  outbox_id: number | null;
  group_key: string | null;
  queue: string;
};

/** @param successes 1 to 1,000, of any runs  @param offer null: nothing is continued */
export async function completeSteps(
  database: Queryable,
  successes: readonly StepSuccess[],
  offer: Offer | null,
): Promise<StepsCompleted> {
  const rows = await database.query<Row>(COMPLETE_STEPS, [
    successes.map((success) => success.id),
    successes.map((success) => success.attempt),
    successes.map((success) => success.resultText),
    successes.map((success) => success.resultRef),
    successes.map((success) => success.skipped),
    runsOf(successes),
    FAST_PATH_MS,
    offer?.worker ?? null,
    offer?.leaseMs ?? 0,
    offer?.knownTasks ?? [],
    offer?.queues ?? [],
    successes.map((success) => success.outcome ?? null),
  ]);
  const ended = byAttempt(rows.filter((row) => row.ended));
  const readied: Doorbell[] = [];
  const continued: ClaimedTask[] = [];
  for (const row of rows) {
    if (row.ended) continue;
    if (row.outbox_id === null) continued.push(taskOf(row, row.queue));
    else readied.push(doorbellOf(row, row.outbox_id));
  }
  return { recorded: successes.map((success) => ended.has(keyOf(success))), continued, readied };
}

function doorbellOf(row: Row, outboxId: number): Doorbell {
  const { id, name, queue, tenant, group_key: group, priority } = row;
  return { outboxId, id, name, queue, tenant, group, priority };
}
