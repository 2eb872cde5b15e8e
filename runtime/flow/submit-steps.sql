-- Insert steps of a run. One that waits for nothing is queued and has a doorbell.
-- $1 run id or null (a task that waits for the end of a run is no step of it)  $2 tenant  $3 labels of all json or null  $4 trace_context or null
-- One array element a step, all arrays of one length:
-- $5 id uuid[]  $6 step_key text[]  $7 name text[]  $8 queue text[]  $9 priority smallint[]  $10 labels json[]: wins over $3
-- $11 input json[]  $12 input_ref text[]  $13 step json[]  $14 on_parent_failure text[]  $15 pending_parents int[]
-- $16 timeout_ms int[]  $17 grace_ms int[]  $18 max_attempts int[]  $19 backoff_ms int[]  $20 max_backoff_ms int[]  $21 max_losses int[]
-- $22 isolation text[]  $23 on_lost text[]  $24 group_key text[]  $25 by_rank boolean[]
-- $26 limit_keys text[]: separated by U+001F; null: none  $27 fast_path_ms: how long the submitter has to ring by itself
-- One row per step that is queued, with its outbox row.
with step as (
  select *
    from unnest(
      $5::uuid[], $6::text[], $7::text[], $8::text[], $9::smallint[], $10::json[], $11::json[], $12::text[], $13::json[], $14::text[], $15::int[],
      $16::int[], $17::int[], $18::int[], $19::int[], $20::int[], $21::int[], $22::text[], $23::text[], $24::text[], $25::boolean[], $26::text[]
    ) as s (
      id, step_key, name, queue, priority, labels, input, input_ref, step, on_parent_failure, pending_parents,
      timeout_ms, grace_ms, max_attempts, backoff_ms, max_backoff_ms, max_losses, isolation, on_lost, group_key, by_rank, limit_keys
    )
),
created as (
  insert into taskiq.task (
    id, run_id, step_key, name, queue, tenant, state, priority, labels, trace_context, input, input_ref, step, on_parent_failure, pending_parents,
    announced_at, timeout_ms, grace_ms, max_attempts, backoff_ms, max_backoff_ms, max_losses, isolation, on_lost,
    group_key, ordered_at, by_rank, limit_keys
  )
  select s.id, $1::uuid, s.step_key, s.name, s.queue, $2::text,
         case when s.pending_parents = 0 then 'queued' else 'blocked' end::taskiq.task_state,
         s.priority, coalesce(s.labels, $3::json), $4::text, s.input, s.input_ref, s.step, s.on_parent_failure, s.pending_parents,
         case when s.pending_parents = 0 then now() end,
         s.timeout_ms, s.grace_ms, s.max_attempts, s.backoff_ms, s.max_backoff_ms, s.max_losses, s.isolation, s.on_lost,
         s.group_key, case when s.group_key is not null then now() end, s.by_rank, string_to_array(s.limit_keys, chr(31))
    from step s
   order by s.id
  returning id, queue, state, group_key
)
insert into taskiq.outbox (kind, task_id, queue, send_at)
-- A FIFO queue has one sender: nobody else rings.
select 'doorbell', id, queue, now() + case when group_key is null then $27::float8 else 0 end * interval '1 millisecond'
  from created
 where state = 'queued'
 order by id
returning task_id as id, id as outbox_id
