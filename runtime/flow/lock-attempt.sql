-- Take the row of an attempt that is about to commit its own effects: the fence comes first, before any effect.
-- $1 task id  $2 attempt (fence)
-- No row: another attempt owns the task or it is over; roll back.
select id
  from taskiq.task
 where id = $1::uuid
   and attempt = $2::int
   and state::text = 'running'
   for update
