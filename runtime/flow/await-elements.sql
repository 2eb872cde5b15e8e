-- Make a mapped step wait for elements that are there already. Its run is locked.
-- $1 task id  $2 elements: from 1
-- It has no doorbell then.
with silenced as (
  delete from taskiq.outbox where task_id = $1::uuid and kind = 'doorbell'
)
update taskiq.task t
   set state = 'blocked',
       elements = $2::int,
       pending_parents = $2::int
 where t.id = $1::uuid
