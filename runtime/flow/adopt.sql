-- Write the tasks of other producers when their messages are first seen, and claim those that may start at once.
-- One array element a task, all arrays of one length, in the order of the messages; no id twice.
-- $1 id uuid[]             $2 wire_id text[] or null       $3 name text[]          $4 tenant text[]        $5 priority smallint[]
-- $6 labels json[] or null $7 reply_labels json[] or null  $8 trace_context text[] $9 input json[]         $10 input_ref text[]
-- $11 reply_key text[]     $12 timeout_ms int[]            $13 grace_ms int[]      $14 max_attempts int[]  $15 backoff_ms int[]
-- $16 max_backoff_ms int[] $17 max_losses int[]            $18 isolation text[]    $19 on_lost text[]
-- $20 group_key text[]: the group of its message in a FIFO queue, else null        $21 limit_keys text[]: separated by U+001F; null: none
-- $22 error json[]: why it can never run, else null
-- $23 queue  $24 by_rank boolean: the queue is ordered by priority  $25 claims boolean: whether each has a slot  $26 worker  $27 lease_ms
-- One row per task that was not there: its state, and as claim.sql returns it. A task that is missing was there before: its message is a
-- duplicate, and is judged like any other. What is queued needs no doorbell, because its message rings until it is deleted.
-- Guard: the id. Rows are written in id order, so that two batches cannot deadlock.
with request as (
  select *
    from unnest(
      $1::uuid[], $2::text[], $3::text[], $4::text[], $5::smallint[],
      $6::json[], $7::json[], $8::text[], $9::json[], $10::text[],
      $11::text[], $12::int[], $13::int[], $14::int[], $15::int[],
      $16::int[], $17::int[], $18::text[], $19::text[],
      $20::text[], $21::text[], $22::json[]
    ) with ordinality as r (
      id, wire_id, name, tenant, priority,
      labels, reply_labels, trace_context, input, input_ref,
      reply_key, timeout_ms, grace_ms, max_attempts, backoff_ms,
      max_backoff_ms, max_losses, isolation, on_lost,
      group_key, limit_keys, error, place
    )
),
judged as (
  select r.*,
         s.reason as cancel_reason,
         case
           when s.id is not null then 'cancelled'
           when r.error is not null then 'failed'
           when $25::boolean and r.group_key is null and r.limit_keys is null and not $24::boolean then 'running'
           else 'queued'
         end::taskiq.task_state as state
    from request r
    left join taskiq.tombstone s on s.id = r.id
),
created as (
  insert into taskiq.task (
    id, wire_id, name, queue, tenant, state, attempt, priority, labels, reply_labels, trace_context, input, input_ref, reply_key,
    not_before, announced_at, timeout_ms, grace_ms, max_attempts, backoff_ms, max_backoff_ms, max_losses, isolation, on_lost,
    group_key, ordered_at, by_rank, limit_keys, worker, lease_until, started_at, finished_at, error,
    cancel_requested_at, cancel_reason
  )
  select j.id, j.wire_id, j.name, $23::text, j.tenant, j.state, case j.state when 'running' then 1 else 0 end, j.priority,
         j.labels, j.reply_labels, j.trace_context, j.input, j.input_ref, j.reply_key,
         now(), now(), j.timeout_ms, j.grace_ms, j.max_attempts, j.backoff_ms, j.max_backoff_ms, j.max_losses, j.isolation, j.on_lost,
         j.group_key,
         -- Those of one group in the order of their messages.
         case when j.group_key is not null then now() + j.place * interval '1 microsecond' end,
         $24::boolean,
         string_to_array(j.limit_keys, chr(31)),
         case j.state when 'running' then $26::text end,
         case j.state when 'running' then now() + $27::float8 * interval '1 millisecond' end,
         case j.state when 'running' then now() end,
         case when j.state in ('failed', 'cancelled') then now() end,
         case j.state
           when 'cancelled' then json_build_object('code', 'cancelled', 'type', 'Cancelled', 'message', 'Cancelled before it ran.')
           else j.error
         end,
         case j.state when 'cancelled' then now() end,
         j.cancel_reason
    from judged j
   order by j.id
  on conflict (id) do nothing
  returning *
),
replied as (
  insert into taskiq.outbox (kind, task_id, queue, send_at)
  select 'result', id, queue, now()
    from created
   where state in ('failed', 'cancelled')
     and reply_key is not null
   order by id
)
select c.state, c.id, c.attempt, c.failures, c.name, c.input, c.input_ref, c.labels, c.trace_context, c.tenant, c.priority,
       c.timeout_ms, c.grace_ms, c.max_attempts, c.backoff_ms, c.max_backoff_ms, c.created_at, c.not_before, c.started_at,
       c.run_id, c.step_key, c.step, c.isolation
  from created c
