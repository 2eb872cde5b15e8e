-- Read what the database knows of the work that waits and of the workers that could do it.
-- $1 queue names text[]  $2 alive_ms: silence after which a worker does not count any more
-- One row. Each count ends at 10,000: enough to scale by and to alarm on, and an outage never makes this the load.
--   oldest_queued_ms   how long the oldest queued task has been due; null: none is
--   workers, slots     workers that take new work; those that drain are on their way out and count nowhere
--   running            their attempts: what they said with their last beat or what they hold now, whichever is more
--   busy_workers       those of them that run something
--   outbox_pending     messages owed by now; outbox_oldest_ms: how long the longest of them has been owed
--   due_in_outbox      those of them that are doorbells of queued tasks: backlog that no queue shows
--   struggling         unfinished tasks on their third attempt or a later one
with held as materialized (
  select r.worker, count(*)::int as attempts
    from (select t.worker from taskiq.task t where t.state = 'running' limit 10000) r
   group by r.worker
),
live as materialized (
  select w.slots,
         greatest(w.running, (select h.attempts from held h where h.worker = w.name)) as running
    from taskiq.worker w
   where w.beat_at > now() - $2::float8 * interval '1 millisecond'
     and not w.draining
),
-- A row that is being sent or was refused has its next try within the lease of a sender, 30 s: it is still owed. The task's due
-- time tells a doorbell that has to be rung now from one that is for later.
owed as materialized (
  select o.kind,
         greatest(o.created_at, case when o.kind = 'doorbell' then t.not_before end) as since,
         t.state
    from (
           select kind, task_id, created_at
             from taskiq.outbox
            where send_at <= now() + interval '30 seconds'
            order by send_at, id
            limit 10000
         ) o
   -- The limit keeps it a look-up for each row, also in a plan made while the tables were empty.
   cross join lateral (select t.state, t.not_before from taskiq.task t where t.id = o.task_id limit 1) t
   where o.kind <> 'doorbell'
      or (t.state = 'queued' and t.not_before <= now())
)
select (select (extract(epoch from now() - min(oldest.due)) * 1000)::float8
          from unnest($1::text[]) as q (name)
         cross join lateral (
           select min(t.not_before) as due
             from taskiq.task t
            where t.state = 'queued' and t.queue = q.name and t.not_before <= now()
         ) oldest) as oldest_queued_ms,
       (select count(*)::int from live) as workers,
       (select coalesce(sum(slots), 0)::int from live) as slots,
       (select coalesce(sum(running), 0)::int from live) as running,
       (select count(*)::int from live where running > 0) as busy_workers,
       (select count(*)::int from owed) as outbox_pending,
       (select (extract(epoch from now() - min(since)) * 1000)::float8 from owed) as outbox_oldest_ms,
       (select count(*)::int from owed where kind = 'doorbell') as due_in_outbox,
       (select count(*)::int
          from (select from taskiq.task t where t.state in ('queued', 'running') and t.attempt >= 3 limit 10000) s) as struggling
