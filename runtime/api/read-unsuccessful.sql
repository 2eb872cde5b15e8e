-- The latest unsuccessful attempts of tasks.
-- $1 task ids uuid[]  $2 at most so many of each task
-- One row per attempt, in the order of tasks and attempts. Of a success there is no row: it stands in the task.
select latest.*
  from unnest($1::uuid[]) as wanted (id)
 cross join lateral (
   select a.task_id, a.attempt, a.outcome, a.worker, a.error, a.started_at, a.ended_at
     from taskiq.attempt a
    where a.task_id = wanted.id
    order by a.attempt desc
    limit $2::int
 ) latest
 order by latest.task_id, latest.attempt
