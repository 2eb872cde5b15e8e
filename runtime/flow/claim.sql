-- Claim the tasks that up to ten messages name: queued -> running, attempt + 1, a lease.
-- $1 task ids uuid[]  $2 worker  $3 lease_ms  $4 names of the tasks this worker knows text[]
-- $5 unknown_task_after_ms: how long a due task waits for a worker that knows it
-- $6 again_ms: when a task unknown to this worker is rung again
-- One row per id. `verdict`:
--   claimed          ours; attempt is the fence
--   missing          no such row
--   finished         terminal
--   running          another attempt owns it (its lease or the reaper looks after it)
--   contended        queued, but another claim holds the row at this moment
--   not_due          queued for later; its outbox row exists, left or inserted here
--   unknown_task     queued, name unknown here; rung again by its outbox row
--   unknown_expired  the same for too long: failed here, with a copy to the dead-letter queue
-- Guard: the row is locked (in id order, so that two batches cannot deadlock) and still queued. `skip locked`: a claim never waits.
-- `id = any($1)` everywhere and `state::text`: rows are found by their id whatever the planner knew when it planned. A partial index on
-- a state looks small when few rows are in it, and a plan that scans it is kept while it fills.
with named as (
  select distinct u.id from unnest($1::uuid[]) as u (id)
),
held as materialized (
  select t.id,
         case
           when t.not_before > now() then 'not_due'
           when t.name = any($4::text[]) then 'claimed'
           when t.not_before > now() - $5::float8 * interval '1 millisecond' then 'unknown_task'
           else 'unknown_expired'
         end as verdict
    from taskiq.task t
   where t.id = any($1::uuid[])
     and t.state::text = 'queued'
   order by t.id
     for update of t skip locked
),
claimed as (
  update taskiq.task t
     set state = 'running',
         attempt = t.attempt + 1,
         worker = $2::text,
         lease_until = now() + $3::float8 * interval '1 millisecond',
         started_at = now(),
         progress = null,
         progress_message = null
    from held
   where t.id = any($1::uuid[])
     and t.id = held.id
     and held.verdict = 'claimed'
  returning t.id, t.attempt, t.failures, t.name, t.input, t.input_ref, t.labels, t.trace_context, t.tenant, t.priority,
            t.timeout_ms, t.grace_ms, t.max_attempts, t.backoff_ms, t.max_backoff_ms, t.created_at, t.not_before, t.started_at
),
expired as (
  update taskiq.task t
     set state = 'failed',
         error = json_build_object(
           'code', 'unknown_task',
           'type', 'UnknownTask',
           'message', format('No worker knows the task "%s". Deploy a worker that defines it, then redrive.', t.name)
         ),
         finished_at = now()
    from held
   where t.id = any($1::uuid[])
     and t.id = held.id
     and held.verdict = 'unknown_expired'
  returning t.id, t.queue, t.reply_key
),
rung as (
  insert into taskiq.outbox (kind, task_id, queue, send_at)
  select 'doorbell'::taskiq.outbox_kind,
         t.id,
         t.queue,
         case when held.verdict = 'not_due' then t.not_before else now() + $6::float8 * interval '1 millisecond' end
    from held
    join taskiq.task t using (id)
   where held.verdict in ('not_due', 'unknown_task')
     and t.id = any($1::uuid[])
  union all
  select 'dead_letter', id, queue, now() from expired
  union all
  select 'result', id, queue, now() from expired where reply_key is not null
  -- A new id: a sender that is still busy with the old row cannot settle this one.
  on conflict (task_id, kind) do update set id = excluded.id, send_at = excluded.send_at
)
select named.id,
       coalesce(
         held.verdict,
         case t.state
           when 'queued' then 'contended'
           when 'running' then 'running'
           when 'blocked' then 'contended'
         end,
         case when t.id is null then 'missing' else 'finished' end
       ) as verdict,
       claimed.attempt,
       claimed.failures,
       claimed.name,
       claimed.input,
       claimed.input_ref,
       claimed.labels,
       claimed.trace_context,
       claimed.tenant,
       claimed.priority,
       claimed.timeout_ms,
       claimed.grace_ms,
       claimed.max_attempts,
       claimed.backoff_ms,
       claimed.max_backoff_ms,
       claimed.created_at,
       claimed.not_before,
       claimed.started_at
  from named
  left join held using (id)
  left join claimed using (id)
  left join taskiq.task t on t.id = any($1::uuid[]) and t.id = named.id and held.id is null
