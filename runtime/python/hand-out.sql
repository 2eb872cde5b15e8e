-- Claim tasks that workers of Python are to run: queued -> running, attempt + 1, a lease as long as the attempt may take.
-- $1 queue  $2 holder: who is written as the worker  $3 slack_ms: how much longer than its timeout an attempt is left alone
-- $4 names of the tasks that run in Python text[]  $5 at most so many
-- One row per task won, as claim.sql returns it. Nothing renews these leases: results are looked for until the timeout, by whichever process.
-- Guard: the row is locked, still queued and due; `skip locked`: many processes may hand out at once.
with held as materialized (
  select t.id
    from taskiq.task t
   where t.queue = $1::text
     and t.state = 'queued'
     and t.not_before <= now()
     and t.name = any($4::text[])
     and not exists (select from taskiq.paused_queue p where p.queue = $1::text)
   order by t.not_before, t.id
   limit $5::int
     for update of t skip locked
)
update taskiq.task t
   set state = 'running',
       attempt = t.attempt + 1,
       worker = $2::text,
       lease_until = now() + (t.timeout_ms + $3::float8) * interval '1 millisecond',
       started_at = now(),
       progress = null,
       progress_message = null
 where t.id = any(array(select id from held))
returning t.id, t.attempt, t.failures, t.name, t.input, t.input_ref, t.labels, t.trace_context, t.tenant, t.priority,
          t.timeout_ms, t.grace_ms, t.max_attempts, t.backoff_ms, t.max_backoff_ms, t.created_at, t.not_before, t.started_at,
          t.run_id, t.step_key, t.step, t.isolation
