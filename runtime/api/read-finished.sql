-- Which of these tasks are over: one poll for every caller that waits in this process.
-- $1 task ids uuid[]
-- An id that has no row is over as well: it was pruned, or never was.
select waiting.id
  from unnest($1::uuid[]) as waiting (id)
  left join taskiq.task t on t.id = any($1::uuid[]) and t.id = waiting.id
 where t.id is null
    or t.finished_at is not null
