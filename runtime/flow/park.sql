-- Make tasks wait: for room at a key, or for their turn at a rate. Their keys are locked.
-- $1 task ids uuid[]  $2 key text[] (same order): the key they wait for; null: for their turn
-- $3 in_ms float8[] (same order): their turn, from now on; null: when a release rings
-- $4 keys with a rate text[]  $5 next_ms float8[] (same order): when their next start is due, from now on
-- One row per task that waits. One that is parked has no doorbell, and is not rung again; one with a turn is rung then.
-- Guard: the row is locked (in id order) and still queued.
with waiting as (
  select * from unnest($1::uuid[], $2::text[], $3::float8[]) as u (id, key, in_ms)
),
held as materialized (
  select t.id
    from taskiq.task t
   where t.id = any($1::uuid[])
     and t.state::text = 'queued'
   order by t.id
     for update of t skip locked
),
parked as (
  update taskiq.task t
     set parked_on = waiting.key,
         has_token = waiting.key is null,
         not_before = case when waiting.key is null then now() + waiting.in_ms * interval '1 millisecond' else t.not_before end,
         announced_at = case when waiting.key is null then now() + waiting.in_ms * interval '1 millisecond' else 'infinity' end
    from waiting
    join held using (id)
   where t.id = any($1::uuid[])
     and t.id = waiting.id
  returning t.id, t.queue, t.parked_on, t.not_before
),
silenced as (
  delete from taskiq.outbox
   where id = any(array(
     select o.id
       from taskiq.outbox o
      where o.kind = 'doorbell'
        and o.task_id = any(array(select id from parked where parked_on is not null))
      order by o.id
        for update skip locked
   ))
),
rung as (
  insert into taskiq.outbox (kind, task_id, queue, send_at)
  select 'doorbell', id, queue, not_before
    from parked
   where parked_on is null
   order by id
  -- A new id: a sender that is still busy with the old row cannot settle this one.
  on conflict (task_id, kind) do update set id = excluded.id, send_at = excluded.send_at
),
turns as (
  update taskiq.limit_key l
     set next_token_at = now() + u.next_ms * interval '1 millisecond'
    from unnest($4::text[], $5::float8[]) as u (key, next_ms)
   where l.key = u.key
)
select id from parked
