-- Give back the room of attempts that have ended, and ring for the best waiters: one for each place that became free. Their keys are locked.
-- $1 task ids uuid[]: they held room at all of their keys
-- $2 keys text[]: places that were offered and not used, one element a place; their next waiter is rung as well
-- One row per task rung: its doorbell.
-- Guard: waiters are locked in the order of their index. `skip locked`: one that is being cancelled is passed over.
with ended as (
  select k.key, count(*) as places
    from taskiq.task t, unnest(t.limit_keys) as k (key)
   where t.id = any($1::uuid[])
   group by k.key
),
freed as (
  update taskiq.limit_key l
     set running = l.running - ended.places
    from ended
   where l.key = ended.key
  returning l.key, ended.places, l.max - l.running as room
),
open as (
  select key, places, room from freed
  union all
  select l.key, count(*), max(l.max - l.running)
    from unnest($2::text[]) as u (key)
    join taskiq.limit_key l using (key)
   group by l.key
),
best as materialized (
  select w.*
    from open
   cross join lateral (
     select t.id, t.name, t.queue, t.tenant, t.group_key, t.priority
       from taskiq.task t
      where t.parked_on = open.key
      order by t.rank, t.id
      limit least(open.places, coalesce(open.room, open.places))
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
  -- A new id: a sender that is still busy with the old row cannot settle this one.
  on conflict (task_id, kind) do update set id = excluded.id, send_at = excluded.send_at
  returning id, task_id
)
select r.id as "outboxId",
       b.id,
       b.name,
       b.queue,
       b.tenant,
       b.group_key as "group",
       b.priority
  from best b
  join rung r on r.task_id = b.id
