-- Delete terminal tasks older than the retention, with their attempts. Objects in S3 go after the rows: an orphan is harmless.
-- $1 retention_ms  $2 at most so many rows
-- One row per task deleted, with the references of its payloads. A task with a message still to send is kept.
with old as materialized (
  select t.id
    from taskiq.task t
   where t.finished_at < now() - $1::float8 * interval '1 millisecond'
     and not exists (select from taskiq.outbox o where o.task_id = t.id)
   order by t.finished_at
   limit $2::int
     for update of t skip locked
),
attempts as (
  delete from taskiq.attempt where task_id = any(array(select id from old))
)
delete from taskiq.task t
 where t.id = any(array(select id from old))
returning t.id, t.input_ref, t.result_ref
