-- Say that this worker is alive.
-- $1 name  $2 version  $3 queues text[]  $4 slots  $5 running  $6 draining
insert into taskiq.worker as w (name, version, queues, slots, running, draining)
values ($1::text, $2::text, $3::text[], $4::int, $5::int, $6::boolean)
on conflict (name) do update
   set running = excluded.running,
       draining = excluded.draining,
       beat_at = now()
