-- Cancel tasks: at once where nothing runs, by the owner where something does.
-- $1 task ids uuid[]  $2 tenant text: only its tasks; null: anybody's  $3 reason text
-- One row per task found: `was`, the state it was found in, and its state now. One that runs goes on until its owner has seen the flag; a
-- flag that is set stays as it was first set.
-- Guard: rows are locked in id order, and waited for: what completes at this moment is answered with what it became.
with held as materialized (
  select t.id, t.state as was
    from taskiq.task t
   where t.id = any($1::uuid[])
     and ($2::text is null or t.tenant = $2::text)
   order by t.id
     for update of t
),
cancelled as (
  update taskiq.task t
     set state = case held.was when 'running' then t.state else 'cancelled' end,
         cancel_requested_at = coalesce(t.cancel_requested_at, now()),
         cancel_reason = coalesce(t.cancel_reason, $3::text),
         error = case
           when held.was = 'running' then t.error
           else json_build_object('code', 'cancelled', 'type', 'Cancelled', 'message', 'Cancelled before it ran.')
         end,
         parked_on = null,
         finished_at = case when held.was <> 'running' then now() end
    from held
   where t.id = any($1::uuid[])
     and t.id = held.id
     and held.was in ('blocked', 'queued', 'running')
  returning t.id, t.state, t.queue, t.reply_key
),
-- Its doorbell would ring for nothing; one due in a year would be kept for a year.
silenced as (
  delete from taskiq.outbox
   where id = any(array(
     select o.id
       from taskiq.outbox o
      where o.kind = 'doorbell'
        and o.task_id = any(array(select id from cancelled where state = 'cancelled'))
      order by o.id
        for update skip locked
   ))
),
replied as (
  insert into taskiq.outbox (kind, task_id, queue, send_at)
  select 'result', id, queue, now()
    from cancelled
   where state = 'cancelled'
     and reply_key is not null
   order by id
  -- A new id: a sender that is still busy with the old row cannot settle this one.
  on conflict (task_id, kind) do update set id = excluded.id, send_at = excluded.send_at
)
select held.id, held.was, coalesce(cancelled.state, held.was) as state
  from held
  left join cancelled using (id)
