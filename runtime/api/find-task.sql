-- Whether a task is there for a tenant, with its id as it is stored and its state.
-- $1 task id  $2 tenant
-- One row, or none.
select id, state, attempt
  from taskiq.task
 where id = $1::uuid
   and tenant = $2::text
