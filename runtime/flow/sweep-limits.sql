-- Ring for waiters of keys that have room: whoever was rung for it may have been cancelled, or its doorbell lost.
-- $1 at most so many waiters of a key
-- One row per task rung. One process at a time; the keys are locked in order, and passed over where somebody holds them.
with leader as materialized (
  select pg_try_advisory_xact_lock(hashtext('taskiq'), hashtext('sweep-limits')) as elected
),
waited_for as (
  -- One step of the index a key, however many wait for it.
  select l.key
    from taskiq.limit_key l
   where (select elected from leader)
     and exists (select from taskiq.task t where t.parked_on = l.key)
),
roomy as materialized (
  select l.key, least($1::int, coalesce(l.max - l.running, $1::int)) as room
    from taskiq.limit_key l
   where l.key = any(array(select key from waited_for))
     and (l.max is null or l.running < l.max)
   order by l.key
     for update skip locked
),
best as materialized (
  select w.id, w.queue
    from roomy
   cross join lateral (
     select t.id, t.queue
       from taskiq.task t
      where t.parked_on = roomy.key
      order by t.rank, t.id
      limit roomy.room
        for update of t skip locked
   ) w
),
woken as (
  update taskiq.task t
     set parked_on = null,
         announced_at = now(),
         rings = 0
   where t.id = any(array(select id from best))
),
rung as (
  insert into taskiq.outbox (kind, task_id, queue, send_at)
  select 'doorbell', id, queue, now()
    from best
   order by id
  on conflict (task_id, kind) do update set id = excluded.id, send_at = excluded.send_at
)
select id from best
