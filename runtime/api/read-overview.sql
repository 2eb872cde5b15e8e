-- How much there is of everything that an overview counts.
-- $1 tenants text[]  $2 rows of each kind to examine at most, the newest
-- $3 alive_ms: silence after which a worker is taken for dead
-- One row per count that is not zero: tenant (null: it concerns all), kind, name, count.
--   task      by state: blocked, queued, running
--   run       by state: those that run, and those that ended within an hour
--   schedule  active, paused, disabled
--   worker    alive, draining, lost; slots and running of those that are not lost
with task as materialized (
  (
    select t.tenant, t.state::text as name
      from taskiq.task t
     where t.state = 'blocked'
     order by t.created_at desc, t.id desc
     limit $2::int
  )
  union all
  (
    select t.tenant, t.state::text
      from taskiq.task t
     where t.state = 'queued'
     order by t.created_at desc, t.id desc
     limit $2::int
  )
  union all
  (
    select t.tenant, t.state::text
      from taskiq.task t
     where t.state = 'running'
     limit $2::int
  )
),
run as materialized (
  (
    select r.tenant, r.state::text as name
      from taskiq.run r
     where r.state = 'running'
     order by r.created_at desc, r.id desc
     limit $2::int
  )
  union all
  (
    select r.tenant, r.state::text
      from taskiq.run r
     where r.finished_at >= now() - interval '1 hour'
     order by r.finished_at desc
     limit $2::int
  )
),
schedule as materialized (
  select s.tenant,
         case
           when s.disabled_at is not null then 'disabled'
           when s.paused_at is not null then 'paused'
           else 'active'
         end as name
    from taskiq.schedule s
   limit $2::int
),
worker as materialized (
  select case
           when w.beat_at < now() - $3::float8 * interval '1 millisecond' then 'lost'
           when w.draining then 'draining'
           else 'alive'
         end as name,
         w.slots,
         w.running
    from taskiq.worker w
   limit $2::int
)
select k.tenant, k.kind, k.name, count(*)::int as count
  from (
         select tenant, 'task' as kind, name from task
          union all
         select tenant, 'run', name from run
          union all
         select tenant, 'schedule', name from schedule
       ) k
 where k.tenant = any($1::text[])
 group by k.tenant, k.kind, k.name
 union all
select null, 'worker', w.name, count(*)::int
  from worker w
 group by w.name
 union all
select null, 'worker', sums.name, sums.count
  from (select sum(w.slots)::int as slots, sum(w.running)::int as running from worker w where w.name <> 'lost') s
 cross join lateral (values ('slots', s.slots), ('running', s.running)) as sums (name, count)
 where sums.count > 0
