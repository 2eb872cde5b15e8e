-- What the database knows of each queue, and which workers are alive.
-- $1 queue names text[]  $2 alive_ms: silence after which a worker does not count any more
-- One row per queue: the age of the oldest due task in milliseconds (null: none waits), the messages owed to SQS (at most 10,000 are counted), the workers
-- that serve it, whether it is paused, and in every row all workers that take new work, each counted once.
select q.name as queue,
       (select (extract(epoch from now() - min(t.not_before)) * 1000)::float8
          from taskiq.task t
         where t.state = 'queued' and t.queue = q.name and t.not_before <= now()) as oldest_due_ms,
       (select count(*)::int
          from (select from taskiq.outbox o where o.queue = q.name and o.send_at <= now() limit 10000) owed) as unsent,
       (select count(*)::int
          from taskiq.worker w
         where q.name = any(w.queues)
           and not w.draining
           and w.beat_at > now() - $2::float8 * interval '1 millisecond') as workers,
       exists (select from taskiq.paused_queue p where p.queue = q.name) as paused,
       (select count(*)::int
          from taskiq.worker w
         where not w.draining
           and w.beat_at > now() - $2::float8 * interval '1 millisecond') as workers_alive
  from unnest($1::text[]) as q (name)
