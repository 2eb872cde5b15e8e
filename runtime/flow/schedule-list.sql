-- Schedules of a tenant in the order of their names.
-- $1 tenant  $2 after: a name, or '' for the first  $3 name, or null for all  $4 limit
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
       paused_at,
       disabled_at,
       problem,
       next_at,
       last_fired_for,
       last_task_id,
       fired,
       overlapped,
       request_hash,
       created_at
  from taskiq.schedule
 where tenant = $1::text
   and name > $2::text
   and ($3::text is null or name = $3::text)
 order by name
 limit $4::int
