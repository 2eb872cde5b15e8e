/**
 * Claim the tasks that messages name. A message only rings; whether there is anything to do is decided here. The hot path is one
 * small statement; only what it did not win (a duplicate, an early bell, a task unknown here) costs a second one.
 */

import type { StepPlan } from "../model/graph.ts";
import type { TaskPolicy } from "../model/task.ts";
import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";

/** An attempt of ours: what the handler needs, as the row says it. */
export type ClaimedTask = {
  readonly id: string;
  /** The fence: every write of this attempt names it. */
  readonly attempt: number;
  readonly failures: number;
  readonly name: string;
  readonly queue: string;
  readonly tenant: string;
  readonly priority: number;
  /** Exact JSON text; null when the input is null or in the payload store. */
  readonly inputText: string | null;
  readonly inputRef: string | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly traceContext: string | null;
  /** The step that it is. Null outside a run. */
  readonly step: ClaimedStep | null;
  /** It holds room at limit keys, which its end gives back. */
  readonly limited: boolean;
  readonly policy: Pick<TaskPolicy, "timeoutMs" | "graceMs" | "maxAttempts" | "backoffMs" | "maxBackoffMs">;
  readonly createdAt: Date;
  /** From due to claimed, by the database's clock. */
  readonly waitMs: number;
};

export type ClaimedStep = {
  readonly runId: string;
  readonly key: string;
  /** The step's own, which may differ from its task's. */
  readonly isolation: TaskPolicy["isolation"];
  /** Null: its input is what the handler gets, and nothing is asked before. */
  readonly plan: StepPlan | null;
};

export type Verdict =
  | { readonly kind: "claimed"; readonly task: ClaimedTask }
  | {
      readonly kind:
        | "missing"
        | "finished"
        | "running"
        | "contended"
        | "limited"
        | "not_due"
        | "unknown_task"
        | "unknown_expired";
    };

export type ClaimOptions = {
  readonly queue: string;
  readonly worker: string;
  readonly leaseMs: number;
  /** Names of the tasks this worker knows. */
  readonly knownTasks: readonly string[];
  /** A due task that no worker knows fails after this time. */
  readonly unknownTaskAfterMs: number;
};

/** A task unknown to one worker is rung again after this time: during a rolling deploy another one may know it. */
const UNKNOWN_TASK_AGAIN_MS = 30_000;

/** A row of claim.sql, claim-group.sql and claim-best.sql. */
export type ClaimedRow = {
  id: string;
  attempt: number;
  failures: number;
  name: string;
  input: string | null;
  input_ref: string | null;
  labels: string | null;
  trace_context: string | null;
  tenant: string;
  priority: number;
  timeout_ms: number;
  grace_ms: number;
  max_attempts: number;
  backoff_ms: number;
  max_backoff_ms: number;
  created_at: Date;
  not_before: Date;
  started_at: Date;
  run_id: string | null;
  step_key: string | null;
  step: string | null;
  isolation: TaskPolicy["isolation"];
  /** Only claim-limited.sql has it. */
  limit_keys?: readonly string[];
};

type Declined = { id: string; verdict: Exclude<Verdict["kind"], "claimed"> };

const CLAIM = loadSql(import.meta.url, "./claim.sql");
const DECLINE = loadSql(import.meta.url, "./decline.sql");

/**
 * Every id gets a verdict; only `claimed` ones are ours.
 * @param ids 1 to 100 different ids
 */
export async function claim(
  database: Queryable,
  ids: readonly string[],
  options: ClaimOptions,
): Promise<Map<string, Verdict>> {
  const rows = await database.query<ClaimedRow>(CLAIM, [ids, options.worker, options.leaseMs, options.knownTasks]);
  const verdicts = new Map<string, Verdict>();
  for (const row of rows) verdicts.set(row.id, { kind: "claimed", task: taskOf(row, options.queue) });
  if (rows.length === ids.length) return verdicts;
  for (const row of await decline(
    database,
    ids.filter((id) => !verdicts.has(id)),
    rows.length > 0,
    options,
  )) {
    verdicts.set(row.id, { kind: row.verdict });
  }
  return verdicts;
}

/** Why these tasks are not to be had now. Rings again for those unknown here, and fails them when they have waited too long. */
export async function declineAll(
  database: Queryable,
  ids: readonly string[],
  options: ClaimOptions,
): Promise<Map<string, Verdict>> {
  const rows = await decline(database, ids, false, options);
  return new Map(rows.map(({ id, verdict }) => [id, { kind: verdict }]));
}

/** After a claim that was won nothing may be lost: without an answer the rest is contended, and looked at again. */
async function decline(
  database: Queryable,
  ids: readonly string[],
  someWon: boolean,
  options: ClaimOptions,
): Promise<Declined[]> {
  try {
    return await database.query<Declined>(DECLINE, [
      ids,
      options.knownTasks,
      options.unknownTaskAfterMs,
      UNKNOWN_TASK_AGAIN_MS,
    ]);
  } catch (error) {
    if (!someWon) throw error;
    return ids.map((id) => ({ id, verdict: "contended" }));
  }
}

function stepOf({ run_id: runId, step_key: key, step, isolation }: ClaimedRow): ClaimedStep | null {
  if (runId === null || key === null) return null;
  return { runId, key, isolation, plan: step === null ? null : JSON.parse(step) };
}

const NO_LABELS: Readonly<Record<string, string>> = Object.freeze({});

export function taskOf(row: ClaimedRow, queue: string): ClaimedTask {
  return {
    id: row.id,
    attempt: row.attempt,
    failures: row.failures,
    name: row.name,
    queue,
    tenant: row.tenant,
    priority: row.priority,
    inputText: row.input,
    inputRef: row.input_ref,
    labels: row.labels === null ? NO_LABELS : JSON.parse(row.labels),
    traceContext: row.trace_context,
    step: stepOf(row),
    limited: row.limit_keys !== undefined,
    policy: {
      timeoutMs: row.timeout_ms,
      graceMs: row.grace_ms,
      maxAttempts: row.max_attempts,
      backoffMs: row.backoff_ms,
      maxBackoffMs: row.max_backoff_ms,
    },
    createdAt: row.created_at,
    waitMs: Math.max(0, row.started_at.getTime() - row.not_before.getTime()),
  };
}
