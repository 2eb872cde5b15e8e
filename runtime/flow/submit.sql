-- Accept tasks: idempotency keys, rows and doorbells of many submissions in one transaction.
-- One array element a task, all arrays of one length.
-- $1 id uuid[]             $2 wire_id text[] or null       $3 name text[]          $4 queue text[]        $5 tenant text[]
-- $6 priority smallint[]   $7 delay_ms float8[]            $8 not_before timestamptz[], wins over delay_ms when not null
-- $9 labels json[]         $10 trace_context text[]        $11 input json[]        $12 input_ref text[]   $13 reply_key text[]
-- $14 timeout_ms int[]     $15 grace_ms int[]              $16 max_attempts int[]  $17 backoff_ms int[]   $18 max_backoff_ms int[]
-- $19 max_losses int[]     $20 isolation text[]            $21 on_lost text[]
-- $22 owner uuid[]: first task of the submission, the one that holds its idempotency key
-- $23 key text[]: set on the owner only, null without a key; no key twice in one call
-- $24 request_hash bytea[] $25 key_ttl_ms float8           $26 fast_path_ms float8: how long the submitter has to ring by itself
-- $27 group_key text[]: place in a FIFO queue, else null  $28 by_rank boolean[]: its queue is ordered by priority
-- $29 limit_keys text[]: the keys of its limits (different ones), separated by U+001F; null: none
-- One row per task created: its id, its outbox row, and whether it is due. A task that is missing lost its key (or its id)
-- to an earlier one: read that in a new statement, this one's snapshot is older than the wait.
with request as (
  select *
    from unnest(
      $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::float8[], $8::timestamptz[],
      $9::json[], $10::text[], $11::json[], $12::text[], $13::text[],
      $14::int[], $15::int[], $16::int[], $17::int[], $18::int[], $19::int[], $20::text[], $21::text[],
      $22::uuid[], $23::text[], $24::bytea[], $27::text[], $28::boolean[], $29::text[]
    ) as r (
      id, wire_id, name, queue, tenant, priority, delay_ms, not_before,
      labels, trace_context, input, input_ref, reply_key,
      timeout_ms, grace_ms, max_attempts, backoff_ms, max_backoff_ms, max_losses, isolation, on_lost,
      owner, key, request_hash, group_key, by_rank, limit_keys
    )
),
-- In key order: two batches that share keys would otherwise deadlock. An expired key is taken over.
won as (
  insert into taskiq.idempotency as held (namespace, key, request_hash, task_id, expires_at)
  select r.tenant, r.key, r.request_hash, r.id, now() + $25::float8 * interval '1 millisecond'
    from request r
   where r.key is not null
   order by r.tenant, r.key
  on conflict (namespace, key) do update
     set request_hash = excluded.request_hash,
         task_id = excluded.task_id,
         expires_at = excluded.expires_at
   where held.expires_at <= now()
  returning held.task_id
),
keyed as (
  select id from request where key is not null
),
created as (
  insert into taskiq.task (
    id, wire_id, name, queue, tenant, state, priority, labels, trace_context, input, input_ref, reply_key,
    not_before, announced_at, timeout_ms, grace_ms, max_attempts, backoff_ms, max_backoff_ms, max_losses, isolation, on_lost,
    group_key, ordered_at, by_rank, limit_keys
  )
  select r.id, r.wire_id, r.name, r.queue, r.tenant, 'queued', r.priority, r.labels, r.trace_context, r.input, r.input_ref, r.reply_key,
         due.at, due.at,
         r.timeout_ms, r.grace_ms, r.max_attempts, r.backoff_ms, r.max_backoff_ms, r.max_losses, r.isolation, r.on_lost,
         r.group_key, case when r.group_key is not null then due.at end, r.by_rank,
         string_to_array(r.limit_keys, chr(31))
    from request r
   cross join lateral (
     -- Not in the past: nobody gets before others by having been due before it was asked for.
     select greatest(coalesce(r.not_before, now() + r.delay_ms * interval '1 millisecond'), now()) as at
   ) due
   where r.owner in (select task_id from won)
      or r.owner not in (select id from keyed)
   order by r.id
  on conflict (id) do nothing
  returning id, queue, not_before
),
rung as (
  insert into taskiq.outbox (kind, task_id, queue, send_at)
  select 'doorbell',
         id,
         queue,
         case when not_before <= now() then now() + $26::float8 * interval '1 millisecond' else not_before end
    from created
   order by id
  returning id, task_id
)
select created.id,
       rung.id as outbox_id,
       created.not_before <= now() as due
  from created
  join rung on rung.task_id = created.id
