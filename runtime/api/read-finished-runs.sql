-- Which of these runs are over: one poll for every caller that waits in this process.
-- $1 run ids uuid[]
-- An id that has no row is over as well: it was pruned, or never was.
select waiting.id
  from unnest($1::uuid[]) as waiting (id)
  left join taskiq.run r on r.id = any($1::uuid[]) and r.id = waiting.id
 where r.id is null
    or r.finished_at is not null
