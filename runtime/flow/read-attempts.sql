-- Which of these attempts still own their task: a plain read, it waits for nobody.
-- $1 task ids uuid[]  $2 attempt int[] (same order)
select t.id,
       t.attempt,
       t.state,
       t.worker
  from unnest($1::uuid[], $2::int[]) as mine (id, attempt)
  join taskiq.task t on t.id = any($1::uuid[]) and t.id = mine.id and t.attempt = mine.attempt
