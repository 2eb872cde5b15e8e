-- Ring at once for the queued steps of a run: a doorbell of theirs may have been lost.
-- $1 run id  $2 tenant: only where it is that of the run; null: of any
-- One row where the run exists. A step that is not due keeps its time, and one that waits for room at a limit is rung by whoever frees it.
-- Guard: state queued, on rows locked in id order.
with found as materialized (
  select r.id, r.state
    from taskiq.run r
   where r.id = $1::uuid
     and ($2::text is null or r.tenant = $2::text)
),
held as materialized (
  select t.id, t.queue, greatest(t.not_before, now()) as due
    from taskiq.task t
   where t.run_id = (select id from found)
     and t.state = 'queued'
     and t.parked_on is null
   order by t.id
     for update of t
),
announced as (
  update taskiq.task t
     set announced_at = held.due
    from held
   where t.id = any(array(select id from held))
     and t.id = held.id
),
rung as (
  insert into taskiq.outbox (kind, task_id, queue, send_at)
  select 'doorbell', id, queue, due
    from held
   order by id
  on conflict (task_id, kind) do update set id = excluded.id, send_at = excluded.send_at
)
select found.state, (select count(*) from held) as rung from found
