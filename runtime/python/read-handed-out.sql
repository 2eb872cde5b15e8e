-- Attempts that were handed out to workers of Python and have no outcome yet.
-- $1 queue  $2 holder: who is written as their worker  $3 at most so many
-- One row per attempt, as claim.sql returns it; `is_overdue`: its timeout is over; `is_cancelled`: somebody asked to cancel it.
select t.id, t.attempt, t.failures, t.name, null::json as input, null as input_ref, t.labels, t.trace_context, t.tenant, t.priority,
       t.timeout_ms, t.grace_ms, t.max_attempts, t.backoff_ms, t.max_backoff_ms, t.created_at, t.not_before, t.started_at,
       t.run_id, t.step_key, t.step, t.isolation,
       t.started_at + t.timeout_ms * interval '1 millisecond' <= now() as is_overdue,
       t.cancel_requested_at is not null as is_cancelled
  from taskiq.task t
 where t.state = 'running'
   and t.queue = $1::text
   and t.worker = $2::text
 order by t.id
 limit $3::int
