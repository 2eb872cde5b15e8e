-- Lock the tasks of a run that are not over, in id order, and wait for whoever holds one. Its row is locked (lock-runs.sql).
-- $1 run id  $2 tenant: only where it is that of the run; null: of any
-- One row: how many. Apart from what changes them, which then sees them as they are: a statement that waits itself goes on with the rows of before
-- its wait, and would join ten thousand of them with themselves to learn what they became.
select count(*)::int as tasks
  from (
    select t.id
      from taskiq.task t
     where t.run_id = $1::uuid
       and t.state in ('blocked', 'queued', 'running')
       and exists (select from taskiq.run r where r.id = $1::uuid and ($2::text is null or r.tenant = $2::text))
     order by t.id
       for update of t
  ) held
