-- Turn the attempt that expands a mapped step into a step that waits for its elements. Its run is locked.
-- $1 task id  $2 attempt (fence)  $3 elements: 0 leaves it running, its end follows in the same transaction
-- One row where the attempt owns the step: `cancelled` says that its cancel flag is set, and nothing was changed.
-- Guard: id, attempt and state = 'running'.
with held as materialized (
  select t.id, t.run_id, t.cancel_requested_at is not null as cancelled
    from taskiq.task t
   where t.id = $1::uuid
     and t.attempt = $2::int
     and t.state::text = 'running'
     for update of t
),
waiting as (
  update taskiq.task t
     set state = case when $3::int > 0 then 'blocked' else 'running' end::taskiq.task_state,
         lease_until = case when $3::int = 0 then t.lease_until end,
         pending_parents = $3::int,
         elements = $3::int,
         -- Its parents are the elements from now on.
         parents_failed = null,
         parents_skipped = null
    from held
   where t.id = $1::uuid
     and t.id = held.id
     and not held.cancelled
  returning t.run_id
),
counted as (
  update taskiq.run r
     set steps = r.steps + $3::int,
         open_steps = r.open_steps + $3::int
    from waiting
   where r.id = waiting.run_id
)
select cancelled from held
