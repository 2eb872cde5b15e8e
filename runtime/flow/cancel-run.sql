-- Cancel a run: what has not started at once, what runs by its owners. Its row is locked (lock-runs.sql).
-- $1 run id  $2 tenant: only where it is that of the run; null: of any  $3 reason or null  $4 error json or null: the run fails with it instead
-- One row where the run exists: `was`, the state it was found in, and its state now.
-- Guard: the run is running; its tasks are locked in id order, and waited for.
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
held as materialized (
  select t.id, t.state as was, t.worker, t.lease_until, t.pending_parents
    from taskiq.task t
   where t.run_id = $1::uuid
     and t.state in ('blocked', 'queued', 'running')
     -- Before the counts of its steps are written, which is the last thing of all.
     and exists (select from asked)
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
           else json_build_object('code', 'cancelled', 'type', 'Cancelled', 'message', 'Its run was cancelled before it ran.')
         end,
         parked_on = null,
         finished_at = case when held.was <> 'running' then now() end
    from held
   where t.id = any(array(select id from held))
     and t.id = held.id
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
