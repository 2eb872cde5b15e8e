-- Insert elements of an earlier run that did not succeed there, to be run again.
-- $1 run id  $2 ids of the elements there uuid[]  $3 their ids here uuid[] (same order)
-- Their doorbells are due at once.
with created as (
  insert into taskiq.task (
    id, name, queue, tenant, state, priority, labels, trace_context, input, input_ref, not_before, announced_at,
    timeout_ms, grace_ms, max_attempts, backoff_ms, max_backoff_ms, max_losses, isolation, on_lost,
    by_rank, limit_keys, run_id, step_key, step, on_parent_failure
  )
  select again.id, t.name, t.queue, t.tenant, 'queued', t.priority, t.labels, r.trace_context, t.input, t.input_ref, now(), now(),
         t.timeout_ms, t.grace_ms, t.max_attempts, t.backoff_ms, t.max_backoff_ms, t.max_losses, t.isolation, t.on_lost,
         t.by_rank, t.limit_keys, $1::uuid, t.step_key, t.step, t.on_parent_failure
    from unnest($2::uuid[], $3::uuid[]) as again (from_id, id)
    join taskiq.task t on t.id = any($2::uuid[]) and t.id = again.from_id
    join taskiq.run r on r.id = $1::uuid
   order by again.id
  returning id, queue
)
insert into taskiq.outbox (kind, task_id, queue, send_at)
select 'doorbell', id, queue, now()
  from created
 order by id
