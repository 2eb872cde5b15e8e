-- What a worker has to hear within a second: which of its attempts are to be cancelled, and which of its queues are paused.
-- $1 task ids uuid[]  $2 attempt int[] (fence, same order)  $3 names of its queues text[]
-- One row per attempt whose cancel flag is set (`kind` cancel, `id`, `since_ms`: for how long) and per paused queue (`kind` pause, `queue`).
-- A plain read by primary keys.
select 'cancel' as kind,
       t.id,
       null as queue,
       (extract(epoch from clock_timestamp() - t.cancel_requested_at) * 1000)::float8 as since_ms
  from taskiq.task t
  join unnest($1::uuid[], $2::int[]) as mine (id, attempt) on mine.id = t.id and mine.attempt = t.attempt
 where t.id = any($1::uuid[])
   and t.cancel_requested_at is not null
union all
select 'pause', null, p.queue, null
  from taskiq.paused_queue p
 where p.queue = any($3::text[])
