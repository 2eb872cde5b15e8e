-- Pause a schedule. Asking again changes nothing.
-- $1 schedule_id  $2 tenant
-- One row: it is paused. No row: the tenant has no such schedule.
update taskiq.schedule
   set paused_at = coalesce(paused_at, now())
 where id = $1::uuid
   and tenant = $2::text
returning id
