-- What steps that are claimed take from others: their states and results.
-- $1 task ids uuid[]
-- One row per task that exists. `elements`: it is a mapped step with so many of them, whose results are its result.
select t.id, t.state, t.elements, t.result, t.result_ref
  from taskiq.task t
 where t.id = any($1::uuid[])
