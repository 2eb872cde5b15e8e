-- A run that is to be executed again.
-- $1 run id  $2 tenant: only where it is that of the run; null: of any
select r.id, r.tenant, r.job, r.mode, r.state, r.priority, r.input, r.input_ref, r.graph, r.labels, r.root_run_id
  from taskiq.run r
 where r.id = $1::uuid
   and ($2::text is null or r.tenant = $2::text)
