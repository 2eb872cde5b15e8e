-- Write what follows from the end of steps. Their runs are locked.
-- $1 task ids uuid[]  $2 fast_path_ms: how long the caller has to ring by itself
-- One row per task that was readied, with its outbox row.
select (a.task).id, a.outbox_id as "outboxId", (a.task).name, (a.task).queue, (a.task).tenant, (a.task).group_key as "group", (a.task).priority
  from taskiq.advance($1::uuid[], $2::float8) a
