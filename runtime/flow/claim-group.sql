-- Claim the first unfinished task of each group that messages of a FIFO queue ring for.
-- $1 queue  $2 group keys text[] (different ones)  $3 worker  $4 lease_ms  $5 names of the tasks this worker knows text[]
-- One row per group. `verdict`:
--   claimed          its first task is ours; the other columns are those of claim.sql
--   running          its first task runs; wait_ms: its lease from now on
--   not_due          its first task waits, for a retry or for its time; wait_ms
--   contended        another claim holds its first task
--   unknown_task     its first task has a name unknown here
--   empty            nothing unfinished is in it
-- A doorbell of a group rings for whatever is first in it: one lost, doubled or late costs time, never the order. A task that has not begun and
-- is not due does not hold up those behind it; one that has begun does, whatever it waits for.
-- Guard: the row is locked, still queued, due and known; one_running_task_per_group refuses a second one that a concurrent claim has not seen.
with ringing as (
  select distinct u.group_key from unnest($2::text[]) as u (group_key)
),
first as materialized (
  select ringing.group_key,
         f.id,
         f.state,
         f.name,
         f.not_before,
         f.lease_until
    from ringing
    left join lateral (
      select candidate.*
        from (
          (
            -- What runs is first, also when an earlier one has turned up behind it.
            select 0 as place, t.id, t.state, t.name, t.not_before, t.lease_until
              from taskiq.task t
             where t.queue = $1::text
               and t.group_key = ringing.group_key
               and t.state = 'running'
             limit 1
          )
          union all
          (
            select 1, t.id, t.state, t.name, t.not_before, t.lease_until
              from taskiq.task t
             where t.queue = $1::text
               and t.group_key = ringing.group_key
               and t.state = 'queued'
               and (t.attempt > 0 or t.not_before <= now())
             order by t.ordered_at, t.id
             limit 1
          )
        ) candidate
       order by candidate.place
       limit 1
    ) f on true
),
held as materialized (
  select t.id
    from taskiq.task t
   where t.id = any(array(select id from first where state = 'queued' and not_before <= now() and name = any($5::text[])))
     and t.state::text = 'queued'
   order by t.id
     for update of t skip locked
),
claimed as (
  update taskiq.task t
     set state = 'running',
         attempt = t.attempt + 1,
         worker = $3::text,
         lease_until = now() + $4::float8 * interval '1 millisecond',
         started_at = now(),
         progress = null,
         progress_message = null
    from held
   where t.id = any(array(select id from held))
     and t.id = held.id
  returning t.*
)
select first.group_key,
       case
         when c.id is not null then 'claimed'
         when first.id is null then 'empty'
         when first.state = 'running' then 'running'
         when first.not_before > now() then 'not_due'
         when first.name <> all($5::text[]) then 'unknown_task'
         else 'contended'
       end as verdict,
       case
         when c.id is not null or first.id is null then 0
         when first.state = 'running' then greatest(0, extract(epoch from first.lease_until - now()) * 1000)
         else greatest(0, extract(epoch from first.not_before - now()) * 1000)
       end::float8 as wait_ms,
       first.id as first_id,
       c.id, c.attempt, c.failures, c.name, c.input, c.input_ref, c.labels, c.trace_context, c.tenant, c.priority,
       c.timeout_ms, c.grace_ms, c.max_attempts, c.backoff_ms, c.max_backoff_ms, c.created_at, c.not_before, c.started_at,
       c.run_id, c.step_key, c.step, c.isolation
  from first
  left join claimed c on c.id = first.id
