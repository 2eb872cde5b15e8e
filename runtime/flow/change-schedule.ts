/** What an operator does to a schedule: pause it, let it go on, delete it, and run it now. */
import type { Queryable } from "../postgres/pool.ts";
import { loadSql } from "../postgres/sql.ts";
import { taskOf, timingOf } from "./schedule-row.ts";
import { databaseNow, nextTime, notFound, readSchedule, type ScheduleParts, type ScheduleRow } from "./schedules.ts";
import type { Submitted, Submitter } from "./submit.ts";

export type ScheduleRef = { readonly id: string; readonly tenant: string };

const PAUSE = loadSql(import.meta.url, "./schedule-pause.sql");
const RESUME = loadSql(import.meta.url, "./schedule-resume.sql");
const DELETE = loadSql(import.meta.url, "./schedule-delete.sql");

/** No time that comes is fired until it is resumed; tasks that were made already go on. Throws `schedule_not_found`. */
export async function pauseSchedule(database: Queryable, { id, tenant }: ScheduleRef): Promise<ScheduleRow> {
  await database.query(PAUSE, [id, tenant]);
  return await readSchedule(database, id, tenant);
}

/**
 * Goes on with the first time from now on: what came meanwhile is left out, whatever the catch-up policy says, because somebody wanted it so.
 * Throws `schedule_not_found`, and what creating it would throw where its task or input is still wrong.
 */
export async function resumeSchedule(
  { id, tenant }: ScheduleRef,
  { database, submitter }: ScheduleParts,
): Promise<ScheduleRow> {
  const row = await readSchedule(database, id, tenant);
  if (row.paused_at === null && row.disabled_at === null) return row;
  submitter.check(taskOf(row));
  await database.query(RESUME, [id, tenant, nextTime(timingOf(row), await databaseNow(database))]);
  return await readSchedule(database, id, tenant);
}

/** What was deleted. Its tasks stay. Throws `schedule_not_found`. */
export async function deleteSchedule(database: Queryable, { id, tenant }: ScheduleRef): Promise<ScheduleRow> {
  const row = await readSchedule(database, id, tenant);
  const deleted = await database.query(DELETE, [id, tenant]);
  if (deleted.length === 0) throw notFound(id);
  return row;
}

/** Submits its task now, also while it is paused. Its times and its overlap policy play no part. Throws what a submission throws. */
export async function triggerSchedule(
  row: ScheduleRow,
  submitter: Pick<Submitter, "submit">,
  options: { readonly tenant: string; readonly idempotencyKey?: string | undefined },
): Promise<Submitted> {
  return await submitter.submit([taskOf(row)], options);
}
