-- Runs: graphs of steps. A step is a task with a run; the run row is the lock of its graph.
--
-- Every transaction that ends, readies, expands or cancels steps first locks their runs (taskiq.lock_runs) and only then reads the graph: here in
-- functions, where each statement has a snapshot of its own, younger than the wait.

create type taskiq.run_state as enum ('running', 'succeeded', 'failed', 'cancelled');

create table taskiq.run (
  id                  uuid primary key,
  tenant              text not null default 'default',
  -- Null: a graph that was posted as it is.
  job                 text,
  mode                text not null default 'orchestrated',
  state               taskiq.run_state not null default 'running',
  priority            smallint not null default 0,
  input               json,
  input_ref           text,
  -- As it was posted; references to the run's input still in it.
  graph               json not null,
  labels              json,
  trace_context       text,
  -- The run that this one repeats, and the first of that line.
  parent_run_id       uuid,
  root_run_id         uuid not null,
  -- Of all steps and elements. One that waits for its elements is open.
  steps               integer not null,
  open_steps          integer not null,
  failed_steps        integer not null default 0,
  cancelled_steps     integer not null default 0,
  skipped_steps       integer not null default 0,
  cancel_requested_at timestamptz,
  cancel_reason       text,
  deadline_at         timestamptz,
  -- A task that waits for the end of the run.
  on_finished         uuid,
  error               json,
  -- What a run of the mode simple says of itself: its steps are no rows.
  outcome             taskiq.run_state,
  created_at          timestamptz not null default now(),
  finished_at         timestamptz,
  constraint run_mode_known check (mode in ('orchestrated', 'simple')),
  constraint run_priority_in_range check (priority between -100 and 100),
  constraint run_input_inline_or_stored check (input is null or input_ref is null),
  constraint step_counts_add_up check (
    open_steps >= 0 and failed_steps >= 0 and cancelled_steps >= 0 and skipped_steps >= 0
    and open_steps + failed_steps + cancelled_steps + skipped_steps <= steps
  ),
  constraint finished_run_has_no_open_step check ((state = 'running') = (finished_at is null) and (state = 'running' or open_steps = 0))
) with (fillfactor = 50);

create index run_by_creation on taskiq.run (tenant, created_at, id);
comment on index taskiq.run_by_creation is 'list-runs.sql';
create index run_open on taskiq.run (created_at, id) where state = 'running';
comment on index taskiq.run_open is 'list-runs.sql, overdue-runs.sql';
create index run_finished on taskiq.run (finished_at) where finished_at is not null;
comment on index taskiq.run_finished is 'prune-runs.sql';
create index run_by_parent on taskiq.run (parent_run_id) where parent_run_id is not null;
comment on index taskiq.run_by_parent is 'prune.sql: who repeats a run reads its payloads'; 

-- The child waits for the parent. `optional`: it runs whatever becomes of this one.
create table taskiq.edge (
  parent   uuid not null,
  child    uuid not null,
  optional boolean not null default false,
  primary key (parent, child)
);

-- What whoever claims the step has to do beside running it: references to fill in, a condition, a list to map over.
alter table taskiq.task add column step json;
alter table taskiq.task add column on_parent_failure text;
alter table taskiq.task add column parents_failed integer;
alter table taskiq.task add column parents_skipped integer;
-- Of a mapped step, once it is expanded: it is blocked then, and its elements are its parents.
alter table taskiq.task add column elements integer;
alter table taskiq.task add constraint on_parent_failure_known check (on_parent_failure in ('skip', 'cancel', 'run')) not valid;

create index task_by_run on taskiq.task (run_id, id) where run_id is not null;
comment on index taskiq.task_by_run is 'the steps of a run: read-steps.sql, cancel-run.sql, prune-runs.sql';

-- Locks runs in the order of ids. Before limit keys and tasks, everywhere.
create function taskiq.lock_runs(run_ids uuid[]) returns integer
language plpgsql volatile as $$
declare
  locked integer;
begin
  with held as materialized (
    select r.id from taskiq.run r where r.id = any(run_ids) order by r.id for update
  )
  select count(*) into locked from held;
  return locked;
end
$$;

-- Ends the runs in which nothing is open, and rings for the tasks that waited for their ends. The runs are locked.
-- One row per task rung, with its outbox row.
create function taskiq.settle_runs(run_ids uuid[], fast_path_ms float8) returns table (task_id uuid, outbox_id bigint)
language plpgsql volatile as $$
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
$$;

-- What follows from the end of steps: their children are readied, skipped or cancelled, and theirs in turn; runs in which nothing is left open end.
-- The runs of the steps are locked, and their new states are written, by this statement or one before it in the transaction.
-- ended       task ids of steps that have just become terminal, each told once
-- fast_path_ms  how long the caller has to ring by itself
-- worker, lease_ms, known, offers: `worker` goes on with readied steps at once, without a message: at most as many of a queue as it stands in
--   `offers`, with names it knows. Not those with limits, with a group, ordered by rank, or whose queue is paused. `worker` null: none.
-- One row per readied step, and per task that waited for the end of a run: `outbox_id` null: it is claimed already.
create function taskiq.advance(
  ended uuid[], fast_path_ms float8, worker text default null, lease_ms float8 default 0, known text[] default '{}', offers text[] default '{}'
)
returns table (task taskiq.task, outbox_id bigint)
language plpgsql volatile as $$
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
$$;
