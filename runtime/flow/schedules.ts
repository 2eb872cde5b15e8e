/** Create schedules and look at them. A schedule is checked like the tasks it will make, before it is stored. */
import { createHash } from "node:crypto";
import { v5 as uuidv5, v7 as uuidv7 } from "uuid";
import { TaskiqError } from "../errors.ts";
import { type CatchUp, type Overlap, SCHEDULE_DEFAULTS, SCHEDULE_LIMITS, type Timing } from "../model/schedule.ts";
import { encodeJson } from "../payload/json.ts";
import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import type { ScheduleColumns } from "./schedule-row.ts";
import { timesOf } from "./schedule-times.ts";
import { type Submitter, sorted, type TaskRequest } from "./submit.ts";

export type ScheduleRequest = {
  /** Unique for the tenant. */
  readonly name: string;
  /** What each firing submits; its delay and trace play no part. */
  readonly task: TaskRequest;
  readonly timing:
    | { readonly kind: "cron"; readonly cron: string; readonly timeZone?: string | undefined }
    | { readonly kind: "interval"; readonly intervalMs: number };
  readonly catchUp?: CatchUp | undefined;
  readonly catchUpLimit?: number | undefined;
  readonly overlap?: Overlap | undefined;
  /** It starts when it is resumed. Default false. */
  readonly paused?: boolean | undefined;
};

export type ScheduleRow = ScheduleColumns & {
  readonly paused_at: Date | null;
  readonly disabled_at: Date | null;
  readonly problem: string | null;
  readonly next_at: Date;
  readonly last_fired_for: Date | null;
  readonly last_task_id: string | null;
  readonly fired: number;
  readonly overlapped: number;
  readonly request_hash: Buffer | null;
  readonly created_at: Date;
};

export type CreatedSchedule = { readonly kind: "created" | "replayed"; readonly row: ScheduleRow };

export type ScheduleParts = {
  readonly database: Queryable;
  readonly submitter: Pick<Submitter, "check">;
};

/** Of the ids of schedules that are created with an idempotency key. */
const KEY_NAMESPACE = "6a0ff2c4-6f0e-5d2e-9d5c-0c8f1c7a7b11";

const NOW = loadSql(import.meta.url, "./schedule-now.sql");
const CREATE = loadSql(import.meta.url, "./schedule-create.sql");
const READ = loadSql(import.meta.url, "./schedule-read.sql");
const LIST = loadSql(import.meta.url, "./schedule-list.sql");

/**
 * @throws TaskiqError `schedule_invalid`, `schedule_exists`, `idempotency_mismatch`, `payload_too_large`, and what a submission of the task throws
 */
export async function createSchedule(
  request: ScheduleRequest,
  options: { readonly tenant: string; readonly idempotencyKey?: string | undefined },
  { database, submitter }: ScheduleParts,
): Promise<CreatedSchedule> {
  const { tenant, idempotencyKey } = options;
  const { name, task, catchUp, catchUpLimit, overlap, paused } = request;
  submitter.check(task);
  const input = inputText(task.input);
  const nowMs = await databaseNow(database);
  const timing: Timing =
    request.timing.kind === "cron"
      ? { ...request.timing, timeZone: request.timing.timeZone ?? SCHEDULE_DEFAULTS.timeZone }
      : { ...request.timing, anchorMs: nowMs };
  const nextAt = nextTime(timing, nowMs);
  const requestHash = createHash("sha256")
    .update(encodeJson(sorted(request)))
    .digest();
  const id = idempotencyKey === undefined ? uuidv7() : uuidv5(`${tenant}\n${idempotencyKey}`, KEY_NAMESPACE);

  const created = await database.query<{ id: string }>(CREATE, [
    id,
    tenant,
    name,
    task.task,
    input,
    task.queue ?? null,
    task.priority ?? null,
    task.orderingKey ?? null,
    task.labels === undefined ? null : JSON.stringify(task.labels),
    timing.kind === "cron" ? timing.cron : null,
    timing.kind === "cron" ? timing.timeZone : null,
    timing.kind === "interval" ? timing.intervalMs : null,
    new Date(nowMs),
    catchUp ?? SCHEDULE_DEFAULTS.catchUp,
    catchUpLimit ?? SCHEDULE_LIMITS.catchUpLimit.default,
    overlap ?? SCHEDULE_DEFAULTS.overlap,
    paused ?? false,
    nextAt,
    requestHash,
  ]);
  const row = await findSchedule(database, id, tenant);
  if (row === undefined) throw exists(name);
  if (created.length > 0) return { kind: "created", row };
  if (row.request_hash?.equals(requestHash) !== true) throw mismatch(idempotencyKey ?? id);
  return { kind: "replayed", row };
}

export async function findSchedule(database: Queryable, id: string, tenant: string): Promise<ScheduleRow | undefined> {
  const [row] = await database.query<ScheduleRow>(READ, [id, tenant]);
  return row;
}

/** Throws TaskiqError `schedule_not_found`, also for another tenant's. */
export async function readSchedule(database: Queryable, id: string, tenant: string): Promise<ScheduleRow> {
  const row = await findSchedule(database, id, tenant);
  if (row === undefined) throw notFound(id);
  return row;
}

export type ScheduleListOptions = {
  /** A name: those behind it. Default: from the first. */
  readonly after?: string | undefined;
  /** Only the one with this name. */
  readonly name?: string | undefined;
  readonly limit: number;
};

/** In the order of their names. */
export async function listSchedules(
  database: Queryable,
  tenant: string,
  { after, name, limit }: ScheduleListOptions,
): Promise<ScheduleRow[]> {
  return await database.query<ScheduleRow>(LIST, [tenant, after ?? "", name ?? null, limit]);
}

/** The database's time, milliseconds since 1970: processes' own clocks differ. */
export async function databaseNow(database: Queryable): Promise<number> {
  const [row] = await database.query<{ now_ms: number }>(NOW, []);
  if (row === undefined) throw new Error("expected the time of the database, got no row");
  return row.now_ms;
}

/** The first time after `nowMs`. Throws TaskiqError `schedule_invalid`. */
export function nextTime(timing: Timing, nowMs: number): Date {
  const next = timesOf(timing).after(nowMs);
  if (next !== null) return new Date(next);
  const message = "expected times to come, there are none";
  throw new TaskiqError("schedule_invalid", `cron: ${message}. Change the expression.`, {
    details: { issues: [{ path: "cron", message }] },
  });
}

export function notFound(id: string): TaskiqError {
  return new TaskiqError(
    "schedule_not_found",
    `expected the id of a schedule, got ${id}, which no schedule has. taskiq-aws schedule list shows what there is.`,
  );
}

function inputText(input: unknown): string | null {
  if (input === undefined || input === null) return null;
  const text = encodeJson(input);
  const bytes = Buffer.byteLength(text);
  if (bytes <= SCHEDULE_LIMITS.inputBytes) return text;
  throw new TaskiqError(
    "payload_too_large",
    `input: expected at most ${SCHEDULE_LIMITS.inputBytes} bytes in a schedule, got ${bytes}. Store it in S3 yourself and give its key.`,
  );
}

function exists(name: string): TaskiqError {
  return new TaskiqError(
    "schedule_exists",
    `name: expected a name that no schedule has, ${JSON.stringify(name)} is taken. Choose another one, or delete that schedule first.`,
  );
}

function mismatch(key: string): TaskiqError {
  return new TaskiqError(
    "idempotency_mismatch",
    `Idempotency-Key ${JSON.stringify(key)}: expected the body it was first used with, got another one. Use a new key for a new schedule.`,
  );
}
