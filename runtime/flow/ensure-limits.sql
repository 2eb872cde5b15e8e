-- Make limit keys known before the first task with one is written, and bring their limits up to date.
-- $1 keys text[] (different ones)  $2 max int[], null: no limit  $3 interval_ms float8[], null: no rate
-- One row per key written. A limit is never set below what runs now: it is lowered by the next call that finds fewer running.
insert into taskiq.limit_key as l (key, max, interval_ms)
select u.key, u.max, u.interval_ms
  from unnest($1::text[], $2::int[], $3::float8[]) as u (key, max, interval_ms)
 order by u.key
on conflict (key) do update
   set max = case when excluded.max is null then null else greatest(excluded.max, l.running) end,
       interval_ms = excluded.interval_ms,
       used_at = now()
returning key
