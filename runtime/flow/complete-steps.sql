-- Record the end of many steps' attempts, and everything that follows from it in their graphs.
-- $1 task ids uuid[]  $2 attempt int[] (fence, same order)  $3 result json[] or null  $4 result_ref text[] or null
-- $5 skipped boolean[]: its condition does not hold, so it was not run  $6 runs of these steps uuid[]
-- $7 fast_path_ms: how long the caller has to ring by itself
-- $8 worker, $9 lease_ms, $10 names it knows text[], $11 queues text[]: the worker goes on with at most so many readied steps of a queue as it
--    stands there; see taskiq.advance
-- $12 outcome text[]: how the run has ended, where the step is the whole of it; else null
-- Rows with `ended`: outcomes accepted; an attempt that is missing does not own its task any more. The others: tasks that were readied, with their
-- outbox row, or claimed for the worker where that is null, with the columns of claim.sql.
-- Guard: the runs are locked before the rows; id, attempt and state = 'running', on rows locked in id order. `skip locked` as in complete.sql.
with locked as materialized (
  select taskiq.lock_runs($6::uuid[]) as runs
),
outcome as (
  select *
    from unnest($1::uuid[], $2::int[], $3::json[], $4::text[], $5::boolean[], $12::text[]) as u (id, attempt, result, result_ref, skipped, outcome)
),
held as materialized (
  select t.id
    from taskiq.task t
    join outcome o on o.id = t.id and o.attempt = t.attempt
   where t.id = any($1::uuid[])
     and t.state::text = 'running'
     and (select runs from locked) >= 0
   order by t.id
     for update of t skip locked
),
done as (
  update taskiq.task t
     set state = case when o.skipped then 'skipped' else 'succeeded' end::taskiq.task_state,
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
  returning t.id, t.attempt, t.run_id, o.outcome
),
told as (
  update taskiq.run r
     set outcome = done.outcome::taskiq.run_state
    from done
   where r.id = done.run_id
     and done.outcome is not null
  returning r.id
),
advanced as materialized (
  select a.task, a.outbox_id
    from (select array_agg(id) as ids from done) d
   cross join lateral taskiq.advance(d.ids, $7::float8, $8::text, $9::float8, $10::text[], $11::text[]) a
   where d.ids is not null
     -- The counts of the run are written after that.
     and (select count(*) from told) >= 0
)
select id, attempt, true as ended, null::bigint as outbox_id, null as group_key, null::integer as failures, null as name, null as queue,
       null::json as input, null as input_ref, null::json as labels, null as trace_context, null as tenant, null::smallint as priority,
       null::integer as timeout_ms, null::integer as grace_ms, null::integer as max_attempts, null::integer as backoff_ms,
       null::integer as max_backoff_ms, null::timestamptz as created_at, null::timestamptz as not_before, null::timestamptz as started_at,
       null::uuid as run_id, null as step_key, null::json as step, null as isolation
  from done
union all
select (task).id, (task).attempt, false, outbox_id, (task).group_key, (task).failures, (task).name, (task).queue,
       (task).input, (task).input_ref, (task).labels, (task).trace_context, (task).tenant, (task).priority,
       (task).timeout_ms, (task).grace_ms, (task).max_attempts, (task).backoff_ms,
       (task).max_backoff_ms, (task).created_at, (task).not_before, (task).started_at,
       (task).run_id, (task).step_key, (task).step, (task).isolation
  from advanced
