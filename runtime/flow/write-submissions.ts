/**
 * The group commit of submissions: as few statements as their size allows, repeated once when a connection is lost, and taken apart where one
 * submission would break it for the others.
 */

import type { SendingTask } from "../define/middleware.ts";
import { TaskiqError } from "../errors.ts";
import type { TaskPolicy } from "../model/task.ts";
import { isBusyError, isLockTimeout, isValueError } from "../postgres/failure.ts";
import { type Database, isConnectionError, isSerializationError, type Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import type { Announcer, Doorbell } from "./announce.ts";
import type { LimitSetting } from "./limits.ts";

/** `replayed`: the key was used before with the same requests, and these are the tasks made then. */
export type Submitted = { readonly kind: "created" | "replayed"; readonly ids: readonly string[] };

export type Answer = Submitted | TaskiqError;

export type PreparedTask = {
  readonly sending: SendingTask;
  readonly policy: TaskPolicy;
  readonly priority: number;
  readonly delayMs: number;
  /** Wins over `delayMs`. */
  readonly notBefore: Date | null;
  readonly inputText: string | null;
  readonly inputRef: string | null;
  /** Its group, on a FIFO queue. */
  readonly group: string | null;
  /** Its queue is ordered by priority. */
  readonly byRank: boolean;
  /** Of different keys. */
  readonly limits: readonly LimitSetting[];
};

export type Submission = {
  readonly tenant: string;
  readonly tasks: readonly PreparedTask[];
  readonly key: string | null;
  readonly requestHash: Buffer | null;
  readonly bytes: number;
};

type CreatedRow = { id: string; outbox_id: number; due: boolean };
type KeyRow = { namespace: string; key: string; request_hash: Buffer; task_id: string };

export type WriteParts = {
  readonly database: Database;
  readonly announcer: Announcer;
  readonly idempotencyTtlMs: number;
};

/** Between the keys of one task; no key has it. */
const SEPARATOR = "\u001f";
/** How long the submitter has to ring by itself before the executor loop does. */
const FAST_PATH_MS = 5_000;
const MAX_TASKS_A_STATEMENT = 1_000;
const MAX_BYTES_A_STATEMENT = 8 * 1024 * 1024;

const SUBMIT = loadSql(import.meta.url, "./submit.sql");
const READ_IDEMPOTENCY = loadSql(import.meta.url, "./read-idempotency.sql");

/** One answer a submission, in their order. Rejects only for errors that are bugs. */
export async function writeSubmissions(submissions: readonly Submission[], parts: WriteParts): Promise<Answer[]> {
  const answers = await Promise.all(statements(submissions).map((some) => write(some, parts)));
  return answers.flat();
}

/** One statement. Where a value of one submission breaks it, each is written by itself and only the culprit is refused. */
async function write(submissions: readonly Submission[], parts: WriteParts): Promise<Answer[]> {
  try {
    return await writeTogether(submissions, parts);
  } catch (error) {
    const apart = isValueError(error) || isLockTimeout(error);
    if (apart && submissions.length > 1)
      return (await Promise.all(submissions.map((one) => write([one], parts)))).flat();
    if (isConnectionError(error) || isBusyError(error)) return submissions.map(() => unavailable(error));
    if (!isValueError(error)) throw error;
    return [
      new TaskiqError(
        "input_not_storable",
        `expected values that Postgres can store, got: ${error instanceof Error ? error.message : String(error)}. Change the input.`,
        { cause: error },
      ),
    ];
  }
}

async function writeTogether(submissions: readonly Submission[], parts: WriteParts): Promise<Answer[]> {
  const { database, announcer, idempotencyTtlMs } = parts;
  const { rows, repeated } = await insert(database, parametersOf(submissions, idempotencyTtlMs));
  const created = new Map(rows.map((row) => [row.id, row]));
  const losers = submissions.filter((submission) => !created.has(ownerOf(submission)) && submission.key !== null);
  const keys = losers.length === 0 ? new Map<string, KeyRow>() : await readKeys(database, losers).catch(() => null);
  announcer.ring(submissions.flatMap((submission) => doorbellsOf(submission, created)));
  return submissions.map((submission) => {
    const owner = ownerOf(submission);
    const ids = submission.tasks.map((task) => task.sending.id);
    if (created.has(owner)) return { kind: "created", ids };
    if (submission.key === null) {
      // Only a repeated statement meets its own rows: the first one was committed and its answer lost.
      if (repeated) return { kind: "created", ids };
      return new TaskiqError("internal", `Task ${owner}: expected a new id, a row has it already. Submit again.`);
    }
    const held = keys?.get(`${submission.tenant}\n${submission.key}`);
    if (held === undefined)
      return unavailable(new Error("the idempotency key could not be read, or expired meanwhile"));
    if (held.task_id === owner) return { kind: "created", ids };
    if (submission.requestHash === null || !held.request_hash.equals(submission.requestHash)) {
      return mismatch(submission.key);
    }
    return { kind: "replayed", ids: submission.tasks.map((_, index) => nthId(held.task_id, index)) };
  });
}

/**
 * Inside the caller's transaction, each task by itself: its doorbells, to be rung after the commit. A task whose id there is already is left out.
 * At most 1,000 tasks and about 8 MiB.
 */
export async function writeInside(tx: Queryable, tasks: readonly PreparedTask[]): Promise<Doorbell[]> {
  const submissions = tasks.map(
    (task): Submission => ({ tenant: task.sending.tenant, tasks: [task], key: null, requestHash: null, bytes: 0 }),
  );
  const rows = await tx.query<CreatedRow>(SUBMIT, parametersOf(submissions, 0));
  const created = new Map(rows.map((row) => [row.id, row]));
  return submissions.flatMap((submission) => doorbellsOf(submission, created));
}

/** What these keys stand for: those that are held and have not expired. */
export async function readIdempotency(
  database: Queryable,
  tenants: readonly string[],
  keys: readonly string[],
): Promise<KeyRow[]> {
  return await database.query<KeyRow>(READ_IDEMPOTENCY, [tenants, keys]);
}

/** Repeats once after a lost connection or a deadlock: the ids are the same, so what was committed is not made twice. */
async function insert(
  database: Database,
  parameters: readonly unknown[],
): Promise<{ rows: CreatedRow[]; repeated: boolean }> {
  try {
    return { rows: await database.query<CreatedRow>(SUBMIT, parameters), repeated: false };
  } catch (error) {
    if (!isConnectionError(error) && !isSerializationError(error)) throw error;
    return { rows: await database.query<CreatedRow>(SUBMIT, parameters), repeated: true };
  }
}

async function readKeys(database: Database, losers: readonly Submission[]): Promise<Map<string, KeyRow>> {
  const rows = await readIdempotency(
    database,
    losers.map((loser) => loser.tenant),
    losers.map((loser) => loser.key ?? ""),
  );
  return new Map(rows.map((row) => [`${row.namespace}\n${row.key}`, row]));
}

/**
 * The id of the n-th task of a submission: the owner's with `index` added to its random end, so that a replay can name all
 * tasks from the one id that the idempotency key holds.
 */
export function nthId(owner: string, index: number): string {
  if (index === 0) return owner;
  const tail = (Number.parseInt(owner.slice(24), 16) + index) % 2 ** 48;
  return owner.slice(0, 24) + tail.toString(16).padStart(12, "0");
}

function ownerOf(submission: Submission): string {
  return (submission.tasks[0] as PreparedTask).sending.id; // A submission has at least one task.
}

/** Splits by the size of one statement; a submission is never split. */
function statements(submissions: readonly Submission[]): Submission[][] {
  const result: Submission[][] = [];
  let tasks = 0;
  let bytes = 0;
  for (const submission of submissions) {
    const last = result.at(-1);
    tasks += submission.tasks.length;
    bytes += submission.bytes;
    if (last !== undefined && tasks <= MAX_TASKS_A_STATEMENT && bytes <= MAX_BYTES_A_STATEMENT) {
      last.push(submission);
    } else {
      result.push([submission]);
      tasks = submission.tasks.length;
      bytes = submission.bytes;
    }
  }
  return result;
}

function doorbellsOf(submission: Submission, created: ReadonlyMap<string, CreatedRow>): Doorbell[] {
  return submission.tasks.flatMap(({ sending, group, priority }) => {
    const row = created.get(sending.id);
    if (row === undefined || !row.due) return [];
    const { id, name, queue, tenant } = sending;
    return [{ outboxId: row.outbox_id, id, name, queue, tenant, group, priority }];
  });
}

function parametersOf(submissions: readonly Submission[], idempotencyTtlMs: number): unknown[] {
  const tasks = submissions.flatMap((submission) =>
    submission.tasks.map((task, index) => ({ task, submission, first: index === 0 })),
  );
  const column = <Value>(value: (entry: (typeof tasks)[number]) => Value): Value[] => tasks.map(value);
  const policy = <Name extends keyof TaskPolicy>(name: Name) => column(({ task }) => task.policy[name]);
  return [
    column(({ task }) => task.sending.id),
    column(() => null),
    column(({ task }) => task.sending.name),
    column(({ task }) => task.sending.queue),
    column(({ task }) => task.sending.tenant),
    column(({ task }) => task.priority),
    column(({ task }) => task.delayMs),
    column(({ task }) => task.notBefore),
    column(({ task }) => labelsText(task.sending.labels)),
    column(({ task }) => task.sending.traceContext),
    column(({ task }) => task.inputText),
    column(({ task }) => task.inputRef),
    column(() => null),
    policy("timeoutMs"),
    policy("graceMs"),
    policy("maxAttempts"),
    policy("backoffMs"),
    policy("maxBackoffMs"),
    policy("maxLosses"),
    policy("isolation"),
    policy("onLost"),
    column(({ submission }) => ownerOf(submission)),
    column(({ submission, first }) => (first ? submission.key : null)),
    column(({ submission, first }) => (first ? submission.requestHash : null)),
    idempotencyTtlMs,
    FAST_PATH_MS,
    column(({ task }) => task.group),
    column(({ task }) => task.byRank),
    column(({ task }) => (task.limits.length === 0 ? null : task.limits.map(({ key }) => key).join(SEPARATOR))),
  ];
}

function labelsText(labels: Readonly<Record<string, string>>): string | null {
  for (const _ in labels) return JSON.stringify(labels);
  return null;
}

export function mismatch(key: string): TaskiqError {
  return new TaskiqError(
    "idempotency_mismatch",
    `Idempotency-Key ${JSON.stringify(key)}: expected the body it was first used with, got another one. Use a new key for a new request.`,
  );
}

function unavailable(cause: unknown): TaskiqError {
  return new TaskiqError(
    "database_unavailable",
    "expected the database to accept the task, it cannot be reached. Repeat the request, with the same Idempotency-Key if it has one.",
    { cause },
  );
}
