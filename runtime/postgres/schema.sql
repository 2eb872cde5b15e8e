-- The schema that the migrations make. Generated: change it by a migration and run: npm run schema
-- The search path is pg_catalog alone, so every name is complete.

create type taskiq.outbox_kind as enum ('doorbell', 'result', 'dead_letter');

create type taskiq.run_state as enum ('running', 'succeeded', 'failed', 'cancelled');

create type taskiq.task_state as enum ('blocked', 'queued', 'running', 'succeeded', 'failed', 'cancelled', 'skipped');

create sequence taskiq.audit_id_seq as bigint;

create sequence taskiq.outbox_id_seq as bigint;

create table taskiq.api_key (
  id text not null,
  hash bytea not null,
  name text not null,
  tenant text not null,
  scopes text[] not null,
  slot smallint not null,
  created_at timestamp with time zone default now() not null,
  created_by text not null,
  expires_at timestamp with time zone,
  revoked_at timestamp with time zone,
  revoked_by text,
  last_used_at timestamp with time zone,
  constraint api_key_pkey PRIMARY KEY (id),
  constraint hash_is_sha256 CHECK ((octet_length(hash) = 32)),
  constraint scopes_known CHECK (((scopes <@ ARRAY['enqueue'::text, 'read'::text, 'operate'::text, 'command'::text, 'admin'::text]) AND (scopes <> '{}'::text[]))),
  constraint slot_known CHECK ((slot = ANY (ARRAY[1, 2])))
);

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

create table taskiq.audit (
  id bigint default nextval('taskiq.audit_id_seq'::regclass) not null,
  at timestamp with time zone default now() not null,
  actor text not null,
  tenant text not null,
  action text not null,
  target text,
  detail json,
  constraint audit_pkey PRIMARY KEY (id)
);

create table taskiq.edge (
  parent uuid not null,
  child uuid not null,
  optional boolean default false not null,
  constraint edge_pkey PRIMARY KEY (parent, child)
);

create table taskiq.idempotency (
  namespace text not null,
  key text not null,
  request_hash bytea not null,
  task_id uuid not null,
  expires_at timestamp with time zone not null,
  constraint idempotency_pkey PRIMARY KEY (namespace, key)
);

create table taskiq.limit_key (
  key text not null,
  running integer default 0 not null,
  max integer,
  interval_ms double precision,
  next_token_at timestamp with time zone default '-infinity'::timestamp with time zone not null,
  used_at timestamp with time zone default now() not null,
  constraint limit_key_pkey PRIMARY KEY (key),
  constraint interval_is_positive CHECK (((interval_ms IS NULL) OR (interval_ms > (0)::double precision))),
  constraint never_more_than_max CHECK (((running >= 0) AND ((max IS NULL) OR (running <= max))))
) with (fillfactor=50);

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

create table taskiq.paused_queue (
  queue text not null,
  paused_at timestamp with time zone default now() not null,
  paused_by text,
  constraint paused_queue_pkey PRIMARY KEY (queue)
);

create table taskiq.queue_definition (
  name text not null,
  is_fifo boolean not null,
  by_rank boolean not null,
  max integer,
  interval_ms double precision,
  changed_at timestamp with time zone default now() not null,
  constraint queue_definition_pkey PRIMARY KEY (name)
);

create table taskiq.run (
  id uuid not null,
  tenant text default 'default'::text not null,
  job text,
  mode text default 'orchestrated'::text not null,
  state taskiq.run_state default 'running'::taskiq.run_state not null,
  priority smallint default 0 not null,
  input json,
  input_ref text,
  graph json not null,
  labels json,
  trace_context text,
  parent_run_id uuid,
  root_run_id uuid not null,
  steps integer not null,
  open_steps integer not null,
  failed_steps integer default 0 not null,
  cancelled_steps integer default 0 not null,
  skipped_steps integer default 0 not null,
  cancel_requested_at timestamp with time zone,
  cancel_reason text,
  deadline_at timestamp with time zone,
  on_finished uuid,
  error json,
  outcome taskiq.run_state,
  created_at timestamp with time zone default now() not null,
  finished_at timestamp with time zone,
  constraint run_pkey PRIMARY KEY (id),
  constraint finished_run_has_no_open_step CHECK ((((state = 'running'::taskiq.run_state) = (finished_at IS NULL)) AND ((state = 'running'::taskiq.run_state) OR (open_steps = 0)))),
  constraint run_input_inline_or_stored CHECK (((input IS NULL) OR (input_ref IS NULL))),
  constraint run_mode_known CHECK ((mode = ANY (ARRAY['orchestrated'::text, 'simple'::text]))),
  constraint run_priority_in_range CHECK (((priority >= '-100'::integer) AND (priority <= 100))),
  constraint step_counts_add_up CHECK (((open_steps >= 0) AND (failed_steps >= 0) AND (cancelled_steps >= 0) AND (skipped_steps >= 0) AND ((((open_steps + failed_steps) + cancelled_steps) + skipped_steps) <= steps)))
) with (fillfactor=50);

create table taskiq.schedule (
  id uuid not null,
  tenant text default 'default'::text not null,
  name text not null,
  task text not null,
  input json,
  queue text,
  priority smallint,
  ordering_key text,
  labels json,
  cron text,
  time_zone text,
  interval_ms bigint,
  anchor_at timestamp with time zone not null,
  catch_up text default 'one'::text not null,
  catch_up_limit integer default 100 not null,
  overlap text default 'allow'::text not null,
  paused_at timestamp with time zone,
  disabled_at timestamp with time zone,
  problem json,
  next_at timestamp with time zone not null,
  last_fired_for timestamp with time zone,
  last_task_id uuid,
  fired bigint default 0 not null,
  overlapped bigint default 0 not null,
  request_hash bytea,
  created_at timestamp with time zone default now() not null,
  constraint schedule_pkey PRIMARY KEY (id),
  constraint one_schedule_per_name UNIQUE (tenant, name),
  constraint catch_up_is_bounded CHECK (((catch_up_limit >= 1) AND (catch_up_limit <= 100))),
  constraint catch_up_known CHECK ((catch_up = ANY (ARRAY['skip'::text, 'one'::text, 'all'::text]))),
  constraint cron_has_time_zone CHECK (((cron IS NULL) = (time_zone IS NULL))),
  constraint cron_or_interval CHECK (((cron IS NULL) <> (interval_ms IS NULL))),
  constraint disabled_has_problem CHECK (((disabled_at IS NULL) OR (problem IS NOT NULL))),
  constraint fired_has_task CHECK (((last_fired_for IS NULL) = (last_task_id IS NULL))),
  constraint firings_never_negative CHECK (((fired >= 0) AND (overlapped >= 0))),
  constraint interval_in_range CHECK (((interval_ms >= 1000) AND (interval_ms <= '31536000000'::bigint))),
  constraint overlap_known CHECK ((overlap = ANY (ARRAY['allow'::text, 'skip'::text]))),
  constraint schedule_priority_in_range CHECK (((priority >= '-100'::integer) AND (priority <= 100)))
) with (fillfactor=70);

create table taskiq.submit_limits (
  is_only_row boolean default true not null,
  inline_payload_bytes integer default 65536 not null,
  max_delay_ms bigint default '31536000000'::bigint not null,
  idempotency_ttl_ms bigint default 86400000 not null,
  constraint submit_limits_pkey PRIMARY KEY (is_only_row),
  constraint one_row_at_most CHECK (is_only_row)
);

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
  ordered_at timestamp with time zone,
  by_rank boolean default false not null,
  parked_on text,
  has_token boolean default false not null,
  step json,
  on_parent_failure text,
  parents_failed integer,
  parents_skipped integer,
  elements integer,
  reply_labels json,
  constraint task_pkey PRIMARY KEY (id),
  constraint blocked_waits_for_parents CHECK (((state <> 'blocked'::taskiq.task_state) OR (pending_parents > 0))),
  constraint cancel_flag_never_queued CHECK (((cancel_requested_at IS NULL) OR (state <> 'queued'::taskiq.task_state))),
  constraint counters_never_negative CHECK (((attempt >= 0) AND (failures >= 0) AND (losses >= 0))),
  constraint failed_has_error CHECK (((state <> 'failed'::taskiq.task_state) OR (error IS NOT NULL))),
  constraint finished_at_only_when_finished CHECK (((state = ANY (ARRAY['succeeded'::taskiq.task_state, 'failed'::taskiq.task_state, 'cancelled'::taskiq.task_state, 'skipped'::taskiq.task_state])) = (finished_at IS NOT NULL))),
  constraint grouped_has_order CHECK (((group_key IS NULL) = (ordered_at IS NULL))),
  constraint input_inline_or_stored CHECK (((input IS NULL) OR (input_ref IS NULL))),
  constraint isolation_known CHECK ((isolation = ANY (ARRAY['inline'::text, 'process'::text, 'command'::text]))) NOT VALID,
  constraint on_lost_known CHECK ((on_lost = ANY (ARRAY['requeue'::text, 'fail'::text]))),
  constraint on_parent_failure_known CHECK ((on_parent_failure = ANY (ARRAY['skip'::text, 'cancel'::text, 'run'::text]))) NOT VALID,
  constraint parked_is_queued CHECK (((parked_on IS NULL) OR (state = 'queued'::taskiq.task_state))),
  constraint priority_in_range CHECK (((priority >= '-100'::integer) AND (priority <= 100))),
  constraint queued_is_announced CHECK (((state <> 'queued'::taskiq.task_state) OR (announced_at IS NOT NULL))),
  constraint result_inline_or_stored CHECK (((result IS NULL) OR (result_ref IS NULL))),
  constraint result_only_when_succeeded CHECK ((((result IS NULL) AND (result_ref IS NULL)) OR (state = 'succeeded'::taskiq.task_state))),
  constraint runnable_waits_for_no_parent CHECK (((state <> ALL (ARRAY['queued'::taskiq.task_state, 'running'::taskiq.task_state])) OR (pending_parents = 0))),
  constraint running_has_lease CHECK (((state = 'running'::taskiq.task_state) = ((lease_until IS NOT NULL) AND (worker IS NOT NULL)))),
  constraint step_belongs_to_run CHECK (((run_id IS NULL) = (step_key IS NULL)))
) with (fillfactor=85, autovacuum_vacuum_scale_factor=0.02, autovacuum_analyze_scale_factor=0.05);

create table taskiq.task_definition (
  name text not null,
  queue text not null,
  priority smallint not null,
  timeout_ms integer not null,
  grace_ms integer not null,
  max_attempts integer not null,
  backoff_ms integer not null,
  max_backoff_ms integer not null,
  max_losses integer not null,
  isolation text not null,
  on_lost text not null,
  limits json not null,
  makes_keys boolean not null,
  changed_at timestamp with time zone default now() not null,
  constraint task_definition_pkey PRIMARY KEY (name)
);

create table taskiq.tombstone (
  id uuid not null,
  reason text,
  created_at timestamp with time zone default now() not null,
  constraint tombstone_pkey PRIMARY KEY (id)
);

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

CREATE INDEX api_key_by_tenant ON taskiq.api_key USING btree (tenant, created_at);

CREATE INDEX audit_age ON taskiq.audit USING btree (at);

CREATE INDEX audit_by_tenant ON taskiq.audit USING btree (tenant, id);

CREATE INDEX idempotency_expired ON taskiq.idempotency USING btree (expires_at);

CREATE UNIQUE INDEX one_running_task_per_group ON taskiq.task USING btree (queue, group_key) WHERE ((group_key IS NOT NULL) AND (state = 'running'::taskiq.task_state));

CREATE INDEX outbox_due ON taskiq.outbox USING btree (send_at, id);

CREATE INDEX run_by_creation ON taskiq.run USING btree (tenant, created_at, id);

CREATE INDEX run_by_parent ON taskiq.run USING btree (parent_run_id) WHERE (parent_run_id IS NOT NULL);

CREATE INDEX run_finished ON taskiq.run USING btree (finished_at) WHERE (finished_at IS NOT NULL);

CREATE INDEX run_open ON taskiq.run USING btree (created_at, id) WHERE (state = 'running'::taskiq.run_state);

CREATE INDEX schedule_due ON taskiq.schedule USING btree (next_at, id) WHERE ((paused_at IS NULL) AND (disabled_at IS NULL));

CREATE INDEX task_by_rank ON taskiq.task USING btree (queue, rank, id) WHERE (by_rank AND (state = 'queued'::taskiq.task_state));

CREATE INDEX task_by_run ON taskiq.task USING btree (run_id, id) WHERE (run_id IS NOT NULL);

CREATE INDEX task_by_state ON taskiq.task USING btree (state, created_at, id) WHERE (state = ANY (ARRAY['blocked'::taskiq.task_state, 'queued'::taskiq.task_state, 'failed'::taskiq.task_state, 'cancelled'::taskiq.task_state, 'skipped'::taskiq.task_state]));

CREATE INDEX task_due ON taskiq.task USING btree (queue, not_before) WHERE (state = 'queued'::taskiq.task_state);

CREATE INDEX task_finished ON taskiq.task USING btree (finished_at) WHERE (finished_at IS NOT NULL);

CREATE INDEX task_foreign ON taskiq.task USING btree (created_at, id) WHERE ((get_byte(uuid_send(id), 6) & 240) <> 112);

CREATE INDEX task_group ON taskiq.task USING btree (queue, group_key, ordered_at, id) WHERE ((group_key IS NOT NULL) AND (state = 'queued'::taskiq.task_state));

CREATE INDEX task_parked ON taskiq.task USING btree (parked_on, rank, id) WHERE (parked_on IS NOT NULL);

CREATE INDEX task_queued ON taskiq.task USING btree (queue, announced_at) WHERE (state = 'queued'::taskiq.task_state);

CREATE INDEX task_running ON taskiq.task USING btree (id) WHERE (state = 'running'::taskiq.task_state);

CREATE INDEX task_struggling ON taskiq.task USING btree (id) WHERE ((state = ANY (ARRAY['queued'::taskiq.task_state, 'running'::taskiq.task_state])) AND (attempt >= 3));

CREATE INDEX tombstone_age ON taskiq.tombstone USING btree (created_at);

CREATE UNIQUE INDEX two_live_keys_per_name ON taskiq.api_key USING btree (tenant, name, slot) WHERE (revoked_at IS NULL);

CREATE OR REPLACE FUNCTION taskiq.advance(ended uuid[], fast_path_ms double precision, worker text DEFAULT NULL::text, lease_ms double precision DEFAULT 0, known text[] DEFAULT '{}'::text[], offers text[] DEFAULT '{}'::text[])
 RETURNS TABLE(task taskiq.task, outbox_id bigint)
 LANGUAGE plpgsql
AS $function$
#variable_conflict use_column
declare
  frontier uuid[] := ended;
  -- Runs in which nothing is open any more.
  over     uuid[] := '{}';
  -- Steps that may run, in one order, and how many of their parents did not succeed.
  ready    uuid[] := '{}';
  ready_failed  integer[] := '{}';
  ready_skipped integer[] := '{}';
begin
  while cardinality(frontier) > 0 loop
    with counted as (
      select t.run_id,
             count(*)::integer as steps,
             (count(*) filter (where t.state = 'failed'))::integer as failed,
             (count(*) filter (where t.state = 'cancelled'))::integer as cancelled,
             (count(*) filter (where t.state = 'skipped'))::integer as skipped
        from taskiq.task t
       where t.id = any(frontier)
         and t.run_id is not null
       group by t.run_id
    ),
    told as (
      update taskiq.run r
         set open_steps = r.open_steps - c.steps,
             failed_steps = r.failed_steps + c.failed,
             cancelled_steps = r.cancelled_steps + c.cancelled,
             skipped_steps = r.skipped_steps + c.skipped
        from counted c
       where r.id = c.run_id
      returning r.id, r.open_steps
    )
    select over || coalesce(array_agg(id) filter (where open_steps = 0), '{}') into over from told;

    -- By number: a child of two parents that end together is touched once.
    with gone as materialized (
      select e.child,
             count(*)::integer as parents,
             (count(*) filter (where p.state in ('failed', 'cancelled') and not e.optional))::integer as failed,
             (count(*) filter (where p.state = 'skipped' and not e.optional))::integer as skipped
        from taskiq.task p
        join taskiq.edge e on e.parent = p.id
       where p.id = any(frontier)
       group by e.child
    ),
    next as materialized (
      select t.id,
             gone.parents,
             coalesce(t.parents_failed, 0) + gone.failed as failed,
             coalesce(t.parents_skipped, 0) + gone.skipped as skipped,
             case
               when t.pending_parents > gone.parents then 'blocked'
               when t.elements is not null then
                 case when coalesce(t.parents_failed, 0) + gone.failed > 0 then 'failed' else 'succeeded' end
               when t.on_parent_failure = 'run' then 'queued'
               when coalesce(t.parents_failed, 0) + gone.failed > 0 then
                 case t.on_parent_failure when 'cancel' then 'cancelled' else 'skipped' end
               when coalesce(t.parents_skipped, 0) + gone.skipped > 0 then 'skipped'
               else 'queued'
             end::taskiq.task_state as state
        from taskiq.task t
        join gone on gone.child = t.id
       where t.id = any(array(select child from gone))
         and t.state::text = 'blocked'
    ),
    moved as (
      update taskiq.task t
         set pending_parents = t.pending_parents - n.parents,
             parents_failed = nullif(n.failed, 0),
             parents_skipped = nullif(n.skipped, 0),
             state = n.state,
             finished_at = case when n.state <> 'blocked' then now() end,
             error = case n.state
               when 'failed' then json_build_object(
                 'code', 'elements_failed',
                 'type', 'ElementsFailed',
                 'message', format('%s of %s elements did not succeed.', n.failed, t.elements)
               )
               when 'cancelled' then json_build_object('code', 'parent_failed', 'type', 'Cancelled', 'message', 'A step that this one needs did not succeed.')
               else t.error
             end
        from next n
       where t.id = any(array(select id from next where state <> 'queued'))
         and t.id = n.id
      returning t.id, t.state
    )
    select (select coalesce(array_agg(id), '{}') from moved where state <> 'blocked'),
           ready || coalesce(array_agg(id), '{}'),
           ready_failed || coalesce(array_agg(next.failed), '{}'),
           ready_skipped || coalesce(array_agg(next.skipped), '{}')
      into frontier, ready, ready_failed, ready_skipped
      from next
     where state = 'queued';
  end loop;

  if cardinality(ready) > 0 then
    -- Written once: a step that is claimed is never seen queued.
    return query
    with readied as materialized (
      select * from unnest(ready, ready_failed, ready_skipped) as u (id, failed, skipped)
    ),
    offered as (
      select o.queue, count(*) as slots
        from unnest(offers) as o (queue)
       where not exists (select from taskiq.paused_queue p where p.queue = o.queue)
       group by o.queue
    ),
    chosen as materialized (
      select c.id
        from (
          select t.id, t.queue, row_number() over (partition by t.queue order by t.priority desc, t.id) as place
            from taskiq.task t
           where advance.worker is not null
             and t.id = any(ready)
             and t.name = any(known)
             and t.limit_keys is null
             and t.group_key is null
             and not t.by_rank
        ) c
        join offered on offered.queue = c.queue and c.place <= offered.slots
    ),
    started as (
      update taskiq.task t
         set pending_parents = 0,
             parents_failed = nullif(u.failed, 0),
             parents_skipped = nullif(u.skipped, 0),
             not_before = now(),
             announced_at = now(),
             ordered_at = case when t.group_key is not null then now() end,
             state = case when c.id is null then 'queued' else 'running' end::taskiq.task_state,
             attempt = t.attempt + case when c.id is null then 0 else 1 end,
             worker = case when c.id is null then t.worker else advance.worker end,
             lease_until = case when c.id is not null then now() + advance.lease_ms * interval '1 millisecond' end,
             started_at = case when c.id is null then t.started_at else clock_timestamp() end
        from readied u
        left join chosen c using (id)
       where t.id = any(ready)
         and t.id = u.id
      returning t, t.id, t.queue, t.rank, c.id is null as rung
    ),
    sent as (
      insert into taskiq.outbox (kind, task_id, queue, send_at)
      -- A FIFO queue has one sender: nobody else rings.
      select 'doorbell', id, queue, now() + case when (t).group_key is null then fast_path_ms else 0 end * interval '1 millisecond'
        from started
       where rung
       order by id
      on conflict (task_id, kind) do update set id = excluded.id, send_at = excluded.send_at
      returning task_id, id
    )
    select started.t, sent.id
      from started
      left join sent on sent.task_id = started.id
     order by started.rank, started.id;
  end if;

  if cardinality(over) > 0 then
    return query
    select t, s.outbox_id
      from taskiq.settle_runs(over, fast_path_ms) s
      join taskiq.task t on t.id = s.task_id;
  end if;
end
$function$;

CREATE OR REPLACE FUNCTION taskiq.check_labels(labels jsonb)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
declare
  label record;
  problem text;
begin
  if labels is null or labels = 'null' then
    return;
  end if;
  if jsonb_typeof(labels) <> 'object' then
    problem := format('options.labels: expected an object of texts, got %s', left(labels::text, 80));
  elsif (select count(*) from jsonb_object_keys(labels)) > 50 then
    problem := 'options.labels: expected at most 50 labels, got more';
  else
    for label in select e.key, e.value from jsonb_each(labels) as e order by e.key loop
      if char_length(label.key) > 200 then
        problem := format('options.labels: expected a name of at most 200 characters, got %s…', left(label.key, 80));
      elsif starts_with(label.key, 'taskiq_aws') then
        problem := format('options.labels.%s: expected another name, those that start with taskiq_aws are reserved', left(label.key, 80));
      elsif jsonb_typeof(label.value) <> 'string' then
        problem := format('options.labels.%s: expected a text, got %s', label.key, left(label.value::text, 80));
      elsif char_length(label.value #>> '{}') > 1000 then
        problem := format('options.labels.%s: expected at most 1000 characters, got %s', label.key, char_length(label.value #>> '{}'));
      end if;
      exit when problem is not null;
    end loop;
  end if;
  if problem is not null then
    perform taskiq.refuse('request_invalid', problem, 'Correct the label.');
  end if;
end
$function$;

CREATE OR REPLACE FUNCTION taskiq.check_limits(limits jsonb)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
begin
  if jsonb_typeof(limits) = 'array'
     and jsonb_array_length(limits) <= 4
     and not exists (
       select
         from jsonb_array_elements(limits) as e (value)
        where jsonb_typeof(e.value) <> 'object'
           or coalesce(jsonb_typeof(e.value -> 'key'), '') <> 'string'
           or char_length(e.value ->> 'key') not between 1 and 500
           or not (e.value @? '$.max ? (@ == null || @ >= 1 && @ <= 1000000)' or not e.value ? 'max')
           or not (e.value @? '$.interval_ms ? (@ == null || @ > 0)' or not e.value ? 'interval_ms')
     )
     and (select count(distinct e.value ->> 'key') = count(*) from jsonb_array_elements(limits) as e (value)) then
    return;
  end if;
  perform taskiq.refuse(
    'request_invalid',
    format('options.policy.limits: expected at most 4 limits of different keys, got %s', left(limits::text, 80)),
    'Write each as {"key": "…", "max": 3, "interval_ms": null}.'
  );
end
$function$;

CREATE OR REPLACE FUNCTION taskiq.enqueue(task text, input json, options json DEFAULT '{}'::json)
 RETURNS uuid
 LANGUAGE plpgsql
AS $function$
declare
  wanted       jsonb;
  policy       jsonb;
  unknown      text;
  limits       taskiq.submit_limits;
  definition   taskiq.task_definition;
  place        taskiq.queue_definition;
  -- Not now(), which is when the caller's transaction began.
  accepted_at  timestamptz := clock_timestamp();
  due_at       timestamptz;
  new_task     uuid;
  of_tenant    text;
  order_key    text;
  held_key     text;
  request_hash bytea;
  holder       record;
  tombstone    taskiq.tombstone;
  was_cancelled boolean;
begin
  begin
    wanted := coalesce(enqueue.options, '{}')::jsonb;
  exception when data_exception then
    perform taskiq.refuse(
      'request_invalid',
      format('options: expected values that Postgres can store, got an error: %s', sqlerrm),
      'Leave out U+0000, halves of surrogate pairs and numbers beyond numeric.'
    );
  end;
  if jsonb_typeof(wanted) <> 'object' then
    perform taskiq.refuse('request_invalid', format('options: expected an object, got %s', left(wanted::text, 80)), 'For example {"priority": 5}.');
  end if;
  policy := coalesce(nullif(wanted -> 'policy', 'null'), '{}');
  if jsonb_typeof(policy) <> 'object' then
    perform taskiq.refuse('request_invalid', format('options.policy: expected an object, got %s', left(policy::text, 80)), 'For example {"timeout_ms": 60000}.');
  end if;
  select min(name) into unknown from (
    select k.name
      from jsonb_object_keys(wanted) as k (name)
     where k.name <> all (array[
             'queue', 'priority', 'delay_seconds', 'not_before', 'ordering_key', 'labels', 'idempotency_key', 'tenant', 'id',
             'trace_context', 'policy'
           ])
    union all
    select 'policy.' || k.name
      from jsonb_object_keys(policy) as k (name)
     where k.name <> all (array[
             'queue', 'priority', 'timeout_ms', 'grace_ms', 'max_attempts', 'backoff_ms', 'max_backoff_ms', 'max_losses', 'isolation', 'on_lost',
             'limits'
           ])
  ) as names (name);
  if unknown is not null then
    perform taskiq.refuse(
      'request_invalid',
      format('options.%s: there is no such option', left(unknown, 80)),
      'Options: queue, priority, delay_seconds, not_before, ordering_key, labels, idempotency_key, tenant, id, trace_context, and policy with '
        || 'queue, priority, timeout_ms, grace_ms, max_attempts, backoff_ms, max_backoff_ms, max_losses, isolation, on_lost, limits.'
    );
  end if;

  select l.* into limits from taskiq.submit_limits l;
  select d.* into definition from taskiq.task_definition d where d.name = enqueue.task;
  if definition.name is null then
    if enqueue.task is null or enqueue.task !~ '^[A-Za-z0-9._:/-]{1,200}$' or not wanted ? 'policy' or wanted -> 'policy' = 'null' then
      perform taskiq.refuse(
        'unknown_task',
        format(
          'task: expected the name of a task, got %s. Known: %s',
          coalesce(to_json(left(enqueue.task, 80))::text, 'null'),
          coalesce((select string_agg(t.name, ', ' order by t.name) from (select d.name from taskiq.task_definition d order by d.name limit 20) t), 'none')
        ),
        'API and workers make their tasks known when they start. For one that none of them defines yet, give options.policy, {} at least.'
      );
    end if;
    -- The defaults of POLICY_LIMITS in runtime/model/task.ts.
    definition := row(enqueue.task, 'default', 0, 3600000, 10000, 3, 5000, 900000, 5, 'inline', 'requeue', '[]', false, now());
  end if;
  definition.queue := coalesce(taskiq.option_text(wanted, '{queue}', 200), taskiq.option_text(wanted, '{policy,queue}', 200), definition.queue);
  definition.priority := coalesce(
    taskiq.option_integer(wanted, '{priority}', -100, 100), taskiq.option_integer(wanted, '{policy,priority}', -100, 100), definition.priority
  );
  definition.timeout_ms := coalesce(taskiq.option_integer(wanted, '{policy,timeout_ms}', 1, 39600000), definition.timeout_ms);
  definition.grace_ms := coalesce(taskiq.option_integer(wanted, '{policy,grace_ms}', 0, 600000), definition.grace_ms);
  definition.max_attempts := coalesce(taskiq.option_integer(wanted, '{policy,max_attempts}', 1, 1000), definition.max_attempts);
  definition.backoff_ms := coalesce(taskiq.option_integer(wanted, '{policy,backoff_ms}', 0, 86400000), definition.backoff_ms);
  definition.max_backoff_ms := coalesce(taskiq.option_integer(wanted, '{policy,max_backoff_ms}', 0, 86400000), definition.max_backoff_ms);
  definition.max_losses := coalesce(taskiq.option_integer(wanted, '{policy,max_losses}', 0, 1000), definition.max_losses);
  definition.isolation := coalesce(taskiq.option_word(wanted, '{policy,isolation}', '{inline,process,command}'), definition.isolation);
  definition.on_lost := coalesce(taskiq.option_word(wanted, '{policy,on_lost}', '{requeue,fail}'), definition.on_lost);

  select q.* into place from taskiq.queue_definition q where q.name = definition.queue;
  if place.name is null then
    perform taskiq.refuse(
      'unknown_queue',
      format(
        'queue: expected one of %s, got %s',
        coalesce((select string_agg(q.name, ', ' order by q.name) from taskiq.queue_definition q), 'none'),
        to_json(left(definition.queue, 80))
      ),
      'API and workers make their queues known when they start (TASKIQ_QUEUES).'
    );
  end if;

  if nullif(policy -> 'limits', 'null') is not null then
    -- Whoever gives limits has made their keys.
    perform taskiq.check_limits(policy -> 'limits');
    definition.limits := policy -> 'limits';
  elsif definition.makes_keys then
    perform taskiq.refuse(
      'request_invalid',
      format('task: expected one whose limits SQL can know, got %s, whose limit keys are made from its input', enqueue.task),
      'Enqueue it from TypeScript with its definition, or give its limits in options.policy.limits.'
    );
  end if;
  if json_array_length(definition.limits) > 0 and (place.is_fifo or place.by_rank) then
    perform taskiq.refuse(
      'request_invalid',
      format('queue: expected a standard queue in the order "named", as %s has limits, got %s', enqueue.task, place.name),
      'Choose another queue.'
    );
  end if;
  if place.max is not null or place.interval_ms is not null then
    definition.limits := definition.limits::jsonb
      || jsonb_build_object('key', 'queue:' || place.name, 'max', place.max, 'interval_ms', place.interval_ms);
  end if;

  due_at := taskiq.option_due(wanted, accepted_at, limits.max_delay_ms);
  of_tenant := coalesce(taskiq.option_text(wanted, '{tenant}', 200), 'default');
  order_key := taskiq.option_text(wanted, '{ordering_key}', 200);
  held_key := taskiq.option_text(wanted, '{idempotency_key}', 255);
  perform taskiq.check_labels(wanted -> 'labels');
  if order_key is not null and not place.is_fifo then
    perform taskiq.refuse(
      'request_invalid',
      format('options.ordering_key: expected none, as the queue %s is not a FIFO queue', place.name),
      'Leave it out or choose a FIFO queue.'
    );
  end if;
  if octet_length(enqueue.input::text) > limits.inline_payload_bytes then
    perform taskiq.refuse(
      'payload_too_large',
      format('input: expected at most %s bytes, got %s', limits.inline_payload_bytes, octet_length(enqueue.input::text)),
      'Keep it in a row or an object of your own and enqueue its key: a transaction cannot store into S3. Or submit it to the API, or raise TASKIQ_INLINE_PAYLOAD_BYTES.'
    );
  end if;
  begin
    new_task := coalesce(taskiq.option_text(wanted, '{id}', 36)::uuid, taskiq.new_id(accepted_at));
  exception when invalid_text_representation then
    perform taskiq.refuse('request_invalid', format('options.id: expected a uuid, got %s', left(wanted ->> 'id', 80)), 'Leave it out to get a new one.');
  end;

  if held_key is not null then
    -- Without the trace, which every try has of its own, and the policy, which is another one after a deployment. The input by its text: what
    -- Postgres takes for equal JSON may differ for a handler.
    request_hash := sha256(convert_to(
      enqueue.task || e'\n' || (wanted - 'idempotency_key' - 'trace_context' - 'policy')::text || e'\n' || coalesce(enqueue.input::text, 'null'), 'UTF8'
    ));
    loop
      insert into taskiq.idempotency as held (namespace, key, request_hash, task_id, expires_at)
      values (of_tenant, held_key, request_hash, new_task, now() + limits.idempotency_ttl_ms * interval '1 millisecond')
      on conflict (namespace, key) do update
         set request_hash = excluded.request_hash,
             task_id = excluded.task_id,
             expires_at = excluded.expires_at
       where held.expires_at <= now();
      exit when found;
      -- In a statement of its own: the one above waited for whoever has the key, and its snapshot is older than that.
      select i.task_id, i.request_hash into holder
        from taskiq.idempotency i
       where i.namespace = of_tenant
         and i.key = held_key;
      -- Pruned in between: once more.
      continue when not found;
      if holder.request_hash <> request_hash then
        perform taskiq.refuse(
          'idempotency_mismatch',
          format('options.idempotency_key: expected the request that %s was first used with, got another one', to_json(held_key)),
          'Use a new key for a new request.'
        );
      end if;
      return holder.task_id;
    end loop;
  end if;

  -- Cancelled before it came: it is never announced, and the tombstone has done its work.
  delete from taskiq.tombstone s where s.id = new_task returning s.* into tombstone;
  was_cancelled := tombstone.id is not null;

  -- Before the row, as everywhere. A key that stands as it should is not locked; one that is new or has changed is until this transaction ends.
  insert into taskiq.limit_key as l (key, max, interval_ms)
  select x.key, x.max, x.interval_ms
    from json_to_recordset(definition.limits) as x (key text, max integer, interval_ms float8)
   order by x.key
  on conflict (key) do update
     set max = case when excluded.max is not null then greatest(excluded.max, l.running) end,
         interval_ms = excluded.interval_ms,
         used_at = now()
   where l.interval_ms is distinct from excluded.interval_ms
      or l.max is distinct from case when excluded.max is not null then greatest(excluded.max, l.running) end;

  insert into taskiq.task (
    id, name, queue, tenant, state, priority, labels, trace_context, input,
    created_at, not_before, announced_at, timeout_ms, grace_ms, max_attempts, backoff_ms, max_backoff_ms, max_losses, isolation, on_lost,
    group_key, ordered_at, by_rank, limit_keys, cancel_requested_at, cancel_reason, error, finished_at
  )
  values (
    new_task, enqueue.task, place.name, of_tenant,
    case when was_cancelled then 'cancelled' else 'queued' end::taskiq.task_state,
    definition.priority,
    case when coalesce(nullif(wanted -> 'labels', 'null'), '{}') <> '{}' then enqueue.options -> 'labels' end,
    taskiq.option_text(wanted, '{trace_context}', 1000),
    case when enqueue.input::text !~ '^\s*null\s*$' then enqueue.input end,
    accepted_at, due_at, due_at,
    definition.timeout_ms, definition.grace_ms, definition.max_attempts, definition.backoff_ms, definition.max_backoff_ms,
    definition.max_losses, definition.isolation, definition.on_lost,
    case when place.is_fifo then taskiq.group_of(of_tenant || '/' || coalesce(order_key, new_task::text)) end,
    case when place.is_fifo then due_at end,
    place.by_rank,
    nullif(array(select e.value ->> 'key' from json_array_elements(definition.limits) with ordinality as e (value, n) order by e.n), '{}'),
    tombstone.created_at, tombstone.reason,
    case when was_cancelled then json_build_object('code', 'cancelled', 'type', 'Cancelled', 'message', 'Cancelled before it ran.') end,
    case when was_cancelled then accepted_at end
  )
  on conflict (id) do nothing;
  if not found then
    perform taskiq.refuse('task_exists', format('options.id: expected an id that no task has, got %s', new_task), 'Leave it out to get a new one, or use idempotency_key to make a request once.');
  end if;

  if not was_cancelled then
    insert into taskiq.outbox (kind, task_id, queue, send_at, created_at)
    values ('doorbell', new_task, place.name, due_at, accepted_at);
  end if;
  return new_task;
end
$function$;

CREATE OR REPLACE FUNCTION taskiq.group_of(key text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN ((key COLLATE "C") ~ '^[!-~]{1,128}$'::text) THEN key ELSE ('sha256:'::text || encode(sha256(convert_to(key, 'UTF8'::name)), 'hex'::text)) END;

CREATE OR REPLACE FUNCTION taskiq.lock_runs(run_ids uuid[])
 RETURNS integer
 LANGUAGE plpgsql
AS $function$
declare
  locked integer;
begin
  with held as materialized (
    select r.id from taskiq.run r where r.id = any(run_ids) order by r.id for update
  )
  select count(*) into locked from held;
  return locked;
end
$function$;

CREATE OR REPLACE FUNCTION taskiq.new_id(at timestamp with time zone)
 RETURNS uuid
 LANGUAGE sql
 PARALLEL SAFE
RETURN (SELECT (encode(set_byte(set_byte(OVERLAY(uuid_send(gen_random_uuid()) PLACING SUBSTRING(int8send((moment.us / 1000)) FROM 3) FROM 1 FOR 6), 6, (112 | (((((moment.us % (1000)::bigint) * 4096) / 1000) >> 8))::integer)), 7, (((((moment.us % (1000)::bigint) * 4096) / 1000) & (255)::bigint))::integer), 'hex'::text))::uuid AS encode FROM (SELECT (floor((EXTRACT(epoch FROM new_id.at) * (1000000)::numeric)))::bigint AS us) moment);

CREATE OR REPLACE FUNCTION taskiq.option_due(options jsonb, at timestamp with time zone, max_delay_ms bigint)
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
AS $function$
declare
  delay jsonb := nullif(options -> 'delay_seconds', 'null');
  moment jsonb := nullif(options -> 'not_before', 'null');
  due timestamptz := at;
begin
  if delay is not null and moment is not null then
    perform taskiq.refuse('request_invalid', 'options: expected delay_seconds or not_before, got both', 'Leave one of them out.');
  end if;
  if delay is not null then
    if jsonb_typeof(delay) <> 'number' or delay::numeric < 0 or delay::numeric * 1000 > max_delay_ms then
      perform taskiq.refuse(
        'request_invalid',
        format('options.delay_seconds: expected a number from 0 to %s, got %s', max_delay_ms / 1000, left(delay::text, 80)),
        'Correct it, or raise TASKIQ_MAX_DELAY_MS.'
      );
    end if;
    due := at + round(delay::numeric * 1000)::float8 * interval '1 millisecond';
  end if;
  if moment is not null then
    begin
      -- Without an offset the session's time zone would decide.
      if options ->> 'not_before' !~ '^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?\s*(Z|[+-]\d\d(:?\d\d)?)$' then
        raise invalid_datetime_format;
      end if;
      due := (options ->> 'not_before')::timestamptz;
    exception when data_exception then
      perform taskiq.refuse(
        'request_invalid',
        format('options.not_before: expected a time such as 2027-01-31T08:00:00Z, got %s', left(moment::text, 80)),
        'Write it by ISO 8601 with an offset.'
      );
    end;
    if due > at + max_delay_ms * interval '1 millisecond' then
      perform taskiq.refuse(
        'request_invalid',
        format('options.not_before: expected at most %s seconds from now, got %s', max_delay_ms / 1000, left(moment::text, 80)),
        'Correct it, or raise TASKIQ_MAX_DELAY_MS.'
      );
    end if;
    due := greatest(due, at);
  end if;
  return due;
end
$function$;

CREATE OR REPLACE FUNCTION taskiq.option_integer(options jsonb, path text[], lowest bigint, highest bigint)
 RETURNS bigint
 LANGUAGE plpgsql
AS $function$
declare
  value jsonb := options #> path;
begin
  if value is null or value = 'null' then
    return null;
  end if;
  if jsonb_typeof(value) = 'number' and mod(value::numeric, 1) = 0 and value::numeric between lowest and highest then
    return value::numeric::bigint;
  end if;
  perform taskiq.refuse(
    'request_invalid',
    format('options.%s: expected an integer from %s to %s, got %s', array_to_string(path, '.'), lowest, highest, left(value::text, 80)),
    'Correct the option or leave it out.'
  );
end
$function$;

CREATE OR REPLACE FUNCTION taskiq.option_text(options jsonb, path text[], most integer)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
declare
  value jsonb := options #> path;
begin
  if value is null or value = 'null' then
    return null;
  end if;
  if jsonb_typeof(value) = 'string' and char_length(options #>> path) between 1 and most then
    return options #>> path;
  end if;
  perform taskiq.refuse(
    'request_invalid',
    format('options.%s: expected a text of 1 to %s characters, got %s', array_to_string(path, '.'), most, left(value::text, 80)),
    'Correct the option or leave it out.'
  );
end
$function$;

CREATE OR REPLACE FUNCTION taskiq.option_word(options jsonb, path text[], words text[])
 RETURNS text
 LANGUAGE plpgsql
AS $function$
declare
  word text := options #>> path;
begin
  if word is not null and word <> all (words) then
    perform taskiq.refuse(
      'request_invalid',
      format('options.%s: expected one of %s, got %s', array_to_string(path, '.'), array_to_string(words, ', '), left((options #> path)::text, 80)),
      'Correct the option or leave it out.'
    );
  end if;
  return word;
end
$function$;

CREATE OR REPLACE FUNCTION taskiq.rank_of(due timestamp with time zone, priority smallint)
 RETURNS timestamp with time zone
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN (due - make_interval(secs => ((priority * 60))::double precision));

CREATE OR REPLACE FUNCTION taskiq.refuse(code text, message text, advice text)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
begin
  raise exception using
    errcode = case when code in ('task_exists', 'idempotency_mismatch') then 'unique_violation' else 'invalid_parameter_value' end,
    message = 'taskiq.enqueue: ' || message,
    detail = 'code ' || code,
    hint = advice;
end
$function$;

CREATE OR REPLACE FUNCTION taskiq.settle_runs(run_ids uuid[], fast_path_ms double precision)
 RETURNS TABLE(task_id uuid, outbox_id bigint)
 LANGUAGE plpgsql
AS $function$
#variable_conflict use_column
begin
  return query
  with settled as (
    update taskiq.run r
       set state = case
             when r.error is not null then 'failed'
             when r.outcome is not null then r.outcome
             when r.cancel_requested_at is not null and r.cancelled_steps > 0 then 'cancelled'
             when r.failed_steps > 0 then 'failed'
             when r.cancelled_steps > 0 then 'cancelled'
             else 'succeeded'
           end::taskiq.run_state,
           finished_at = now()
     where r.id = any(run_ids)
       and r.open_steps = 0
       and r.state = 'running'
    returning r.id, r.job, r.state, r.error, r.on_finished
  ),
  due as (
    update taskiq.task t
       set state = 'queued',
           pending_parents = 0,
           input = json_build_object('run_id', s.id, 'job', s.job, 'state', s.state, 'error', s.error),
           not_before = now(),
           ordered_at = case when t.group_key is not null then now() end,
           announced_at = now()
      from settled s
     where t.id = s.on_finished
       and t.state = 'blocked'
    returning t.id, t.queue
  )
  insert into taskiq.outbox (kind, task_id, queue, send_at)
  select 'doorbell', due.id, due.queue, now() + fast_path_ms * interval '1 millisecond' from due
  returning task_id, id;
end
$function$;

comment on index taskiq.api_key_by_tenant is 'list-keys.sql: the keys of a tenant, newest first';

comment on index taskiq.audit_age is 'prune-audit.sql: oldest first';

comment on index taskiq.audit_by_tenant is 'read-tenant-audit.sql: what was done in a tenant, latest first';

comment on function taskiq.enqueue(pg_catalog.text,json,json) is 'Make a task in this transaction. Needs usage on the schema taskiq and on the sequence outbox_id_seq; select on task_definition, queue_definition, submit_limits; insert and select (id) on task; insert on outbox; insert, select, update on idempotency and limit_key; select, delete on tombstone.';

comment on index taskiq.idempotency_expired is 'prune-idempotency.sql: expired keys, oldest first';

comment on index taskiq.outbox_due is 'lease-outbox.sql: what is due, oldest first';

comment on index taskiq.run_by_creation is 'list-runs.sql';

comment on index taskiq.run_by_parent is 'prune.sql: who repeats a run reads its payloads';

comment on index taskiq.run_finished is 'prune-runs.sql';

comment on index taskiq.run_open is 'list-runs.sql, overdue-runs.sql';

comment on index taskiq.schedule_due is 'schedule-due.sql: what is due, oldest first';

comment on index taskiq.task_by_rank is 'claim-best.sql: the best due task of a queue';

comment on index taskiq.task_by_run is 'the steps of a run: read-steps.sql, cancel-run.sql, prune-runs.sql';

comment on index taskiq.task_by_state is 'list-by-state.sql, match-cancellable.sql, match-retryable.sql: tasks that wait or ended without success';

comment on index taskiq.task_due is 'read-health.sql: the oldest due row of a queue';

comment on index taskiq.task_finished is 'prune.sql: terminal rows, oldest first';

comment on index taskiq.task_foreign is 'list-by-creation.sql: tasks whose id is no UUIDv7, newest first';

comment on index taskiq.task_group is 'claim-group.sql: the first task of a group that waits';

comment on index taskiq.task_parked is 'free-limits.sql, sweep-limits.sql: the best waiter of a key';

comment on index taskiq.task_queued is 'ring-again.sql: the queued rows whose doorbell is oldest';

comment on index taskiq.task_running is 'reap.sql: every running row, few at a time';

comment on index taskiq.task_struggling is 'read-backlog.sql: unfinished tasks on their third attempt or a later one';

comment on index taskiq.tombstone_age is 'prune-tombstones.sql: oldest first';
