/**
 * Expand a mapped step: one task for each element of its list. The step itself waits for them, as their child: blocked again, until the last one has
 * ended. An empty list ends it at once.
 */

import type { Database, Transaction } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import type { Doorbell } from "./announce.ts";
import type { ClaimedTask } from "./claim.ts";
import { completeSteps } from "./complete-steps.ts";
import { freeLimits, lockLimits } from "./limits.ts";
import { lockRuns } from "./lock-runs.ts";

export type StoredElement = {
  readonly id: string;
  readonly key: string;
  readonly inputText: string | null;
  readonly inputRef: string | null;
  /** Its input is a template: that of all elements or of none. */
  readonly refers: boolean;
};

export type Expansion = {
  /** `refused`: the attempt does not own its step any more. `cancelled`: it is to be recorded so, nothing was changed. */
  readonly state: "blocked" | "succeeded" | "cancelled" | "refused";
  readonly readied: readonly Doorbell[];
};

/** So many are rung by the worker itself; the executor's loop rings for the others. */
const RUNG_AT_ONCE = 100;
const FAST_PATH_MS = 5_000;
const ROWS_A_STATEMENT = 1_000;

const EXPAND = loadSql(import.meta.url, "./expand.sql");
const EXPAND_ELEMENTS = loadSql(import.meta.url, "./expand-elements.sql");

/** @param elements 0 to 20,000 */
export async function expand(
  database: Pick<Database, "transaction">,
  task: ClaimedTask,
  elements: readonly StoredElement[],
): Promise<Expansion> {
  const { step } = task;
  if (step === null) throw new RangeError(`expected task ${task.id} to be a step`);
  return await database.transaction(async (tx) => {
    await lockRuns(tx, [step.runId]);
    if (task.limited) await lockLimits(tx, [task.id]);
    const [held] = await tx.query<{ cancelled: boolean }>(EXPAND, [task.id, task.attempt, elements.length]);
    if (held === undefined) return { state: "refused", readied: [] };
    if (held.cancelled) return { state: "cancelled", readied: [] };
    const expansion = elements.length > 0 ? await wait(tx, task, elements) : await end(tx, task, step.runId);
    // Its elements have the same limits: a place that it kept they would wait for.
    const rung = task.limited && expansion.state !== "refused" ? await freeLimits(tx, [task.id]) : [];
    return { ...expansion, readied: [...expansion.readied, ...rung] };
  });
}

async function wait(tx: Transaction, task: ClaimedTask, elements: readonly StoredElement[]): Promise<Expansion> {
  return { state: "blocked", readied: await insert(tx, task, elements) };
}

async function end(tx: Transaction, { id, attempt }: ClaimedTask, runId: string): Promise<Expansion> {
  const success = { id, attempt, resultText: null, resultRef: null, runId, skipped: false };
  const { recorded, readied } = await completeSteps(tx, [success], null);
  return { state: recorded[0] === true ? "succeeded" : "refused", readied };
}

async function insert(tx: Transaction, task: ClaimedTask, elements: readonly StoredElement[]): Promise<Doorbell[]> {
  const { name, queue, tenant, priority } = task;
  const readied: Doorbell[] = [];
  for (let first = 0; first < elements.length; first += ROWS_A_STATEMENT) {
    const some = elements.slice(first, first + ROWS_A_STATEMENT);
    const rows = await tx.query<{ id: string; outbox_id: number }>(EXPAND_ELEMENTS, [
      task.id,
      some.map(({ id }) => id),
      some.map(({ key }) => key),
      some.map(({ inputText }) => inputText),
      some.map(({ inputRef }) => inputRef),
      some.map((_, index) => (first + index < RUNG_AT_ONCE ? FAST_PATH_MS : 0)),
      some[0]?.refers === true,
    ]);
    for (const { id, outbox_id: outboxId } of rows.slice(0, Math.max(0, RUNG_AT_ONCE - first))) {
      readied.push({ outboxId, id, name, queue, tenant, group: null, priority });
    }
  }
  return readied;
}
