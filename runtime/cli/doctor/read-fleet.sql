-- Who works, on what, and what was stopped on purpose.
-- $1 alive_ms: a worker that was heard of within this time is alive
-- One row. `workers` alive, `lost` of the last day, `polled` queues; `paused` queues with who did it; `schedules`, of which paused and disabled.
select (select count(*) from taskiq.worker where beat_at > now() - $1::float8 * interval '1 millisecond')::int as workers,
       (
         select count(*)
           from taskiq.worker
          where beat_at <= now() - $1::float8 * interval '1 millisecond'
            and beat_at > now() - interval '1 day'
       )::int as lost,
       array(
         select distinct q.name
           from taskiq.worker w, unnest(w.queues) as q (name)
          where w.beat_at > now() - $1::float8 * interval '1 millisecond'
            and not w.draining
          order by q.name
       ) as polled,
       coalesce(
         (select json_agg(json_build_object('queue', p.queue, 'by', p.paused_by) order by p.queue) from taskiq.paused_queue p), '[]'
       )::text as paused,
       (select count(*) from taskiq.schedule)::int as schedules,
       (select count(*) from taskiq.schedule where paused_at is not null)::int as paused_schedules,
       (select count(*) from taskiq.schedule where disabled_at is not null)::int as disabled_schedules
