-- Record the success of many attempts.
-- $1 task ids uuid[]  $2 attempt int[] (fence, same order)  $3 result json[] or null  $4 result_ref text[] or null
-- One row per outcome accepted. An attempt that is missing does not own its task any more: nothing was changed for it.
-- Guard: id, attempt and state = 'running', on rows locked in id order. `skip locked`: a row that
-- somebody holds must not delay the others; read-attempts.sql tells such an attempt from one that is over.
-- `id = any($1)` and `state::text`: found by id whatever the planner knew, see claim.sql.
with outcome as (
  select * from unnest($1::uuid[], $2::int[], $3::json[], $4::text[]) as u (id, attempt, result, result_ref)
),
held as materialized (
  select t.id
    from taskiq.task t
    join outcome o on o.id = t.id and o.attempt = t.attempt
   where t.id = any($1::uuid[])
     and t.state::text = 'running'
   order by t.id
     for update of t skip locked
),
done as (
  update taskiq.task t
     set state = 'succeeded',
         result = o.result,
         result_ref = o.result_ref,
         error = null,
         lease_until = null,
         finished_at = now()
    from outcome o
    join held using (id)
   where t.id = any($1::uuid[])
     and t.id = o.id
     and t.attempt = o.attempt
     and t.state::text = 'running'
  returning t.id, t.attempt, t.queue, t.reply_key
),
replied as (
  insert into taskiq.outbox (kind, task_id, queue, send_at)
  select 'result', id, queue, now()
    from done
   where reply_key is not null
   order by id
  -- A new id: a sender that is still busy with the old row cannot settle this one.
  on conflict (task_id, kind) do update set id = excluded.id, send_at = excluded.send_at
)
select id, attempt from done
