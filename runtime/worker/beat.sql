-- Say that this worker is alive, and hear how new the newest one is.
-- $1 name  $2 version  $3 queues text[]  $4 slots  $5 running  $6 draining
-- $7 revision of its task definition; null outside ECS  $8 alive_ms: silence after which a worker is taken for dead
-- One row. `newest`: the highest revision among workers that are alive, this one included; null where none has one.
with beaten as (
  insert into taskiq.worker as w (name, version, queues, slots, running, draining, revision)
  values ($1::text, $2::text, $3::text[], $4::int, $5::int, $6::boolean, $7::int)
  on conflict (name) do update
     set running = excluded.running,
         draining = excluded.draining,
         beat_at = now()
)
-- The statement does not see its own insert.
select greatest(max(revision), $7::int) as newest
  from taskiq.worker
 where beat_at > now() - $8::float8 * interval '1 millisecond'
