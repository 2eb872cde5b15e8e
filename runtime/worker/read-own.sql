-- Which of these tasks are running under this worker's name: what it holds after a claim whose answer was lost.
-- $1 task ids uuid[]  $2 worker
select id, attempt
  from taskiq.task
 where id = any($1::uuid[])
   and state::text = 'running'
   and worker = $2::text
