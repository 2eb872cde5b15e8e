-- How runs are that somebody watches: one look for every listener in this process.
-- $1 run ids uuid[]
-- One row per run that exists. Times in microseconds since 1970. `troubled`: how many of its steps may have had an attempt that came to nothing.
select r.id, r.state, r.mode, r.steps, r.failed_steps, r.cancelled_steps, r.skipped_steps, r.open_steps, r.error,
       s.blocked, s.queued, s.running, s.troubled,
       (extract(epoch from r.finished_at) * 1000000)::int8 as finished_us,
       (extract(epoch from clock_timestamp()) * 1000000)::int8 as now_us
  from unnest($1::uuid[]) as watched (id)
 cross join lateral (select * from taskiq.run r where r.id = watched.id limit 1) r
 cross join lateral (
   select (count(*) filter (where t.state = 'blocked'))::int as blocked,
          (count(*) filter (where t.state = 'queued'))::int as queued,
          (count(*) filter (where t.state = 'running'))::int as running,
          (count(*) filter (where t.attempt > 1 or (t.attempt = 1 and t.state not in ('running', 'succeeded'))))::int as troubled
     from taskiq.task t
    where t.run_id = r.id
 ) s
