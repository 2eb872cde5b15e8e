-- Give attempts back unfinished (a drain, or an outage that outlived the lease): queued and rung at once, at no cost to any counter.
-- $1 task ids uuid[]  $2 attempt int[] (fence, same order)
-- $3 runs of the steps among them uuid[]: locked first; what follows in their graphs is written last (taskiq.advance)
-- One row per attempt given back, with the state it led to. Guard: id, attempt and state = 'running', on rows locked in id order. `skip locked`: a row that
-- somebody holds must not delay the others; read-attempts.sql tells such an attempt from one that is over.
-- `id = any($1)` and `state::text`: found by id whatever the planner knew, see claim.sql.
with locked as materialized (
  select case when cardinality($3::uuid[]) > 0 then taskiq.lock_runs($3::uuid[]) else 0 end as runs
),
mine as (
  select * from unnest($1::uuid[], $2::int[]) as u (id, attempt)
),
held as materialized (
  select t.id,
         case when t.cancel_requested_at is not null then 'cancelled' else 'queued' end::taskiq.task_state as next_state
    from taskiq.task t
    join mine on mine.id = t.id and mine.attempt = t.attempt
   where t.id = any($1::uuid[])
     and t.state::text = 'running'
     and (select runs from locked) >= 0
   order by t.id
     for update of t skip locked
),
released as (
  update taskiq.task t
     set state = held.next_state,
         error = case held.next_state when 'queued' then t.error end,
         lease_until = null,
         announced_at = now(),
         rings = 0,
         finished_at = case when held.next_state = 'cancelled' then now() end
    from mine
    join held using (id)
   where t.id = any($1::uuid[])
     and t.id = mine.id
     and t.attempt = mine.attempt
     and t.state::text = 'running'
  returning t.id, t.attempt, t.state, t.queue, t.worker, t.started_at, t.reply_key, t.run_id
),
logged as (
  insert into taskiq.attempt (task_id, attempt, outcome, worker, started_at)
  select id, attempt, case state when 'cancelled' then 'cancelled' else 'released' end, worker, started_at from released
),
rung as (
  insert into taskiq.outbox (kind, task_id, queue, send_at)
  select 'doorbell'::taskiq.outbox_kind, id, queue, now() from released where state = 'queued'
  union all
  select 'result', id, queue, now() from released where state = 'cancelled' and reply_key is not null
  -- A new id: a sender that is still busy with the old row cannot settle this one.
  on conflict (task_id, kind) do update set id = excluded.id, send_at = excluded.send_at
),
advanced as materialized (
  select count(a.outbox_id) as rung
    from (select array_agg(id) as ids from released where run_id is not null and state <> 'queued') e
   cross join lateral taskiq.advance(e.ids, 0) a
   where e.ids is not null
)
select id, attempt, state from released, advanced
