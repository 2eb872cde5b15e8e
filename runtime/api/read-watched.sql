-- How the tasks are that somebody watches: one look for every listener in this process.
-- $1 task ids uuid[]
-- One row per task that exists.
select id, tenant, state, attempt, failures, losses, worker, progress, progress_message, cancel_requested_at is not null as cancel_requested
  from taskiq.task
 where id = any($1::uuid[])
