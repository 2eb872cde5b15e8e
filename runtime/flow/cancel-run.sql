-- Cancel a run: what has not started at once, what runs by its owners. Its row is locked (lock-runs.sql).
-- $1 run id  $2 tenant: only where it is that of the run; null: of any  $3 reason or null  $4 error json or null: the run fails with it instead
-- One row where the run exists: `was`, the state it was found in, and its state now.
-- Guard: the run is running, and its tasks were locked by the statement before (lock-run-tasks.sql): this one sees them as they are now.
with found as materialized (
  select r.id, r.state as was
    from taskiq.run r
   where r.id = $1::uuid
     and ($2::text is null or r.tenant = $2::text)
),
asked as (
  update taskiq.run r
     set cancel_requested_at = coalesce(r.cancel_requested_at, now()),
         cancel_reason = coalesce(r.cancel_reason, $3::text),
         error = coalesce(r.error, $4::json)
    from found
   where r.id = found.id
     and found.was = 'running'
  returning r.id
),
cancelled as (
  update taskiq.task t
     set state = case t.state when 'running' then t.state else 'cancelled' end,
         lease_until = case t.state when 'running' then t.lease_until end,
         cancel_requested_at = coalesce(t.cancel_requested_at, now()),
         cancel_reason = coalesce(t.cancel_reason, $3::text),
         error = case
           when t.state = 'running' then t.error
           else json_build_object('code', 'cancelled', 'type', 'Cancelled', 'message', 'Its run was cancelled before it ran.')
         end,
         parked_on = null,
         finished_at = case when t.state <> 'running' then now() end
   where t.run_id = $1::uuid
     and t.state in ('blocked', 'queued', 'running')
     -- Before the counts of its steps are written, which is the last thing of all.
     and exists (select from asked)
  returning t.id, t.state
),
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
advanced as materialized (
  select count(a.outbox_id) as rung
    from (select array_agg(id) as ids from cancelled where state = 'cancelled') c
   cross join lateral taskiq.advance(c.ids, 0) a
   where c.ids is not null
)
select found.was from found cross join advanced
