-- One schedule.
-- $1 schedule_id  $2 tenant
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
 where id = $1::uuid
   and tenant = $2::text
