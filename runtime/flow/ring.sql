-- Ring for queued tasks whose doorbell ended in the dead-letter queue.
-- $1 task ids uuid[]
-- One row per task that is queued. One whose message still waits in the outbox is not rung twice.
-- Guard: state queued, on rows locked in id order.
with held as materialized (
  select t.id, t.queue, greatest(t.not_before, now()) as due
    from taskiq.task t
   where t.id = any($1::uuid[])
     and t.state::text = 'queued'
   order by t.id
     for update of t
),
announced as (
  update taskiq.task t
     set announced_at = held.due
    from held
   where t.id = any($1::uuid[])
     and t.id = held.id
),
rung as (
  insert into taskiq.outbox (kind, task_id, queue, send_at)
  select 'doorbell', id, queue, due
    from held
   order by id
  on conflict (task_id, kind) do nothing
)
select id from held
