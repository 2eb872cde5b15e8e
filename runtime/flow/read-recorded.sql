-- The recorded outcome of tasks, for the TaskiqResult of a foreign producer: written from the row, so no stale attempt can publish.
-- $1 task ids uuid[]
select id,
       wire_id,
       reply_key,
       state,
       result,
       result_ref,
       error,
       coalesce(reply_labels, labels) as labels,
       failures,
       extract(epoch from finished_at - started_at) * 1000 as execution_ms
  from taskiq.task
 where id = any($1::uuid[])
   and finished_at is not null
