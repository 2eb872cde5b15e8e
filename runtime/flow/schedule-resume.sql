-- Let a paused or disabled schedule go on, from its next time. One that is active stays as it is, with what it has to make up for.
-- $1 schedule_id  $2 tenant  $3 next_at: its first time from now on
-- One row: it was not active, and is now. No row: it was active, or the tenant has no such schedule.
update taskiq.schedule
   set paused_at = null,
       disabled_at = null,
       problem = null,
       next_at = $3::timestamptz
 where id = $1::uuid
   and tenant = $2::text
   and (paused_at is not null or disabled_at is not null)
returning id
