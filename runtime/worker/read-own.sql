-- Which tasks are running under this worker's name: what it holds after a claim whose answer was lost.
-- $1 task ids uuid[]: only of these; null: of all  $2 worker
select id, attempt, limit_keys is not null as limited, run_id as "runId"
  from taskiq.task
 where ($1::uuid[] is null or id = any($1::uuid[]))
   and state = 'running'
   and worker = $2::text
