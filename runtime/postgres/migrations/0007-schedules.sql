-- Schedules: tasks that are made again and again, by a cron expression in a time zone or every so often.

create table taskiq.schedule (
  id              uuid primary key,
  tenant          text not null default 'default',
  name            text not null,

  -- What its tasks are. Null: the task's own queue and priority, as they are when it fires.
  task            text not null,
  input           json,
  queue           text,
  priority        smallint,
  ordering_key    text,
  labels          json,

  cron            text,
  time_zone       text,
  interval_ms     bigint,
  -- The times of an interval are counted from here.
  anchor_at       timestamptz not null,

  catch_up        text not null default 'one',
  catch_up_limit  integer not null default 100,
  overlap         text not null default 'allow',

  paused_at       timestamptz,
  -- By the executor, because its task cannot be made; the problem says why. A problem without it is still being retried.
  disabled_at     timestamptz,
  problem         json,

  -- The fence of a firing: whoever moves it on makes the tasks.
  next_at         timestamptz not null,
  -- The last time that became a task, and that task.
  last_fired_for  timestamptz,
  last_task_id    uuid,
  fired           bigint not null default 0,
  -- Times left out because the task of an earlier one had not ended.
  overlapped      bigint not null default 0,

  -- Of the request that made it, where that had an idempotency key.
  request_hash    bytea,
  created_at      timestamptz not null default now(),

  constraint one_schedule_per_name unique (tenant, name),
  constraint cron_or_interval check ((cron is null) <> (interval_ms is null)),
  constraint cron_has_time_zone check ((cron is null) = (time_zone is null)),
  constraint interval_in_range check (interval_ms between 1000 and 31536000000),
  constraint schedule_priority_in_range check (priority between -100 and 100),
  constraint catch_up_known check (catch_up in ('skip', 'one', 'all')),
  constraint catch_up_is_bounded check (catch_up_limit between 1 and 100),
  constraint overlap_known check (overlap in ('allow', 'skip')),
  constraint disabled_has_problem check (disabled_at is null or problem is not null),
  constraint fired_has_task check ((last_fired_for is null) = (last_task_id is null)),
  constraint firings_never_negative check (fired >= 0 and overlapped >= 0)
) with (fillfactor = 70);

create index schedule_due on taskiq.schedule (next_at, id) where paused_at is null and disabled_at is null;
comment on index taskiq.schedule_due is 'schedule-due.sql: what is due, oldest first';
