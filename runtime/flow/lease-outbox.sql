-- Take outbox rows that are due, for as long as one round of sending may take. Nothing stays locked while AWS is called.
-- $1 at most so many rows  $2 lease_ms
-- One row per message to send, with what its body needs; `state` null: the task is gone, so settle the row without sending.
with due as (
  select id
    from taskiq.outbox
   where send_at <= now()
   order by send_at, id
   limit $1::int
     for update skip locked
),
leased as (
  update taskiq.outbox o
     set send_at = now() + $2::float8 * interval '1 millisecond'
   where o.id = any(array(select id from due))
  returning o.id, o.kind, o.task_id, o.queue
)
select l.id as outbox_id,
       l.kind,
       l.task_id as id,
       l.queue,
       t.name,
       t.state,
       t.attempt,
       t.error,
       t.worker,
       t.finished_at,
       t.tenant,
       t.group_key,
       t.priority
  from leased l
  left join taskiq.task t on t.id = any(array(select task_id from leased)) and t.id = l.task_id
 order by l.id
