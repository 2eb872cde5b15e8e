-- Claim tasks whose limits have room for them: queued -> running, attempt + 1, a lease. Their keys are locked.
-- $1 task ids uuid[]  $2 worker  $3 lease_ms
-- One row per task won, with the columns of claim.sql; the room of its keys is taken in the same statement.
-- Guard: the row is locked (in id order), still queued and due. `skip locked`: a row that somebody cancels is not waited for.
with held as materialized (
  select t.id
    from taskiq.task t
   where t.id = any($1::uuid[])
     and t.state::text = 'queued'
     and t.not_before <= now()
   order by t.id
     for update of t skip locked
),
claimed as (
  update taskiq.task t
     set state = 'running',
         attempt = t.attempt + 1,
         worker = $2::text,
         lease_until = now() + $3::float8 * interval '1 millisecond',
         started_at = now(),
         progress = null,
         progress_message = null,
         parked_on = null,
         has_token = false
    from held
   where t.id = any($1::uuid[])
     and t.id = held.id
  returning t.*
),
taken as (
  select k.key, count(*) as tasks
    from claimed, unnest(claimed.limit_keys) as k (key)
   group by k.key
),
counted as (
  update taskiq.limit_key l
     set running = l.running + taken.tasks,
         used_at = now()
    from taken
   where l.key = taken.key
)
select id, attempt, failures, name, input, input_ref, labels, trace_context, tenant, priority,
       timeout_ms, grace_ms, max_attempts, backoff_ms, max_backoff_ms, created_at, not_before, started_at, run_id, step_key, step, isolation, limit_keys
  from claimed
