-- Claim the best due tasks of a queue that is ordered by priority.
-- $1 queue  $2 at most so many rows  $3 worker  $4 lease_ms  $5 names of the tasks this worker knows text[]
-- One row per task won, best first, with the columns of claim.sql. rank is the due time minus a minute a priority level: it is static, so one index orders the
-- queue, and nothing starves, because a task that waits is passed by later ones for so many minutes only.
-- Guard: rows are locked in the order of the index, still queued, due and known here. `skip locked`: two claims share the queue and never wait.
with best as materialized (
  select t.id
    from taskiq.task t
   where t.queue = $1::text
     and t.by_rank
     and t.state = 'queued'
     and t.not_before <= now()
     and t.name = any($5::text[])
   order by t.rank, t.id
   limit $2::int
     for update of t skip locked
),
claimed as (
  update taskiq.task t
     set state = 'running',
         attempt = t.attempt + 1,
         worker = $3::text,
         lease_until = now() + $4::float8 * interval '1 millisecond',
         started_at = now(),
         progress = null,
         progress_message = null
    from best
   where t.id = any(array(select id from best))
     and t.id = best.id
  returning t.*
)
select id, attempt, failures, name, input, input_ref, labels, trace_context, tenant, priority,
       timeout_ms, grace_ms, max_attempts, backoff_ms, max_backoff_ms, created_at, not_before, started_at, run_id, step_key, step, isolation
  from claimed
 order by rank, id
