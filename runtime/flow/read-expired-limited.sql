-- Tasks with limits whose worker stopped renewing the lease: their keys have to be locked before their rows.
-- $1 at most so many rows
select t.id
  from taskiq.task t
 where t.state = 'running'
   and t.lease_until < now()
   and t.limit_keys is not null
 order by t.id
 limit $1::int
