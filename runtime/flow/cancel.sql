-- Cancel tasks: at once where nothing runs, by the owner where something does.
-- $1 task ids uuid[]  $2 tenant text: only its tasks; null: anybody's  $3 reason text
-- One row per task found: `was`, the state it was found in, and its state now. One that runs goes on until its owner has seen the flag; a
-- flag that is set stays as it was first set.
-- Guard: the runs of steps are locked first, and what follows in their graphs is written last (taskiq.advance); rows are locked in id order, and waited for: what completes at this moment is answered with what it became.
with locked as materialized (
  select taskiq.lock_runs(array(select distinct t.run_id from taskiq.task t where t.id = any($1::uuid[]) and t.run_id is not null)) as runs
),
held as materialized (
  select t.id, t.state as was, t.worker, t.lease_until, t.pending_parents
    from taskiq.task t
   where t.id = any($1::uuid[])
     and ($2::text is null or t.tenant = $2::text)
     and (select runs from locked) >= 0
   order by t.id
     for update of t
),
cancelled as (
  update taskiq.task t
     -- All that constraints compare with the state is taken from the locked row: `t` may be an older version of it, and constraints are
     -- checked on what that leads to before the newer one is looked at.
     set state = case held.was when 'running' then held.was else 'cancelled' end,
         worker = held.worker,
         lease_until = case held.was when 'running' then held.lease_until end,
         pending_parents = held.pending_parents,
         cancel_requested_at = coalesce(t.cancel_requested_at, now()),
         cancel_reason = coalesce(t.cancel_reason, $3::text),
         error = case
           when held.was = 'running' then t.error
           else json_build_object('code', 'cancelled', 'type', 'Cancelled', 'message', 'Cancelled before it ran.')
         end,
         parked_on = null,
         finished_at = case when held.was <> 'running' then now() end
    from held
   where t.id = any($1::uuid[])
     and t.id = held.id
     and held.was in ('blocked', 'queued', 'running')
  returning t.id, t.state, t.queue, t.reply_key, t.run_id
),
-- Its doorbell would ring for nothing; one due in a year would be kept for a year.
silenced as (
  delete from taskiq.outbox
   where id = any(array(
     select o.id
       from taskiq.outbox o
      where o.kind = 'doorbell'
        and o.task_id = any(array(select id from cancelled where state = 'cancelled'))
      order by o.id
        for update skip locked
   ))
),
replied as (
  insert into taskiq.outbox (kind, task_id, queue, send_at)
  select 'result', id, queue, now()
    from cancelled
   where state = 'cancelled'
     and reply_key is not null
   order by id
  -- A new id: a sender that is still busy with the old row cannot settle this one.
  on conflict (task_id, kind) do update set id = excluded.id, send_at = excluded.send_at
),
advanced as materialized (
  select count(a.outbox_id) as rung
    from (select array_agg(id) as ids from cancelled where run_id is not null and state = 'cancelled') e
   cross join lateral taskiq.advance(e.ids, 0) a
   where e.ids is not null
)
select held.id, held.was, coalesce(cancelled.state, held.was) as state
  from held
 cross join advanced
  left join cancelled using (id)
