-- Tasks with limits or in a run whose worker stopped renewing the lease: their keys and runs have to be locked before their rows.
-- $1 at most so many rows
select t.id, t.run_id, t.limit_keys is not null as limited
  from taskiq.task t
 where t.state = 'running'
   and t.lease_until < now()
   and (t.limit_keys is not null or t.run_id is not null)
 order by t.id
 limit $1::int
