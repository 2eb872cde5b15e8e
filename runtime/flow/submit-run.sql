-- Accept a run: its idempotency key and its row. Its steps follow in the same transaction.
-- $1 id uuid  $2 tenant  $3 job or null  $4 mode  $5 priority  $6 input json or null  $7 input_ref or null  $8 graph json
-- $9 labels json or null  $10 trace_context or null  $11 parent_run_id or null  $12 root_run_id  $13 steps  $14 deadline_ms or null
-- $15 on_finished: task id or null  $16 key or null  $17 request_hash bytea or null  $18 key_ttl_ms
-- One row where the run was created. None: its key is held by another submission (read it in a new statement), or its id exists.
with won as (
  insert into taskiq.idempotency as held (namespace, key, request_hash, task_id, expires_at)
  select $2::text, $16::text, $17::bytea, $1::uuid, now() + $18::float8 * interval '1 millisecond'
   where $16::text is not null
  on conflict (namespace, key) do update
     set request_hash = excluded.request_hash,
         task_id = excluded.task_id,
         expires_at = excluded.expires_at
   where held.expires_at <= now()
  returning held.task_id
)
insert into taskiq.run (
  id, tenant, job, mode, priority, input, input_ref, graph, labels, trace_context, parent_run_id, root_run_id,
  steps, open_steps, deadline_at, on_finished
)
select $1::uuid, $2::text, $3::text, $4::text, $5::smallint, $6::json, $7::text, $8::json, $9::json, $10::text, $11::uuid, $12::uuid,
       $13::int, $13::int, now() + $14::float8 * interval '1 millisecond', $15::uuid
 where $16::text is null
    or exists (select from won)
on conflict (id) do nothing
returning id
