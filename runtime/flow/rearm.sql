-- Put tasks that ended without success back to work: all budgets are new, the fence is not.
-- $1 task ids uuid[]  $2 tenant text: only its tasks; null: anybody's
-- One row per task found, with the state it was found in and whether it was rearmed; a task that succeeded, was skipped or has not ended is left
-- alone, and so is a step: what followed from its end would stay; its run is executed again instead. Its doorbell is due at once.
-- Guard: rows are locked in id order and waited for; state failed or cancelled.
with held as materialized (
  select t.id, t.state as was, t.run_id
    from taskiq.task t
   where t.id = any($1::uuid[])
     and ($2::text is null or t.tenant = $2::text)
   order by t.id
     for update of t
),
rearmed as (
  update taskiq.task t
     set state = 'queued',
         failures = 0,
         losses = 0,
         not_before = now(),
         ordered_at = case when t.group_key is not null then now() end,
         announced_at = now(),
         rings = 0,
         cancel_requested_at = null,
         cancel_reason = null,
         finished_at = null
    from held
   where t.id = any($1::uuid[])
     and t.id = held.id
     and held.was in ('failed', 'cancelled')
     and held.run_id is null
  returning t.id, t.queue
),
rung as (
  insert into taskiq.outbox (kind, task_id, queue, send_at)
  select 'doorbell', id, queue, now()
    from rearmed
   order by id
  -- A new id: a sender that is still busy with the old row cannot settle this one.
  on conflict (task_id, kind) do update set id = excluded.id, send_at = excluded.send_at
)
select held.id, held.was, held.run_id as "runId", rearmed.id is not null as rearmed
  from held
  left join rearmed using (id)
