-- What the database knows of each queue: its tasks, its workers, and whether it is paused.
-- $1 queue names text[]  $2 alive_ms: silence after which a worker does not count any more
-- One row per queue. Each count ends at 10,000, so that looking at a backlog never becomes the load.
--   oldest_due_ms  how long the oldest queued task has been due; null: none is
--   unsent         messages owed to SQS
--   queued         tasks that wait, due or not;  running  attempts that hold a lease
--   workers        workers that serve the queue and take new work;  slots  their slots, which they share with their other queues
--   paused_at      null: not paused
with running as materialized (
  select r.queue, count(*)::int as tasks
    from (select t.queue from taskiq.task t where t.state = 'running' limit 10000) r
   group by r.queue
),
alive as materialized (
  select w.queues, w.slots
    from taskiq.worker w
   where not w.draining
     and w.beat_at > now() - $2::float8 * interval '1 millisecond'
)
select q.name as queue,
       (select (extract(epoch from now() - min(t.not_before)) * 1000)::float8
          from taskiq.task t
         where t.state = 'queued' and t.queue = q.name and t.not_before <= now()) as oldest_due_ms,
       (select count(*)::int
          from (select from taskiq.outbox o where o.queue = q.name and o.send_at <= now() limit 10000) owed) as unsent,
       (select count(*)::int
          from (select from taskiq.task t where t.state = 'queued' and t.queue = q.name limit 10000) waiting) as queued,
       coalesce((select r.tasks from running r where r.queue = q.name), 0) as running,
       (select count(*)::int from alive a where q.name = any(a.queues)) as workers,
       (select coalesce(sum(a.slots), 0)::int from alive a where q.name = any(a.queues)) as slots,
       p.paused_at,
       p.paused_by
  from unnest($1::text[]) as q (name)
  left join taskiq.paused_queue p on p.queue = q.name
