-- Delete runs that have been over for longer than the retention, and whose steps are deleted.
-- $1 retention_ms  $2 at most so many
with old as materialized (
  select r.id
    from taskiq.run r
   where r.finished_at < now() - $1::float8 * interval '1 millisecond'
     and not exists (select from taskiq.task t where t.run_id = r.id)
   order by r.finished_at
   limit $2::int
     for update of r skip locked
)
delete from taskiq.run r
 where r.id = any(array(select id from old))
returning r.id, r.input_ref
