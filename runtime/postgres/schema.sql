-- The schema that the migrations make. Generated: change it by a migration and run: npm run schema
-- The search path is pg_catalog alone, so every name is complete.

create type taskiq.outbox_kind as enum ('doorbell', 'result', 'dead_letter');

create type taskiq.task_state as enum ('blocked', 'queued', 'running', 'succeeded', 'failed', 'cancelled', 'skipped');

create sequence taskiq.outbox_id_seq as bigint;

create table taskiq.attempt (
  task_id uuid not null,
  attempt integer not null,
  outcome text not null,
  worker text,
  error json,
  started_at timestamp with time zone,
  ended_at timestamp with time zone default now() not null,
  constraint attempt_pkey PRIMARY KEY (task_id, attempt),
  constraint outcome_known CHECK ((outcome = ANY (ARRAY['failed'::text, 'retried'::text, 'lost'::text, 'released'::text, 'cancelled'::text])))
);

create table taskiq.idempotency (
  namespace text not null,
  key text not null,
  request_hash bytea not null,
  task_id uuid not null,
  expires_at timestamp with time zone not null,
  constraint idempotency_pkey PRIMARY KEY (namespace, key)
);

create table taskiq.migration (
  number integer not null,
  name text not null,
  sha256 text not null,
  applied_at timestamp with time zone default now() not null,
  constraint migration_pkey PRIMARY KEY (number)
);

create table taskiq.outbox (
  id bigint default nextval('taskiq.outbox_id_seq'::regclass) not null,
  kind taskiq.outbox_kind not null,
  task_id uuid not null,
  queue text not null,
  send_at timestamp with time zone not null,
  created_at timestamp with time zone default now() not null,
  constraint outbox_pkey PRIMARY KEY (id),
  constraint one_message_per_task_and_kind UNIQUE (task_id, kind)
) with (fillfactor=70, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=5000);

create table taskiq.task (
  id uuid not null,
  wire_id text,
  name text not null,
  queue text not null,
  tenant text default 'default'::text not null,
  state taskiq.task_state not null,
  attempt integer default 0 not null,
  failures integer default 0 not null,
  losses integer default 0 not null,
  priority smallint default 0 not null,
  group_key text,
  limit_keys text[],
  labels json,
  trace_context text,
  input json,
  input_ref text,
  result json,
  result_ref text,
  error json,
  reply_key text,
  worker text,
  lease_until timestamp with time zone,
  not_before timestamp with time zone default now() not null,
  rank timestamp with time zone generated always as (taskiq.rank_of(not_before, priority)) stored not null,
  announced_at timestamp with time zone,
  rings smallint default 0 not null,
  cancel_requested_at timestamp with time zone,
  cancel_reason text,
  timeout_ms integer not null,
  grace_ms integer not null,
  max_attempts integer not null,
  backoff_ms integer not null,
  max_backoff_ms integer not null,
  max_losses integer default 5 not null,
  isolation text default 'inline'::text not null,
  on_lost text default 'requeue'::text not null,
  run_id uuid,
  step_key text,
  pending_parents integer default 0 not null,
  progress real,
  progress_message text,
  created_at timestamp with time zone default now() not null,
  started_at timestamp with time zone,
  finished_at timestamp with time zone,
  constraint task_pkey PRIMARY KEY (id),
  constraint blocked_waits_for_parents CHECK (((state <> 'blocked'::taskiq.task_state) OR (pending_parents > 0))),
  constraint cancel_flag_never_queued CHECK (((cancel_requested_at IS NULL) OR (state <> 'queued'::taskiq.task_state))),
  constraint counters_never_negative CHECK (((attempt >= 0) AND (failures >= 0) AND (losses >= 0))),
  constraint failed_has_error CHECK (((state <> 'failed'::taskiq.task_state) OR (error IS NOT NULL))),
  constraint finished_at_only_when_finished CHECK (((state = ANY (ARRAY['succeeded'::taskiq.task_state, 'failed'::taskiq.task_state, 'cancelled'::taskiq.task_state, 'skipped'::taskiq.task_state])) = (finished_at IS NOT NULL))),
  constraint input_inline_or_stored CHECK (((input IS NULL) OR (input_ref IS NULL))),
  constraint isolation_known CHECK ((isolation = ANY (ARRAY['inline'::text, 'process'::text]))),
  constraint on_lost_known CHECK ((on_lost = ANY (ARRAY['requeue'::text, 'fail'::text]))),
  constraint priority_in_range CHECK (((priority >= '-100'::integer) AND (priority <= 100))),
  constraint queued_is_announced CHECK (((state <> 'queued'::taskiq.task_state) OR (announced_at IS NOT NULL))),
  constraint result_inline_or_stored CHECK (((result IS NULL) OR (result_ref IS NULL))),
  constraint result_only_when_succeeded CHECK ((((result IS NULL) AND (result_ref IS NULL)) OR (state = 'succeeded'::taskiq.task_state))),
  constraint runnable_waits_for_no_parent CHECK (((state <> ALL (ARRAY['queued'::taskiq.task_state, 'running'::taskiq.task_state])) OR (pending_parents = 0))),
  constraint running_has_lease CHECK (((state = 'running'::taskiq.task_state) = ((lease_until IS NOT NULL) AND (worker IS NOT NULL)))),
  constraint step_belongs_to_run CHECK (((run_id IS NULL) = (step_key IS NULL)))
) with (fillfactor=85, autovacuum_vacuum_scale_factor=0.02, autovacuum_analyze_scale_factor=0.05);

create table taskiq.turn (
  name text not null,
  number bigint default 1 not null,
  taken_at timestamp with time zone default now() not null,
  memory json,
  constraint turn_pkey PRIMARY KEY (name)
) with (fillfactor=50);

create table taskiq.worker (
  name text not null,
  version text not null,
  queues text[] not null,
  slots integer not null,
  running integer default 0 not null,
  draining boolean default false not null,
  started_at timestamp with time zone default now() not null,
  beat_at timestamp with time zone default now() not null,
  revision integer,
  constraint worker_pkey PRIMARY KEY (name)
) with (fillfactor=50);

CREATE INDEX idempotency_expired ON taskiq.idempotency USING btree (expires_at);

CREATE INDEX outbox_due ON taskiq.outbox USING btree (send_at, id);

CREATE INDEX task_due ON taskiq.task USING btree (queue, not_before) WHERE (state = 'queued'::taskiq.task_state);

CREATE INDEX task_finished ON taskiq.task USING btree (finished_at) WHERE (finished_at IS NOT NULL);

CREATE INDEX task_queued ON taskiq.task USING btree (queue, announced_at) WHERE (state = 'queued'::taskiq.task_state);

CREATE INDEX task_running ON taskiq.task USING btree (id) WHERE (state = 'running'::taskiq.task_state);

CREATE INDEX task_struggling ON taskiq.task USING btree (id) WHERE ((state = ANY (ARRAY['queued'::taskiq.task_state, 'running'::taskiq.task_state])) AND (attempt >= 3));

CREATE OR REPLACE FUNCTION taskiq.rank_of(due timestamp with time zone, priority smallint)
 RETURNS timestamp with time zone
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN (due - make_interval(secs => ((priority * 60))::double precision));

comment on index taskiq.idempotency_expired is 'prune-idempotency.sql: expired keys, oldest first';

comment on index taskiq.outbox_due is 'lease-outbox.sql: what is due, oldest first';

comment on index taskiq.task_due is 'read-health.sql: the oldest due row of a queue';

comment on index taskiq.task_finished is 'prune.sql: terminal rows, oldest first';

comment on index taskiq.task_queued is 'ring-again.sql: the queued rows whose doorbell is oldest';

comment on index taskiq.task_running is 'reap.sql: every running row, few at a time';

comment on index taskiq.task_struggling is 'read-backlog.sql: unfinished tasks on their third attempt or a later one';
