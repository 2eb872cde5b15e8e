-- Recover tasks whose worker stopped renewing the lease: queued and rung again, or failed when the budget of losses is spent.
-- $1 at most so many rows  $2 task ids uuid[]: of tasks with limits or a run only these, whose keys and runs are locked
-- One row per task recovered. One reaper at a time: the others find the advisory lock taken and get no row.
-- Guard: state = 'running' and lease_until < now(). `skip locked`: an attempt inside its own commit keeps its row.
with leader as materialized (
  select pg_try_advisory_xact_lock(hashtext('taskiq'), hashtext('reap')) as elected
),
expired as materialized (
  select t.id,
         case
           when t.cancel_requested_at is not null then 'cancelled'
           when t.on_lost = 'fail' then 'failed'
           when t.losses >= t.max_losses then 'failed'
           else 'queued'
         end::taskiq.task_state as next_state
    from taskiq.task t
   where t.state = 'running'
     and t.lease_until < now()
     and ((t.limit_keys is null and t.run_id is null) or t.id = any($2::uuid[]))
     and (select elected from leader)
   order by t.id
   limit $1::int
     for update of t skip locked
),
reaped as (
  update taskiq.task t
     set state = e.next_state,
         losses = t.losses + 1,
         error = case
           -- A task that is queued again keeps the error of its last failure; one that ends says why it ended.
           when e.next_state = 'queued' then t.error
           when e.next_state = 'cancelled' then null
           when t.on_lost = 'fail' then json_build_object(
             'code', 'lost',
             'type', 'WorkerLost',
             'message', format('The worker %s stopped renewing its lease, and the task asks not to be run again (onLost: fail).', t.worker)
           )
           else json_build_object(
             'code', 'crash_loop',
             'type', 'WorkerLost',
             'message', format('%s workers died or stopped while they ran this task; the last one was %s.', t.losses + 1, t.worker)
           )
         end,
         lease_until = null,
         announced_at = now(),
         rings = 0,
         finished_at = case when e.next_state = 'queued' then null else now() end
    from expired e
   where t.id = any(array(select id from expired))
     and t.id = e.id
  returning t.id, t.attempt, t.state, t.losses, t.queue, t.name, t.worker, t.started_at, t.error, t.reply_key, t.run_id
),
logged as (
  insert into taskiq.attempt (task_id, attempt, outcome, worker, error, started_at)
  select id,
         attempt,
         case state when 'cancelled' then 'cancelled' else 'lost' end,
         worker,
         case state when 'failed' then error end,
         started_at
    from reaped
),
rung as (
  insert into taskiq.outbox (kind, task_id, queue, send_at)
  select 'doorbell'::taskiq.outbox_kind, id, queue, now() from reaped where state = 'queued'
  union all
  select 'dead_letter', id, queue, now() from reaped where state = 'failed' and run_id is null
  union all
  select 'result', id, queue, now() from reaped where state <> 'queued' and reply_key is not null
  -- A new id: a sender that is still busy with the old row cannot settle this one.
  on conflict (task_id, kind) do update set id = excluded.id, send_at = excluded.send_at
),
advanced as materialized (
  select count(a.outbox_id) as rung
    from (select array_agg(id) as ids from reaped where run_id is not null and state <> 'queued') e
   cross join lateral taskiq.advance(e.ids, 0) a
   where e.ids is not null
)
select id, attempt, state, losses, name, queue, worker from reaped, advanced
