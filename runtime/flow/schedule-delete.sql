-- Delete a schedule. Its tasks stay.
-- $1 schedule_id  $2 tenant
-- One row: deleted. No row: the tenant has no such schedule.
delete from taskiq.schedule
 where id = $1::uuid
   and tenant = $2::text
returning id
