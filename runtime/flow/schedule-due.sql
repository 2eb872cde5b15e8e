-- Look at the schedules that are due, oldest first.
-- $1 schedule_id[] to leave out: this process could not make their tasks a moment ago  $2 limit
-- One row a schedule, with the database's time in milliseconds since 1970. Nothing is locked: whoever moves next_at on first has the firing.
select id,
       tenant,
       name,
       task,
       input,
       queue,
       priority,
       ordering_key,
       labels,
       cron,
       time_zone,
       interval_ms,
       (extract(epoch from anchor_at) * 1000)::float8 as anchor_ms,
       catch_up,
       catch_up_limit,
       overlap,
       next_at,
       (extract(epoch from now()) * 1000)::float8 as now_ms
  from taskiq.schedule
 where paused_at is null
   and disabled_at is null
   and next_at <= now()
   and not id = any($1::uuid[])
 order by next_at, id
 limit $2::int
