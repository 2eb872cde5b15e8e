-- Tasks, their outbox, their unsuccessful attempts, idempotency keys and the worker registry.
--
-- Lock order, everywhere: run -> limit key -> task -> outbox, each in id order (DESIGN §5).
-- A row of `task` is the truth about one task; a message on SQS only says that the row may be runnable.

create type taskiq.task_state as enum
  ('blocked', 'queued', 'running', 'succeeded', 'failed', 'cancelled', 'skipped');

create type taskiq.outbox_kind as enum ('doorbell', 'result', 'dead_letter');

-- Due time minus one minute a priority level (agingMs). Declared immutable so that a generated column may use it: an interval
-- of seconds only does not depend on the time zone.
create function taskiq.rank_of(due timestamptz, priority smallint) returns timestamptz
  language sql immutable parallel safe
  return due - make_interval(secs => priority * 60);

create table taskiq.task (
  id                  uuid primary key,
  -- What a foreign producer called the task, where that is not the id itself in 32 hex digits.
  wire_id             text,
  name                text not null,
  queue               text not null,
  tenant              text not null default 'default',
  state               taskiq.task_state not null,

  -- attempt counts claims and is the fence: it is never reset. failures is what the retry policy reads;
  -- losses counts leases lost by a dead worker. Drains and outages cost neither.
  attempt             integer not null default 0,
  failures            integer not null default 0,
  losses              integer not null default 0,

  priority            smallint not null default 0,
  group_key           text,
  limit_keys          text[],
  labels              json,
  trace_context       text,

  -- json, not jsonb: the exact text survives (U+0000, lone surrogates, 1.0, -0.0, integers beyond 2^53, key order).
  -- A value above the inline limit is in S3 and *_ref is its key.
  input               json,
  input_ref           text,
  result              json,
  result_ref          text,
  error               json,
  -- Object key at which a foreign producer looks for its TaskiqResult; null for our own tasks.
  reply_key           text,

  worker              text,
  lease_until         timestamptz,
  not_before          timestamptz not null default now(),
  -- Static, so one index can order a queue and nothing starves.
  rank                timestamptz not null generated always as (taskiq.rank_of(not_before, priority)) stored,
  -- When the doorbell was rung, or is due to be: the outbox row written with it owns the ringing.
  announced_at        timestamptz,
  rings               smallint not null default 0,

  cancel_requested_at timestamptz,
  cancel_reason       text,

  -- Snapshots of the definition: the reaper and the claim may not know it.
  timeout_ms          integer not null,
  grace_ms            integer not null,
  max_attempts        integer not null,
  backoff_ms          integer not null,
  max_backoff_ms      integer not null,
  max_losses          integer not null default 5,
  isolation           text not null default 'inline',
  on_lost             text not null default 'requeue',

  run_id              uuid,
  step_key            text,
  pending_parents     integer not null default 0,

  progress            real,
  progress_message    text,

  created_at          timestamptz not null default now(),
  started_at          timestamptz,
  finished_at         timestamptz,

  constraint running_has_lease check ((state = 'running') = (lease_until is not null and worker is not null)),
  constraint finished_at_only_when_finished
    check ((state in ('succeeded', 'failed', 'cancelled', 'skipped')) = (finished_at is not null)),
  constraint blocked_waits_for_parents check (state <> 'blocked' or pending_parents > 0),
  constraint runnable_waits_for_no_parent check (state not in ('queued', 'running') or pending_parents = 0),
  constraint cancel_flag_never_queued check (cancel_requested_at is null or state <> 'queued'),
  constraint queued_is_announced check (state <> 'queued' or announced_at is not null),
  constraint result_only_when_succeeded
    check ((result is null and result_ref is null) or state = 'succeeded'),
  constraint failed_has_error check (state <> 'failed' or error is not null),
  constraint input_inline_or_stored check (input is null or input_ref is null),
  constraint result_inline_or_stored check (result is null or result_ref is null),
  constraint counters_never_negative check (attempt >= 0 and failures >= 0 and losses >= 0),
  constraint step_belongs_to_run check ((run_id is null) = (step_key is null)),
  constraint priority_in_range check (priority between -100 and 100),
  constraint isolation_known check (isolation in ('inline', 'process')),
  constraint on_lost_known check (on_lost in ('requeue', 'fail'))
) with (
  -- Room on the page keeps the heartbeat's update HOT.
  fillfactor = 85,
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_analyze_scale_factor = 0.05
);

-- lease_until, progress and the counters carry no index: an index on a heartbeat column ends HOT updates.
create index task_queued on taskiq.task (queue, announced_at) where state = 'queued';
comment on index taskiq.task_queued is 'ring-again.sql: the queued rows whose doorbell is oldest';
create index task_due on taskiq.task (queue, not_before) where state = 'queued';
comment on index taskiq.task_due is 'read-health.sql: the oldest due row of a queue';
create index task_running on taskiq.task (id) where state = 'running';
comment on index taskiq.task_running is 'reap.sql: every running row, few at a time';
create index task_finished on taskiq.task (finished_at) where finished_at is not null;
comment on index taskiq.task_finished is 'prune.sql: terminal rows, oldest first';

create table taskiq.outbox (
  id      bigserial primary key,
  kind    taskiq.outbox_kind not null,
  task_id uuid not null,
  queue   text not null,
  send_at timestamptz not null,
  constraint one_message_per_task_and_kind unique (task_id, kind)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
create index outbox_due on taskiq.outbox (send_at, id);
comment on index taskiq.outbox_due is 'lease-outbox.sql: what is due, oldest first';

-- Only unsuccessful attempts: the happy path writes nothing extra.
create table taskiq.attempt (
  task_id    uuid not null,
  attempt    integer not null,
  outcome    text not null,
  worker     text,
  error      json,
  started_at timestamptz,
  ended_at   timestamptz not null default now(),
  primary key (task_id, attempt),
  constraint outcome_known check (outcome in ('failed', 'retried', 'lost', 'released', 'cancelled'))
);

create table taskiq.idempotency (
  namespace    text not null,
  key          text not null,
  request_hash bytea not null,
  task_id      uuid not null,
  expires_at   timestamptz not null,
  primary key (namespace, key)
);
create index idempotency_expired on taskiq.idempotency (expires_at);
comment on index taskiq.idempotency_expired is 'prune-idempotency.sql: expired keys, oldest first';

create table taskiq.worker (
  name       text primary key,
  version    text not null,
  queues     text[] not null,
  slots      integer not null,
  running    integer not null default 0,
  draining   boolean not null default false,
  started_at timestamptz not null default now(),
  beat_at    timestamptz not null default now()
) with (fillfactor = 50);
