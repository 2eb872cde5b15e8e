/**
 * Rows made directly in the state under test, and read back with their times as distances from now.
 * A test names the columns it is about; the others are what a row in that state has.
 */
import { v7 as uuidv7 } from "uuid";
import type { TaskError, TaskState } from "../../runtime/model/task.ts";
import type { Database } from "../../runtime/postgres/pool.ts";

/** Times are distances in milliseconds: `…InMs` from now on, `…MsAgo` back. */
export type TaskColumns = {
  readonly id?: string;
  /** Default `queued`. */
  readonly state?: TaskState;
  readonly name?: string;
  readonly queue?: string;
  readonly tenant?: string;
  readonly wireId?: string | null;
  readonly attempt?: number;
  readonly failures?: number;
  readonly losses?: number;
  readonly priority?: number;
  /** Exact JSON text, as `result` and `labels`. */
  readonly input?: string | null;
  readonly inputRef?: string | null;
  readonly labels?: string | null;
  readonly traceContext?: string | null;
  readonly result?: string | null;
  readonly resultRef?: string | null;
  readonly error?: TaskError | null;
  readonly replyKey?: string | null;
  readonly worker?: string | null;
  readonly leaseInMs?: number | null;
  readonly dueInMs?: number;
  readonly announcedMsAgo?: number | null;
  readonly rings?: number;
  readonly cancelRequested?: boolean;
  readonly timeoutMs?: number;
  readonly graceMs?: number;
  readonly maxAttempts?: number;
  readonly backoffMs?: number;
  readonly maxBackoffMs?: number;
  readonly maxLosses?: number;
  readonly isolation?: string;
  readonly onLost?: string;
  /** With its place in the group, a distance from now. */
  readonly groupKey?: string | null;
  readonly orderedInMs?: number | null;
  readonly byRank?: boolean;
  readonly limitKeys?: readonly string[] | null;
  readonly parkedOn?: string | null;
  readonly runId?: string | null;
  readonly stepKey?: string | null;
  readonly pendingParents?: number;
  readonly onParentFailure?: string | null;
  readonly elements?: number | null;
  /** What a step asks for before it runs, as JSON text. */
  readonly step?: string | null;
  readonly progress?: number | null;
  readonly progressMessage?: string | null;
  readonly createdMsAgo?: number;
  readonly startedMsAgo?: number | null;
  readonly finishedMsAgo?: number | null;
};

export type TaskRow = {
  id: string;
  state: TaskState;
  name: string;
  queue: string;
  tenant: string;
  attempt: number;
  failures: number;
  losses: number;
  priority: number;
  labels: string | null;
  trace_context: string | null;
  input: string | null;
  input_ref: string | null;
  result: string | null;
  result_ref: string | null;
  /** Exact JSON text. */
  error: string | null;
  worker: string | null;
  /** Null while no lease is held. */
  lease_in_ms: number | null;
  due_in_ms: number;
  announced_ms_ago: number | null;
  rings: number;
  cancel_requested: boolean;
  timeout_ms: number;
  grace_ms: number;
  max_attempts: number;
  backoff_ms: number;
  max_backoff_ms: number;
  max_losses: number;
  isolation: string;
  on_lost: string;
  progress: number | null;
  progress_message: string | null;
  started_ms_ago: number | null;
  finished: boolean;
};

export type OutboxKind = "doorbell" | "result" | "dead_letter";
export type OutboxRow = { id: number; kind: OutboxKind; task_id: string; queue: string; send_in_ms: number };

export type AttemptRow = {
  attempt: number;
  outcome: string;
  worker: string | null;
  error: string | null;
  has_start: boolean;
};

/** Inserts one task and returns its id. */
export async function createTask(database: Database, columns: TaskColumns = {}): Promise<string> {
  const [id] = await createTasks(database, [columns]);
  if (id === undefined) throw new Error("expected the row that was inserted");
  return id;
}

/** Inserts tasks in one statement and returns their ids, in order. */
export async function createTasks(database: Database, rows: readonly TaskColumns[]): Promise<string[]> {
  const complete = rows.map((columns) => ({
    ...DEFAULTS,
    id: uuidv7(),
    ...inState(columns.state ?? "queued"),
    ...(columns.groupKey !== undefined && { orderedInMs: columns.dueInMs ?? 0 }),
    ...columns,
  }));
  await ask(database, INSERT, [JSON.stringify(complete)]);
  return complete.map((row) => row.id);
}

/** The row as it stands now; throws when there is none. */
export async function readTask(database: Database, id: string): Promise<TaskRow> {
  const [row] = await ask<TaskRow>(database, `${SELECT} where id = $1`, [id]);
  if (row === undefined) throw new Error(`expected a row of task ${id}, there is none`);
  return row;
}

export async function readTasks(database: Database): Promise<TaskRow[]> {
  return await ask<TaskRow>(database, `${SELECT} order by id`);
}

/** Inserts a message that waits to be sent and returns its outbox id. */
export async function createOutboxRow(
  database: Database,
  row: { taskId: string; kind?: OutboxKind; queue?: string; sendInMs?: number },
): Promise<number> {
  const [inserted] = await ask<{ id: number }>(
    database,
    `insert into taskiq.outbox (kind, task_id, queue, send_at)
     values ($1, $2, $3, now() + $4::float8 * interval '1 millisecond') returning id`,
    [row.kind ?? "doorbell", row.taskId, row.queue ?? "default", row.sendInMs ?? 0],
  );
  if (inserted === undefined) throw new Error("expected the row that was inserted");
  return inserted.id;
}

/** What waits to be sent, for one task or for all, in the order of ids. */
export async function readOutbox(database: Database, taskId: string | null = null): Promise<OutboxRow[]> {
  return await ask<OutboxRow>(
    database,
    `select id, kind, task_id, queue, (extract(epoch from send_at - now()) * 1000)::float8 as send_in_ms
       from taskiq.outbox where $1::uuid is null or task_id = $1::uuid order by id`,
    [taskId],
  );
}

/** The unsuccessful attempts of a task, in order. */
export async function readAttemptLog(database: Database, taskId: string): Promise<AttemptRow[]> {
  return await ask<AttemptRow>(
    database,
    `select attempt, outcome, worker, error, started_at is not null as has_start
       from taskiq.attempt where task_id = $1 order by attempt`,
    [taskId],
  );
}

/** Empties every table that holds tasks or belongs to them. */
export async function clearTasks(database: Database): Promise<void> {
  // Faster than truncate for the few rows of a test.
  await ask(
    database,
    `delete from taskiq.task; delete from taskiq.outbox; delete from taskiq.attempt;
     delete from taskiq.idempotency; delete from taskiq.worker;
     delete from taskiq.schedule; delete from taskiq.tombstone; delete from taskiq.paused_queue`,
  );
}

/** SQL that the product has no statement for. */
export async function ask<Row extends Record<string, unknown> = Record<string, unknown>>(
  database: Database,
  text: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  return await database.transaction(async (tx) => (await tx.raw.query<Row>(text, [...values])).rows);
}

const DEFAULTS = {
  name: "demo",
  queue: "default",
  tenant: "default",
  attempt: 0,
  failures: 0,
  losses: 0,
  priority: 0,
  dueInMs: 0,
  announcedMsAgo: 0,
  rings: 0,
  cancelRequested: false,
  timeoutMs: 60_000,
  graceMs: 1_000,
  maxAttempts: 3,
  backoffMs: 1_000,
  maxBackoffMs: 60_000,
  maxLosses: 5,
  isolation: "inline",
  onLost: "requeue",
  pendingParents: 0,
  byRank: false,
  createdMsAgo: 0,
} as const satisfies TaskColumns;

/** What a row needs to be in this state. */
function inState(state: TaskState): TaskColumns {
  switch (state) {
    case "blocked":
      return { state, pendingParents: 1, announcedMsAgo: null };
    case "queued":
      return { state };
    case "running":
      return { state, attempt: 1, worker: "worker-1", leaseInMs: 30_000, startedMsAgo: 100 };
    case "succeeded":
      return { state, attempt: 1, worker: "worker-1", startedMsAgo: 100, finishedMsAgo: 0, result: '"first"' };
    case "failed":
      return { state, attempt: 1, worker: "worker-1", startedMsAgo: 100, finishedMsAgo: 0, error: SAMPLE_ERROR };
    case "cancelled":
      return { state, finishedMsAgo: 0, cancelRequested: true };
    case "skipped":
      return { state, finishedMsAgo: 0, announcedMsAgo: null };
  }
}

export const SAMPLE_ERROR: TaskError = { code: "handler_error", type: "Error", message: "no route" };

const INSERT = `
  insert into taskiq.task (
    id, wire_id, name, queue, tenant, state, attempt, failures, losses, priority, labels, trace_context,
    input, input_ref, result, result_ref, error, reply_key, worker, lease_until, not_before, announced_at, rings,
    cancel_requested_at, timeout_ms, grace_ms, max_attempts, backoff_ms, max_backoff_ms, max_losses, isolation, on_lost,
    run_id, step_key, pending_parents, progress, progress_message, created_at, started_at, finished_at,
    group_key, ordered_at, by_rank, limit_keys, parked_on, on_parent_failure, elements, step
  )
  select r.id, r."wireId", r.name, r.queue, r.tenant, r.state, r.attempt, r.failures, r.losses, r.priority,
         r.labels::json, r."traceContext", r.input::json, r."inputRef", r.result::json, r."resultRef", r.error, r."replyKey",
         r.worker, now() + r."leaseInMs" * ms, now() + r."dueInMs" * ms, now() - r."announcedMsAgo" * ms, r.rings,
         case when r."cancelRequested" then now() end,
         r."timeoutMs", r."graceMs", r."maxAttempts", r."backoffMs", r."maxBackoffMs", r."maxLosses", r.isolation, r."onLost",
         r."runId", r."stepKey", r."pendingParents", r.progress, r."progressMessage",
         now() - r."createdMsAgo" * ms, now() - r."startedMsAgo" * ms, now() - r."finishedMsAgo" * ms,
         r."groupKey", now() + r."orderedInMs" * ms, r."byRank", r."limitKeys", r."parkedOn", r."onParentFailure", r.elements, r.step::json
    from (select interval '1 millisecond' as ms) unit,
         json_to_recordset($1::json) as r (
           id uuid, "wireId" text, name text, queue text, tenant text, state taskiq.task_state, attempt int, failures int,
           losses int, priority smallint, labels text, "traceContext" text, input text, "inputRef" text, result text,
           "resultRef" text, error json, "replyKey" text, worker text, "leaseInMs" float8, "dueInMs" float8,
           "announcedMsAgo" float8, rings smallint, "cancelRequested" boolean, "timeoutMs" int, "graceMs" int,
           "maxAttempts" int, "backoffMs" int, "maxBackoffMs" int, "maxLosses" int, isolation text, "onLost" text,
           "runId" uuid, "stepKey" text, "pendingParents" int, progress real, "progressMessage" text,
           "createdMsAgo" float8, "startedMsAgo" float8, "finishedMsAgo" float8,
           "groupKey" text, "orderedInMs" float8, "byRank" boolean, "limitKeys" text[], "parkedOn" text,
           "onParentFailure" text, elements int, step text
         )`;

const SELECT = `
  select id, state, name, queue, tenant, attempt, failures, losses, priority, labels, trace_context, input, input_ref,
         result, result_ref, error, worker,
         (extract(epoch from lease_until - now()) * 1000)::float8 as lease_in_ms,
         (extract(epoch from not_before - now()) * 1000)::float8 as due_in_ms,
         (extract(epoch from now() - announced_at) * 1000)::float8 as announced_ms_ago,
         rings, cancel_requested_at is not null as cancel_requested,
         timeout_ms, grace_ms, max_attempts, backoff_ms, max_backoff_ms, max_losses, isolation, on_lost,
         progress, progress_message,
         (extract(epoch from now() - started_at) * 1000)::float8 as started_ms_ago,
         finished_at is not null as finished
    from taskiq.task`;
