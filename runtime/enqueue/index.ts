/**
 * Enqueue inside the caller's own transaction: the task exists when the caller's rows do, and not otherwise. No AWS call is made; an executor
 * loop announces the task within a second after the commit.
 *
 * ```ts
 * await client.query("begin");
 * await client.query("insert into orders …");
 * await enqueue(client, sendReceipt, { order: 42 }, { idempotencyKey: "receipt-42" });
 * await client.query("commit");
 * ```
 *
 * All of it is the SQL function `taskiq.enqueue`, which any language can call; this adds the types and the check of the input.
 */

import type { z } from "zod";
import type { TaskDefinition } from "../define/task.ts";
import { ERROR_CODES, type ErrorCode, TaskiqError } from "../errors.ts";
import { different, settingOf } from "../flow/limit-book.ts";
import { inWords, issuesOf } from "../issues.ts";
import { encodeJson } from "../payload/json.ts";
import { loadSql } from "../postgres/sql.ts";
import { activeTraceContext } from "../tracing/tracing.ts";
import { limitRow } from "./publish.ts";

/** A client of `pg` inside the caller's transaction, or what `commit(tx)` of a task is given. */
export type EnqueueClient = {
  query(text: string, values: unknown[]): Promise<{ rows: unknown[] }>;
};

export type EnqueueOptions = {
  /** Default: the definition's. */
  readonly queue?: string | undefined;
  /** From -100 to 100. Default: the definition's. */
  readonly priority?: number | undefined;
  /** Milliseconds from now on, to `TASKIQ_MAX_DELAY_MS`. Default 0. Not with `notBefore`. */
  readonly delayMs?: number | undefined;
  /** The earliest start; one that is past is now. */
  readonly notBefore?: Date | undefined;
  /** FIFO queues: tasks with equal keys run one after the other; 1 to 200 characters. Default: the task's id. */
  readonly orderingKey?: string | undefined;
  /** At most 50; names to 200, texts to 1,000 characters. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Requests with equal keys of one tenant make one task, for as long as `TASKIQ_IDEMPOTENCY_TTL_MS`; 1 to 255 characters. */
  readonly idempotencyKey?: string | undefined;
  /** Default `default`. */
  readonly tenant?: string | undefined;
  /** A uuid for the task. Default: a new one. A cancellation that came for it before makes the task `cancelled` at once. */
  readonly id?: string | undefined;
  /** A `traceparent`. Default: that of the active span of OpenTelemetry, if there is one. */
  readonly traceContext?: string | undefined;
};

const ENQUEUE = loadSql(import.meta.url, "./enqueue.sql");
const CODE = /^code (\w+)$/;
const UNDEFINED_FUNCTION = "42883";
const UNDEFINED_SCHEMA = "3F000";

/**
 * Makes a task in the transaction of `client` and returns its id; with an idempotency key that was used before, the id of the task made then.
 *
 * A definition checks the input here, before anything is sent, so that a mistake does not end the transaction; a name leaves that to the worker,
 * where a bad input fails the task. What Postgres refuses ends the transaction, as every failed statement does: use a savepoint to go on.
 * Middleware is not called.
 *
 * @param input at most `TASKIQ_INLINE_PAYLOAD_BYTES` as JSON: a transaction cannot store into S3
 * @throws TaskiqError `input_invalid`, `input_not_storable`, `payload_too_large`, `request_invalid`, `unknown_task`, `unknown_queue`,
 *   `idempotency_mismatch`, `task_exists`, `schema_older`; anything else as the client throws it
 */
export async function enqueue<Schema extends z.ZodType, Output>(
  client: EnqueueClient,
  task: TaskDefinition<Schema, Output>,
  input: z.input<Schema>,
  options?: EnqueueOptions,
): Promise<string>;
export async function enqueue(
  client: EnqueueClient,
  task: string,
  input?: unknown,
  options?: EnqueueOptions,
): Promise<string>;
export async function enqueue(
  client: EnqueueClient,
  task: TaskDefinition | string,
  input: unknown = null,
  options: EnqueueOptions = {},
): Promise<string> {
  if ("totalCount" in client) {
    throw new TaskiqError(
      "request_invalid",
      "enqueue: expected the client that the transaction runs on, got a pool, where every statement commits by itself. Pass what pool.connect() returns.",
    );
  }
  const definition = typeof task === "string" ? null : task;
  const name = typeof task === "string" ? task : task.name;
  const text = encoded(input, "input", "input_not_storable");
  if (definition !== null) check(definition, input);
  const optionsText = encoded(optionsOf(options, definition, input), "options", "request_invalid");
  try {
    const { rows } = await client.query(ENQUEUE.text, [name, text, optionsText]);
    // The statement gives one row with a uuid.
    return (rows[0] as { id: string }).id;
  } catch (error) {
    throw translated(error);
  }
}

function encoded(value: unknown, what: string, code: ErrorCode): string {
  try {
    return encodeJson(value);
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw new TaskiqError(code, `${what}: ${problem}`, { cause });
  }
}

function check(definition: TaskDefinition, input: unknown): void {
  const checked = definition.input.safeParse(input);
  if (checked.success) return;
  const issues = issuesOf(checked.error, ["input"]);
  throw new TaskiqError("input_invalid", inWords(issues), { details: { issues } });
}

function optionsOf(options: EnqueueOptions, definition: TaskDefinition | null, input: unknown): object {
  return {
    queue: options.queue,
    priority: options.priority,
    delay_seconds: options.delayMs === undefined ? undefined : options.delayMs / 1_000,
    not_before: options.notBefore,
    ordering_key: options.orderingKey,
    labels: options.labels,
    idempotency_key: options.idempotencyKey,
    tenant: options.tenant,
    id: options.id,
    trace_context: options.traceContext ?? activeTraceContext() ?? undefined,
    // With the definition at hand nobody has to have made it known.
    ...(definition !== null && { policy: policyOf(definition, input) }),
  };
}

function policyOf(definition: TaskDefinition, input: unknown): object {
  const { queue, priority, policy } = definition;
  return {
    queue,
    priority,
    timeout_ms: policy.timeoutMs,
    grace_ms: policy.graceMs,
    max_attempts: policy.maxAttempts,
    backoff_ms: policy.backoffMs,
    max_backoff_ms: policy.maxBackoffMs,
    max_losses: policy.maxLosses,
    isolation: policy.isolation,
    on_lost: policy.onLost,
    limits: different(definition.limits.map((limit) => settingOf(definition, limit, input))).map(limitRow),
  };
}

/** A refusal of the function by its stable code; what is no refusal stays what it is. */
function translated(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  // Errors of any version of pg: only these fields are looked at, and they are texts or not there.
  const { code, detail, hint } = error as { code?: unknown; detail?: unknown; hint?: unknown };
  if (code === UNDEFINED_FUNCTION || code === UNDEFINED_SCHEMA) {
    return new TaskiqError(
      "schema_older",
      `expected the function taskiq.enqueue in this database, got: ${error.message}. Run: taskiq-aws migrate`,
      { cause: error },
    );
  }
  const stable = typeof detail === "string" ? CODE.exec(detail)?.[1] : undefined;
  if (stable === undefined || !isErrorCode(stable)) return error;
  return new TaskiqError(stable, `${error.message}. ${typeof hint === "string" ? hint : ""}`.trim(), { cause: error });
}

function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERROR_CODES, text);
}
