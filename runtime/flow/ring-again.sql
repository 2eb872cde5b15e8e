-- Ring for queued tasks whose doorbell was rung long ago: a doorbell lost to a purge, an outage or retention strands no task.
-- $1 queue  $2 after_ms: silence before the first ring, doubled with every further one  $3 at most so many rows
-- One row per task rung, through the outbox. A task whose outbox row still waits is not rung twice. One process at a time.
with leader as materialized (
  select pg_try_advisory_xact_lock(hashtext('taskiq'), hashtext('ring-again')) as elected
),
silent as materialized (
  select t.id
    from taskiq.task t
   where t.state = 'queued'
     and t.queue = $1::text
     and t.announced_at < now() - $2::float8 * interval '1 millisecond'
     and t.announced_at < now() - $2::float8 * power(2, least(t.rings, 10)) * interval '1 millisecond'
     and t.not_before <= now()
     and (select elected from leader)
   order by t.announced_at
   limit $3::int
     for update of t skip locked
),
-- The outbox row of an outage is kept, and does not count as a ring: the interval must not grow while nothing can be sent.
rung as (
  insert into taskiq.outbox (kind, task_id, queue, send_at)
  select 'doorbell', id, $1::text, now()
    from silent
   order by id
  on conflict (task_id, kind) do nothing
  returning task_id
),
again as (
  update taskiq.task t
     set announced_at = now(),
         rings = case when t.id = any(array(select task_id from rung)) then least(t.rings + 1, 100) else t.rings end
   where t.id = any(array(select id from silent))
)
select task_id as id from rung
