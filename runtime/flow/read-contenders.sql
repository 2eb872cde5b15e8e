-- Which of these tasks want to start under their limits, best first: their keys are locked, so nobody else starts or frees them meanwhile.
-- $1 task ids uuid[]  $2 names of the tasks this worker knows text[]
select t.id,
       t.limit_keys as keys,
       t.has_token
  from taskiq.task t
 where t.id = any($1::uuid[])
   and t.limit_keys is not null
   and t.state::text = 'queued'
   and t.not_before <= now()
   and t.name = any($2::text[])
 order by t.rank, t.id
