-- Lock the limit keys of some tasks, in the order of keys: before their rows, as everywhere. A statement of its own: those after it see what was
-- committed while it waited.
-- $1 task ids uuid[]
-- One row per key, as it is now; wait_ms: until the next start at its rate is due.
with wanted as (
  select distinct k.key
    from taskiq.task t, unnest(t.limit_keys) as k (key)
   where t.id = any($1::uuid[])
)
select l.key,
       l.running,
       l.max,
       l.interval_ms,
       case
         when l.interval_ms is null or l.next_token_at <= now() then 0
         else extract(epoch from l.next_token_at - now()) * 1000
       end::float8 as wait_ms
  from taskiq.limit_key l
 where l.key = any(array(select key from wanted))
 order by l.key
   for update
