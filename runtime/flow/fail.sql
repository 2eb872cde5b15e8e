-- Record failed attempts: queued again at the due time, or failed when the budget is spent, or cancelled when that was asked for.
-- $1 task ids uuid[]  $2 attempt int[] (fence, same order)  $3 error json[]
-- $4 retry_after_ms float8[]: null ends the task  $5 dead_letter boolean[]: a task that ends here is copied to the dead-letter queue
-- $6 runs of the steps among them uuid[]: locked first; what follows in their graphs is written last (taskiq.advance)
-- One row per failure accepted, with the state it led to. Guard: id, attempt and state = 'running', on rows locked in id order. `skip locked`: a row that
-- somebody holds must not delay the others; read-attempts.sql tells such an attempt from one that is over.
-- `id = any($1)` and `state::text`: found by id whatever the planner knew, see claim.sql.
with locked as materialized (
  select case when cardinality($6::uuid[]) > 0 then taskiq.lock_runs($6::uuid[]) else 0 end as runs
),
outcome as (
  select distinct on (u.id, u.attempt) *
    from unnest($1::uuid[], $2::int[], $3::json[], $4::float8[], $5::boolean[]) as u (id, attempt, error, retry_after_ms, dead_letter)
),
held as materialized (
  select t.id,
         -- A row whose cancel flag is set never goes back to queued.
         case
           when t.cancel_requested_at is not null then 'cancelled'
           when o.retry_after_ms is not null then 'queued'
           else 'failed'
         end::taskiq.task_state as next_state
    from taskiq.task t
    join outcome o on o.id = t.id and o.attempt = t.attempt
   where t.id = any($1::uuid[])
     and t.state::text = 'running'
     and (select runs from locked) >= 0
   order by t.id
     for update of t skip locked
),
ended as (
  update taskiq.task t
     set state = held.next_state,
         failures = t.failures + case when held.next_state = 'cancelled' then 0 else 1 end,
         error = o.error,
         lease_until = null,
         not_before = case when held.next_state = 'queued' then now() + o.retry_after_ms * interval '1 millisecond' else t.not_before end,
         announced_at = case when held.next_state = 'queued' then now() + o.retry_after_ms * interval '1 millisecond' else t.announced_at end,
         rings = 0,
         finished_at = case when held.next_state = 'queued' then null else now() end
    from outcome o
    join held using (id)
   where t.id = any($1::uuid[])
     and t.id = o.id
     and t.attempt = o.attempt
     and t.state::text = 'running'
  returning t.id, t.attempt, t.state, t.failures, t.queue, t.not_before, t.worker, t.started_at, t.error, t.reply_key, t.run_id, o.dead_letter
),
logged as (
  insert into taskiq.attempt (task_id, attempt, outcome, worker, error, started_at)
  select id,
         attempt,
         case state when 'queued' then 'retried' when 'cancelled' then 'cancelled' else 'failed' end,
         worker,
         error,
         started_at
    from ended
),
rung as (
  insert into taskiq.outbox (kind, task_id, queue, send_at)
  select 'doorbell'::taskiq.outbox_kind, id, queue, not_before from ended where state = 'queued'
  union all
  -- A step's failure is its run's affair: a redrive could not bring back what followed from it.
  select 'dead_letter', id, queue, now() from ended where state = 'failed' and dead_letter and run_id is null
  union all
  select 'result', id, queue, now() from ended where state <> 'queued' and reply_key is not null
  -- A new id: a sender that is still busy with the old row cannot settle this one.
  on conflict (task_id, kind) do update set id = excluded.id, send_at = excluded.send_at
),
advanced as materialized (
  select count(a.outbox_id) as rung
    from (select array_agg(id) as ids from ended where run_id is not null and state <> 'queued') e
   cross join lateral taskiq.advance(e.ids, 0) a
   where e.ids is not null
)
select id, attempt, state, failures from ended, advanced
