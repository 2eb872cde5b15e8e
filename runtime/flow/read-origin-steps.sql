-- What became of the steps of a run, elements among them.
-- $1 run id
select t.step_key as key, t.state, t.elements
  from taskiq.task t
 where t.run_id = $1::uuid
