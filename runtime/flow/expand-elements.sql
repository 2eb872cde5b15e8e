-- Insert elements of a mapped step, with what the step says of all of them. Their run is locked.
-- $1 task id of the step
-- $2 ids uuid[]  $3 step keys text[]  $4 input json[] or null  $5 input_ref text[] or null  (one element of the arrays each)
-- $6 fast_path_ms float8[]: how long the worker has to ring by itself; 0: the executor's loop rings
-- $7 refers boolean: their inputs are templates still
-- One row per element, in their order, with its outbox row.
with element as (
  select *
    from unnest($2::uuid[], $3::text[], $4::json[], $5::text[], $6::float8[]) with ordinality as e (id, key, input, input_ref, fast_path_ms, place)
),
created as (
  insert into taskiq.task (
    id, name, queue, tenant, state, priority, labels, trace_context, input, input_ref, not_before, announced_at,
    timeout_ms, grace_ms, max_attempts, backoff_ms, max_backoff_ms, max_losses, isolation, on_lost,
    by_rank, limit_keys, run_id, step_key, step, on_parent_failure
  )
  select e.id, m.name, m.queue, m.tenant, 'queued', m.priority, m.labels, m.trace_context, e.input, e.input_ref, now(), now(),
         m.timeout_ms, m.grace_ms, m.max_attempts, m.backoff_ms, m.max_backoff_ms, m.max_losses, m.isolation, m.on_lost,
         m.by_rank, m.limit_keys, m.run_id, e.key,
         case when $7::boolean then '{"refers":true}'::json end,
         m.on_parent_failure
    from element e
   cross join taskiq.task m
   where m.id = $1::uuid
   order by e.id
  returning id, queue
),
joined as (
  insert into taskiq.edge (parent, child)
  select id, $1::uuid from created
),
rung as (
  insert into taskiq.outbox (kind, task_id, queue, send_at)
  select 'doorbell', c.id, c.queue, now() + e.fast_path_ms * interval '1 millisecond'
    from created c
    join element e using (id)
   order by e.place
  returning id, task_id
)
select e.id, rung.id as outbox_id
  from element e
  join rung on rung.task_id = e.id
 order by e.place
