-- Take over steps of an earlier run as they ended there. What did not succeed counts as skipped.
-- $1 run id  $2 ids of the steps there uuid[]  $3 their ids here uuid[] (same order)
insert into taskiq.task (
  id, name, queue, tenant, state, attempt, failures, losses, priority, labels, trace_context, input, input_ref, result, result_ref, worker,
  not_before, announced_at, timeout_ms, grace_ms, max_attempts, backoff_ms, max_backoff_ms, max_losses, isolation, on_lost,
  run_id, step_key, step, on_parent_failure, elements, started_at, finished_at
)
select kept.id, t.name, t.queue, t.tenant,
       case t.state when 'succeeded' then 'succeeded' else 'skipped' end::taskiq.task_state,
       t.attempt, t.failures, t.losses, t.priority, t.labels, t.trace_context, t.input, t.input_ref, t.result, t.result_ref, t.worker,
       t.not_before, t.announced_at, t.timeout_ms, t.grace_ms, t.max_attempts, t.backoff_ms, t.max_backoff_ms, t.max_losses, t.isolation, t.on_lost,
       $1::uuid, t.step_key, t.step, t.on_parent_failure, t.elements, t.started_at, t.finished_at
  from unnest($2::uuid[], $3::uuid[]) as kept (from_id, id)
  join taskiq.task t on t.id = any($2::uuid[]) and t.id = kept.from_id
 order by kept.id
