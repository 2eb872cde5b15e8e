-- Delete terminal tasks older than the retention, with their attempts. Objects in S3 go after the rows: an orphan is harmless.
-- $1 retention_ms  $2 at most so many rows
-- One row per task deleted, with the references of its payloads, but for those that a repeated run may share. A task with a message still to send is
-- kept, and so is a step whose run is not over for as long.
with old as materialized (
  select t.id
    from taskiq.task t
   where t.finished_at < now() - $1::float8 * interval '1 millisecond'
     and not exists (select from taskiq.outbox o where o.task_id = t.id)
     -- Asked for each step by itself: whatever the planner knew, it looks for the run by its id.
     and (t.run_id is null or (select r.finished_at from taskiq.run r where r.id = t.run_id) < now() - $1::float8 * interval '1 millisecond')
   order by t.finished_at
   limit $2::int
     for update of t skip locked
),
attempts as (
  delete from taskiq.attempt where task_id = any(array(select id from old))
),
edges as (
  delete from taskiq.edge where parent = any(array(select id from old))
)
delete from taskiq.task t
 where t.id = any(array(select id from old))
returning t.id,
          case when t.run_id is null or (select count(*) from taskiq.run r where r.parent_run_id = t.run_id) = 0 then
            case when t.run_id is null or strpos(t.input_ref, t.id::text) > 0 then t.input_ref end
          end as input_ref,
          case when t.run_id is null or (select count(*) from taskiq.run r where r.parent_run_id = t.run_id) = 0 then
            case when t.run_id is null or strpos(t.result_ref, t.id::text) > 0 then t.result_ref end
          end as result_ref
