-- Attempts of steps of watched runs that came to nothing since a moment.
-- $1 run ids uuid[]  $2 since when float8[] (same order), in microseconds since 1970
-- One row per attempt. Times in microseconds since 1970.
select t.run_id, t.id, t.step_key, t.name, a.attempt, a.outcome, a.error,
       (extract(epoch from a.started_at) * 1000000)::int8 as started_us,
       (extract(epoch from a.ended_at) * 1000000)::int8 as ended_us
  from unnest($1::uuid[], $2::float8[]) as watched (id, since_us)
 cross join lateral (
   select t.run_id, t.id, t.step_key, t.name
     from taskiq.task t
    where t.run_id = watched.id
      and (t.attempt > 1 or (t.attempt = 1 and t.state not in ('running', 'succeeded')))
   offset 0
 ) t
 cross join lateral (
   select *
     from taskiq.attempt a
    where a.task_id = t.id
      and a.ended_at >= 'epoch'::timestamptz + watched.since_us * interval '1 microsecond'
 ) a
