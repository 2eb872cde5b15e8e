-- Note why the task of a due schedule cannot be made, and disable the schedule when that has been so for long enough.
-- $1 schedule_id  $2 next_at as it was read (fence)  $3 problem json
-- $4 patience_ms: how long it may have been due, because another process may know the task already or still (rolling deploys)
-- One row: noted, and whether it is disabled now. No row: the schedule was fired, paused or deleted by another.
update taskiq.schedule
   set problem = $3::json,
       disabled_at = case when next_at <= now() - $4::float8 * interval '1 millisecond' then now() end
 where id = $1::uuid
   and next_at = $2::timestamptz
   and paused_at is null
   and disabled_at is null
returning disabled_at is not null as disabled
