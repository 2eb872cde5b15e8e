/** Schedules made directly in the state under test, and read back with their times as distances from now. */
import { v7 as uuidv7 } from "uuid";
import type { Database } from "../../runtime/postgres/pool.ts";
import { ask } from "./tasks.ts";

/** Times are distances in milliseconds: `…InMs` from now on, `…MsAgo` back. */
export type ScheduleColumns = {
  readonly name?: string;
  readonly tenant?: string;
  readonly task?: string;
  /** Exact JSON text, as `labels`. */
  readonly input?: string | null;
  readonly labels?: string | null;
  readonly queue?: string | null;
  readonly orderingKey?: string;
  readonly cron?: string;
  readonly timeZone?: string;
  readonly intervalMs?: number;
  readonly nextInMs?: number;
  /** Times of an interval are counted from `nextInMs`. */
  readonly catchUp?: string;
  readonly catchUpLimit?: number;
  readonly overlap?: string;
  readonly isPaused?: boolean;
  readonly isDisabled?: boolean;
  readonly lastTaskId?: string;
};

/** Inserts schedules in one statement and returns their ids, in order. Default: due now, every hour, the task `demo`. */
export async function createSchedules(database: Database, rows: readonly ScheduleColumns[]): Promise<string[]> {
  const complete = rows.map((columns) => ({ id: uuidv7(), ...DEFAULTS, name: uuidv7(), ...columns }));
  await ask(database, INSERT, [JSON.stringify(complete)]);
  return complete.map(({ id }) => id);
}

export async function createSchedule(database: Database, columns: ScheduleColumns = {}): Promise<string> {
  const [id] = await createSchedules(database, [columns]);
  if (id === undefined) throw new Error("expected the row that was inserted");
  return id;
}

export type ReadSchedule = {
  id: string;
  name: string;
  paused: boolean;
  disabled: boolean;
  problem: { code: string; message: string; at: string } | null;
  next_at: Date;
  next_in_ms: number;
  last_fired_for: Date | null;
  last_task_id: string | null;
  fired: number;
  overlapped: number;
};

export async function readSchedule(database: Database, id: string): Promise<ReadSchedule> {
  const [row] = await ask<ReadSchedule>(
    database,
    `select id, name, paused_at is not null as paused, disabled_at is not null as disabled, problem::jsonb as problem, next_at,
            (extract(epoch from next_at - now()) * 1000)::float8 as next_in_ms, last_fired_for, last_task_id,
            fired, overlapped
       from taskiq.schedule where id = $1`,
    [id],
  );
  if (row === undefined) throw new Error(`expected a row of schedule ${id}, there is none`);
  return row;
}

const DEFAULTS = {
  tenant: "default",
  task: "demo",
  nextInMs: 0,
  catchUp: "one",
  catchUpLimit: 100,
  overlap: "allow",
  isPaused: false,
  isDisabled: false,
} as const satisfies ScheduleColumns;

/** `next_at` in whole milliseconds, as everything that writes it does. */
const INSERT = `
insert into taskiq.schedule (
  id, tenant, name, task, input, labels, queue, ordering_key, cron, time_zone, interval_ms, anchor_at, next_at, catch_up, catch_up_limit, overlap,
  paused_at, disabled_at, problem, last_fired_for, last_task_id
)
select (r->>'id')::uuid, r->>'tenant', r->>'name', r->>'task', (r->>'input')::json, (r->>'labels')::json, r->>'queue', r->>'orderingKey', r->>'cron',
       case when r->>'cron' is not null then coalesce(r->>'timeZone', 'UTC') end,
       case when r->>'cron' is null then coalesce((r->>'intervalMs')::bigint, 3600000) end,
       at, at, r->>'catchUp', (r->>'catchUpLimit')::int, r->>'overlap',
       case when (r->>'isPaused')::boolean then now() end,
       case when (r->>'isDisabled')::boolean then now() end,
       case when (r->>'isDisabled')::boolean then '{"code":"unknown_task","message":"?","at":"2026-01-01T00:00:00Z"}'::json end,
       case when r->>'lastTaskId' is not null then at - interval '1 hour' end,
       (r->>'lastTaskId')::uuid
  from jsonb_array_elements($1::jsonb) r
 cross join lateral (
   select date_trunc('milliseconds', now() + (r->>'nextInMs')::float8 * interval '1 millisecond') as at
 ) due`;
