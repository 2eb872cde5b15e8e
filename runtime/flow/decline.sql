-- Say why tasks named by messages were not claimed, and leave a doorbell for those that must ring again.
-- $1 task ids uuid[]  $2 names of the tasks this worker knows text[]
-- $3 unknown_task_after_ms: how long a due task waits for a worker that knows it
-- $4 again_ms: when a task unknown to this worker is rung again
-- One row per id. `verdict`:
--   missing          no such row
--   finished         terminal
--   running          another attempt owns it (its lease and the reaper look after it)
--   limited          queued, due and known, with limits of its own: claim-limited.sql decides
--   contended        another claim holds the row, or held it a moment ago
--   not_due          queued for later; its outbox row exists, left or inserted here
--   unknown_task     queued, name unknown here; rung again by its outbox row
--   unknown_expired  the same for too long: failed here, with a copy to the dead-letter queue
-- Guard: rows are locked in id order and still queued. `id = any($1)` and `state::text`: see claim.sql.
with locked as materialized (
  -- Of steps that may have waited too long.
  select taskiq.lock_runs(array(
    select distinct t.run_id
      from taskiq.task t
     where t.id = any($1::uuid[])
       and t.run_id is not null
       and t.state::text = 'queued'
       and t.name <> all($2::text[])
       and t.not_before <= now() - $3::float8 * interval '1 millisecond'
  )) as runs
),
held as materialized (
  select t.id,
         t.queue,
         t.not_before,
         case
           when t.not_before > now() then 'not_due'
           when t.name = any($2::text[]) and t.limit_keys is not null then 'limited'
           when t.name = any($2::text[]) then 'contended'
           when t.not_before > now() - $3::float8 * interval '1 millisecond' then 'unknown_task'
           else 'unknown_expired'
         end as verdict
    from taskiq.task t
   where t.id = any($1::uuid[])
     and t.state::text = 'queued'
     and (select runs from locked) >= 0
   order by t.id
     for update of t skip locked
),
expired as (
  update taskiq.task t
     set state = 'failed',
         error = json_build_object(
           'code', 'unknown_task',
           'type', 'UnknownTask',
           'message', format('No worker knows the task "%s". Deploy a worker that defines it, then redrive.', t.name)
         ),
         parked_on = null,
         finished_at = now()
    from held
   where t.id = any($1::uuid[])
     and t.id = held.id
     and held.verdict = 'unknown_expired'
  returning t.id, t.queue, t.reply_key, t.run_id
),
rung as (
  insert into taskiq.outbox (kind, task_id, queue, send_at)
  select 'doorbell'::taskiq.outbox_kind,
         id,
         queue,
         case verdict when 'not_due' then not_before else now() + $4::float8 * interval '1 millisecond' end
    from held
   where verdict in ('not_due', 'unknown_task')
  union all
  select 'dead_letter', id, queue, now() from expired where run_id is null
  union all
  select 'result', id, queue, now() from expired where reply_key is not null
  -- A new id: a sender that is still busy with the old row cannot settle this one.
  on conflict (task_id, kind) do update set id = excluded.id, send_at = excluded.send_at
),
advanced as materialized (
  select count(a.outbox_id) as rung
    from (select array_agg(id) as ids from expired where run_id is not null) e
   cross join lateral taskiq.advance(e.ids, 0) a
   where e.ids is not null
)
select named.id,
       coalesce(
         held.verdict,
         case t.state
           when 'queued' then 'contended'
           when 'blocked' then 'contended'
           when 'running' then 'running'
         end,
         case when t.id is null then 'missing' else 'finished' end
       ) as verdict
  from (select distinct u.id from unnest($1::uuid[]) as u (id)) named
 cross join advanced
  left join held using (id)
  left join taskiq.task t on t.id = any($1::uuid[]) and t.id = named.id
