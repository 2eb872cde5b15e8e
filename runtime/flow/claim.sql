-- Claim the tasks that messages name: queued -> running, attempt + 1, a lease.
-- $1 task ids uuid[]  $2 worker  $3 lease_ms  $4 names of the tasks this worker knows text[]
-- One row per task won; attempt is the fence. Why another id was not won, decline.sql says.
-- Guard: the row is locked (in id order, so that two batches cannot deadlock), still queued, due and known here. `skip locked`: a
-- claim never waits.
-- `id = any($1)` and `state::text`: rows are found by their id whatever the planner knew when it planned. A partial index on a state
-- looks small when few rows are in it, and a plan that scans it is kept while it fills.
with held as materialized (
  select t.id
    from taskiq.task t
   where t.id = any($1::uuid[])
     and t.state::text = 'queued'
     and t.not_before <= now()
     and t.name = any($4::text[])
     -- Those are claimed under the locks of their limits (claim-limited.sql).
     and t.limit_keys is null
   order by t.id
     for update of t skip locked
)
update taskiq.task t
   set state = 'running',
       attempt = t.attempt + 1,
       worker = $2::text,
       lease_until = now() + $3::float8 * interval '1 millisecond',
       started_at = now(),
       progress = null,
       progress_message = null
  from held
 where t.id = any($1::uuid[])
   and t.id = held.id
returning t.id, t.attempt, t.failures, t.name, t.input, t.input_ref, t.labels, t.trace_context, t.tenant, t.priority,
          t.timeout_ms, t.grace_ms, t.max_attempts, t.backoff_ms, t.max_backoff_ms, t.created_at, t.not_before, t.started_at,
          t.run_id, t.step_key, t.step, t.isolation
