/**
 * Fire what is due: a schedule moves on to its next time and the tasks of the times that have come are inserted, in one transaction. Moving on is the fence,
 * and a task's id follows from schedule and time, so any number of processes may do this, and each time becomes one task.
 *
 * What costs time (schemas, hooks, large inputs on their way to S3) is done before, with nothing locked; whoever loses has done it for nothing.
 */
import { v5 as uuidv5 } from "uuid";
import type { Middlewares } from "../define/middleware.ts";
import { describeError } from "../describe-error.ts";
import { ERROR_CODES, TaskiqError } from "../errors.ts";
import { type Firings, planFirings } from "../model/schedule.ts";
import { isValueError } from "../postgres/failure.ts";
import type { Database } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import type { Announcer, Doorbell } from "./announce.ts";
import { type ScheduleColumns, taskOf, timingOf } from "./schedule-row.ts";
import { timesOf } from "./schedule-times.ts";
import type { Submitter } from "./submit.ts";
import type { SubmitObserver } from "./submit-observer.ts";
import { type PreparedTask, writeInside } from "./write-submissions.ts";

export type FireParts = {
  readonly database: Database;
  readonly submitter: Pick<Submitter, "prepare">;
  readonly announcer: Pick<Announcer, "ring">;
  readonly middlewares: Middlewares;
  /** How long a schedule may be due whose task this process cannot make, before it is disabled: another process may know the task. */
  readonly patienceMs: number;
  /** Counts what is written. */
  readonly observer?: SubmitObserver | undefined;
};

export type FireOptions = {
  /** Schedules to leave out, by id. */
  readonly leaveOut: readonly string[];
  /** Most schedules, from 1. */
  readonly limit: number;
};

export type Fired = {
  /** How many schedules were due. */
  readonly due: number;
  /** Tasks made. */
  readonly tasks: number;
  /** Schedules of which times were missed and not made up for. */
  readonly leftOut: readonly FiredSchedule[];
  /** Schedules whose task cannot be made. */
  readonly refused: readonly RefusedSchedule[];
  /** Schedules whose task could not be made this time, because something is away. */
  readonly failed: readonly (FiredSchedule & { readonly error: unknown })[];
};

export type FiredSchedule = { readonly id: string; readonly name: string };
export type RefusedSchedule = FiredSchedule & {
  readonly code: string;
  readonly message: string;
  readonly disabled: boolean;
};

type DueRow = ScheduleColumns & { readonly next_at: Date; readonly now_ms: number };
type Firing = {
  readonly row: DueRow;
  readonly plan: Firings;
  readonly nextAt: Date;
  readonly tasks: readonly PreparedTask[];
};
type Refusal = { readonly row: DueRow; readonly error: unknown };

const MAX_TASKS_A_TRANSACTION = 500;
const MAX_CHARS_A_TRANSACTION = 8 * 1024 * 1024;

const DUE = loadSql(import.meta.url, "./schedule-due.sql");
const ADVANCE = loadSql(import.meta.url, "./schedule-advance.sql");
const REFUSE = loadSql(import.meta.url, "./schedule-refuse.sql");

export async function fireDue(parts: FireParts, { leaveOut, limit }: FireOptions): Promise<Fired> {
  const rows = await parts.database.query<DueRow>(DUE, [leaveOut, limit]);
  const firings: Firing[] = [];
  const refusals: Refusal[] = [];
  for (const row of rows) {
    try {
      firings.push(await prepare(row, parts.submitter));
    } catch (error) {
      refusals.push({ row, error });
    }
  }
  const written = await Promise.all(transactions(firings).map((some) => write(some, parts)));
  refusals.push(...written.flatMap((one) => one.refusals));

  const refused: RefusedSchedule[] = [];
  const failed: (FiredSchedule & { error: unknown })[] = [];
  for (const { row, error } of refusals) {
    const name = { id: row.id, name: row.name };
    if (!isForGood(error)) failed.push({ ...name, error });
    else refused.push(...(await refuse(row, error, parts)));
  }
  const fired = written.flatMap((one) => one.fired);
  return {
    due: rows.length,
    tasks: fired.reduce((sum, { tasks }) => sum + tasks.length, 0),
    leftOut: fired.filter(({ plan }) => plan.leftOut).map(({ row }) => ({ id: row.id, name: row.name })),
    refused,
    failed,
  };
}

/** The id of the task of one time: whoever makes it, and however often. */
export function firingId(scheduleId: string, atMs: number): string {
  return uuidv5(new Date(atMs).toISOString(), scheduleId);
}

async function prepare(row: DueRow, submitter: Pick<Submitter, "prepare">): Promise<Firing> {
  const plan = planFirings(timesOf(timingOf(row)), +row.next_at, row.now_ms, {
    catchUp: row.catch_up,
    catchUpLimit: row.catch_up_limit,
    overlap: row.overlap,
  });
  if (plan.nextAtMs === null) {
    throw new TaskiqError("schedule_invalid", "cron: expected times to come, there are none. Create another schedule.");
  }
  const tasks = await Promise.all(
    plan.fire.map(async (atMs, index): Promise<PreparedTask> => {
      const request = taskOf(row, { taskiq_aws_fire_time: new Date(atMs).toISOString() });
      const task = await submitter.prepare(request, { tenant: row.tenant, id: firingId(row.id, atMs) });
      // A microsecond apart: tasks of one group run in the order of their times, and their ids are in none.
      return task.group === null ? task : { ...task, delayMs: index / 1_000 };
    }),
  );
  return { row, plan, nextAt: new Date(plan.nextAtMs), tasks };
}

type Written = { readonly fired: readonly Firing[]; readonly refusals: readonly Refusal[] };

async function write(firings: readonly Firing[], parts: FireParts): Promise<Written> {
  try {
    const { fired, doorbells } = await writeTogether(firings, parts.database);
    parts.announcer.ring(doorbells);
    for (const { tasks } of fired) {
      for (const { sending } of tasks) parts.observer?.enqueued(sending.queue, sending.name);
      for (const task of tasks) await parts.middlewares.call("postSend", task.sending);
    }
    return { fired, refusals: [] };
  } catch (error) {
    const [only, ...others] = firings;
    if (!isValueError(error) || only === undefined) throw error;
    if (others.length === 0) return { fired: [], refusals: [{ row: only.row, error }] };
    // A value of one of them broke it for all.
    const apart = await Promise.all(firings.map((one) => write([one], parts)));
    return { fired: apart.flatMap((one) => one.fired), refusals: apart.flatMap((one) => one.refusals) };
  }
}

async function writeTogether(
  firings: readonly Firing[],
  database: Database,
): Promise<{ fired: Firing[]; doorbells: Doorbell[] }> {
  return await database.transaction(async (tx) => {
    const moved = await tx.query<{ id: string; fires: boolean }>(ADVANCE, [
      firings.map(({ row }) => row.id),
      firings.map(({ row }) => row.next_at),
      firings.map(({ nextAt }) => nextAt),
      firings.map(({ plan }) => dateOf(plan.fire.at(-1))),
      firings.map(({ tasks }) => tasks.at(-1)?.sending.id ?? null),
      firings.map(({ tasks }) => tasks.length),
    ]);
    const fires = new Map(moved.map((row) => [row.id, row.fires]));
    const fired = firings.flatMap((firing) => {
      const doesFire = fires.get(firing.row.id);
      return doesFire === undefined ? [] : [doesFire ? firing : { ...firing, tasks: [] }];
    });
    const tasks = fired.flatMap((firing) => firing.tasks);
    return { fired, doorbells: tasks.length === 0 ? [] : await writeInside(tx, tasks) };
  });
}

function dateOf(ms: number | undefined): Date | null {
  return ms === undefined ? null : new Date(ms);
}

/** Splits by the size of one statement; a schedule is never split. */
function transactions(firings: readonly Firing[]): Firing[][] {
  const result: Firing[][] = [];
  let count = 0;
  let chars = 0;
  for (const firing of firings) {
    const last = result.at(-1);
    const itsChars = firing.tasks.reduce((sum, { inputText }) => sum + (inputText?.length ?? 0), 0);
    count += firing.tasks.length;
    chars += itsChars;
    if (last !== undefined && count <= MAX_TASKS_A_TRANSACTION && chars <= MAX_CHARS_A_TRANSACTION) {
      last.push(firing);
    } else {
      result.push([firing]);
      count = firing.tasks.length;
      chars = itsChars;
    }
  }
  return result;
}

/** True for what the schedule itself has to be changed for, as a request would have to be. */
function isForGood(error: unknown): boolean {
  return isValueError(error) || (error instanceof TaskiqError && ERROR_CODES[error.code].status < 500);
}

async function refuse(row: DueRow, error: unknown, { database, patienceMs }: FireParts): Promise<RefusedSchedule[]> {
  const { message } = describeError(error);
  const code = error instanceof TaskiqError ? error.code : "input_not_storable";
  const problem = JSON.stringify({ code, message, at: new Date(row.now_ms).toISOString() });
  const noted = await database.query<{ disabled: boolean }>(REFUSE, [row.id, row.next_at, problem, patienceMs]);
  return noted.map(({ disabled }) => ({ id: row.id, name: row.name, code, message, disabled }));
}
