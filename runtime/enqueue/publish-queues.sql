-- Tell SQL which queues this process is configured with, and what kind they are.
-- $1 name text[], no name twice  $2 is_fifo boolean[]  $3 by_rank boolean[]: ordered by priority
-- $4 max int[], most running at once, null: all  $5 interval_ms float8[]: least time between two starts, null: none
-- One row per queue that is new or has changed. In the order of names: processes that start together would otherwise deadlock.
insert into taskiq.queue_definition as q (name, is_fifo, by_rank, max, interval_ms)
select u.name, u.is_fifo, u.by_rank, u.max, u.interval_ms
  from unnest($1::text[], $2::boolean[], $3::boolean[], $4::int[], $5::float8[]) as u (name, is_fifo, by_rank, max, interval_ms)
 order by u.name
on conflict (name) do update
   set is_fifo = excluded.is_fifo,
       by_rank = excluded.by_rank,
       max = excluded.max,
       interval_ms = excluded.interval_ms,
       changed_at = now()
 where (q.is_fifo, q.by_rank, q.max, q.interval_ms)
       is distinct from (excluded.is_fifo, excluded.by_rank, excluded.max, excluded.interval_ms)
returning name
